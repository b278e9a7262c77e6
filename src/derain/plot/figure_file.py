"""Write figures to files."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from derain.errors import DataError
from derain.files.atomic import atomic_write, check_writable, writing
from derain.files.paths import resolve

DOTS_PER_INCH = 150
FORMATS = ("png", "svg")


def check_figure(path: Path) -> None:
    """Check before a long job that a figure can be written to `path`. Raises DataError."""
    _format(path)
    check_writable(path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG or SVG, atomically.

    Raises DataError for another suffix and if the file cannot be written.
    """
    figure_format = _format(path)
    with writing(path, DataError), atomic_write(resolve(path)) as file:
        figure.savefig(file, dpi=DOTS_PER_INCH, format=figure_format)


def _format(path: Path) -> str:
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise DataError(f"{path}: figures are written as PNG or SVG; use the suffix .png or .svg")
    return suffix
