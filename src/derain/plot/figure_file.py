"""Figures as files."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from derain.errors import DataError
from derain.files.atomic import atomic_write, check_writable
from derain.files.messages import explain_os_error
from derain.files.paths import resolve

DOTS_PER_INCH = 150


def check_figure(path: Path) -> None:
    """Find out before long work whether a figure can be written there. Raises DataError."""
    _kind_of(path)
    check_writable(path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write PNG or SVG, under a temporary name first. Raises DataError for another kind of file and where none can be written."""
    kind = _kind_of(path)
    try:
        with atomic_write(resolve(path)) as file:
            figure.savefig(file, dpi=DOTS_PER_INCH, format=kind)
    except OSError as error:
        raise DataError(f"{path}: {explain_os_error(error)}") from error


def _kind_of(path: Path) -> str:
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("png", "svg"):
        raise DataError(f"{path}: figures are PNG or SVG; give it one of these endings")
    return kind
