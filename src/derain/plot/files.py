"""Figures as files."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from derain.errors import DataError

DOTS_PER_INCH = 150


def save_figure(figure: Figure, path: Path) -> None:
    """Write PNG or SVG, under a temporary name first. Raises DataError for another kind of file and where none can be written."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("png", "svg"):
        raise DataError(f"{path}: figures are PNG or SVG; give it one of these endings")
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        figure.savefig(temporary, dpi=DOTS_PER_INCH, format=kind)
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); name a folder that is there and has room") from error
    finally:
        temporary.unlink(missing_ok=True)
