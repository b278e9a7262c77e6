"""Tiny clips, and a stand-in for the network."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av")

TICK = Fraction(1, 15360)


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """`make_clip(name, ...)`: 64 x 48, 20 frames at 30 a second with a moving ramp, and a tone."""

    def make(
        name: str = "clip.mp4",
        *,
        frames: int = 20,
        codec: str = "libx264",
        layout: str = "yuv420p",
        steps: tuple[int, ...] = (512,),
        tick: Fraction = TICK,
        sound: str | None = "aac",
        size: tuple[int, int] = (64, 48),
        options: dict[str, str] | None = None,
        matrix: list[int] | None = None,
        container_options: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
        rate: Fraction | int = 30,
        **colours: int,
    ) -> Path:
        path = tmp_path / name
        with av.open(f"file:{path}", "w", options=container_options or {}) as container:
            container.metadata.update(tags or {})
            stream = container.add_stream(codec, rate=rate, options=options or {})
            stream.width, stream.height, stream.pix_fmt = *size, layout
            stream.codec_context.time_base = tick
            for key, value in colours.items():
                setattr(stream.codec_context, key, value)
            if matrix:
                stream.set_display_matrix(matrix)
            tone = container.add_stream(sound, rate=44100) if sound else None
            pts = 0
            for index, step in zip(range(frames), itertools.cycle(steps), strict=False):
                frame = av.VideoFrame.from_ndarray(ramp(index, size), format="rgb24").reformat(
                    format=layout
                )
                frame.pts, frame.time_base = pts, tick
                container.mux(stream.encode(frame))
                pts += step
            if tone:
                _sound(container, tone, seconds=float(pts * tick))
            container.mux(stream.encode(None))
        return path

    return make


def ramp(index: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """Frame `index`: a ramp that moves one pixel a frame, (H, W, 3) uint8."""
    width, height = size
    row = np.roll(40 + np.abs(np.linspace(-170, 170, width)), index)
    return np.stack([np.tile(row, (height, 1)) * share for share in (1, 0.8, 0.6)], -1).astype(
        np.uint8
    )


def _sound(container: Any, tone: Any, *, seconds: float) -> None:
    wave = (0.3 * np.sin(np.arange(int(44100 * seconds)) * 440 * 2 * np.pi / 44100)).astype(
        np.float32
    )[None]
    for start in range(0, wave.shape[1] - 1024, 1024):
        frame = av.AudioFrame.from_ndarray(
            wave[:, start : start + 1024], format="fltp", layout="mono"
        )
        frame.sample_rate, frame.pts = 44100, start
        container.mux(tone.encode(frame))
    container.mux(tone.encode(None))


def copying(rainy: np.ndarray) -> np.ndarray:
    """A stand-in for `Restorer`."""
    return rainy


def decoded(path: Path) -> list[Any]:
    """The frames of the first video stream."""
    with av.open(f"file:{path}") as container:
        return list(container.decode(video=0))


def times(path: Path) -> list[Fraction]:
    """When frames are shown, in seconds."""
    return [frame.pts * frame.time_base for frame in decoded(path)]


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """(time, data) of the packets of the streams of one kind."""
    with av.open(f"file:{path}") as container:
        found = container.demux(*getattr(container.streams, kind))
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in found
            if packet.dts is not None
        ]


def light(frame: Any) -> np.ndarray:
    """(H, W) of the luma of a frame, as it lies in the file."""
    plane = frame.planes[0]
    dtype = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
    rows = np.frombuffer(bytes(plane), dtype).reshape(plane.height, -1)
    return rows[:, : plane.width].astype(int)
