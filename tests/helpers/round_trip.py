"""Read a picture and write it again, as derain does around the network."""

from __future__ import annotations

from pathlib import Path

from derain import pictures


def round_trip(source: Path, suffix: str | None = None) -> Path:
    """Return `out` with the suffix of `source` or another one, written from all of its frames."""
    target = source.with_name(f"out{suffix or source.suffix}")
    frames = list(pictures.read_frames(source))
    if len(frames) == 1:
        pictures.write(frames[0], target)
    else:
        pictures.write_frames(frames, target)
    return target
