"""Figures as files."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from derain.errors import DataError
from derain.files import disk_fact, replacing

DOTS_PER_INCH = 150


def save_figure(figure: Figure, path: Path) -> None:
    """Write PNG or SVG, under a temporary name first. Raises DataError for another kind of file and where none can be written."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("png", "svg"):
        raise DataError(f"{path}: figures are PNG or SVG; give it one of these endings")
    try:
        with replacing(path) as file:
            figure.savefig(file, dpi=DOTS_PER_INCH, format=kind)
    except OSError as error:
        raise DataError(f"{path}: {disk_fact(error)}") from error
