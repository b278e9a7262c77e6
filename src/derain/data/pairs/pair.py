"""A pair of a rainy and a clean picture of one scene, and its decoding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain import pictures
from derain.errors import DataError, PictureError
from derain.pictures.open_image import open_image, picture_errors
from derain.pictures.picture import Pixels, as_colour
from derain.pictures.pillow_arrays import to_8bit
from derain.pictures.reader import upright_size

P = TypeVar("P", bound=np.generic)
Image8 = NDArray[np.uint8]
CleanSide = Literal["left", "right"]
NETPBM = {b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"}
"""First bytes of PBM, PGM and PPM files."""


@dataclass(frozen=True)
class Pair:
    """A rainy and a clean picture of one scene."""

    name: str
    """Unique in a set: the path of the rainy file, without its suffix and names of sides."""
    rainy_path: Path
    clean_path: Path
    size_px: tuple[int, int]
    """Width and height of each picture."""
    clean_side: CleanSide | None = None
    """The clean half, if both pictures are in one file; None for two files."""

    def load(self) -> tuple[Image8, Image8]:
        """Return (rainy, clean), uint8 (H, W, 3), upright. Raises DataError.

        Alpha is dropped, and 16 bits are rounded to 8.
        """
        rainy, clean = self.read()
        return to_8bit(rainy), to_8bit(clean)

    def read(self) -> tuple[Pixels, Pixels]:
        """Return (rainy, clean), uint8 or uint16 (H, W, 3) as in the files, upright.

        Alpha is dropped. Raises DataError, also for sides of different sizes.
        """
        if self.clean_side is None:
            rainy, clean = read(self.rainy_path), read(self.clean_path)
        else:
            rainy, clean = self.split(read(self.rainy_path))
        if rainy.shape != clean.shape:
            sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in (rainy, clean)]
            raise DataError(
                f"{self.rainy_path}: has {sizes[0]} pixels, but {self.clean_path} has {sizes[1]}; "
                "replace one of them, or remove both from the data set"
            )
        return np.ascontiguousarray(rainy), np.ascontiguousarray(clean)

    def split(self, picture: NDArray[P]) -> tuple[NDArray[P], NDArray[P]]:
        """Return (rainy, clean), views of the halves of the file that contains both."""
        left, right = picture[:, : self.size_px[0]], picture[:, self.size_px[0] :]
        return (right, left) if self.clean_side == "left" else (left, right)


def displayed_size(path: Path) -> tuple[int, int]:
    """Return width and height of the picture that `read` returns, from the header of the file.

    Raises OSError and DerainError.
    """
    with path.open("rb") as file:
        if _is_netpbm(path):
            with Image.open(file) as image:
                return image.size
        with open_image(file) as image:
            return upright_size(image, file)


def checked_size(path: Path) -> tuple[int, int]:
    """Return width and height like `displayed_size`. Raises DataError."""
    with data_errors(path):
        return displayed_size(path)


def decode(path: Path, *, grey: bool = False) -> Image8:
    """Read a file as uint8 (H, W, 3), or (H, W) with `grey`. Raises DataError.

    Like `read`, but 16 bits are rounded to 8.
    """
    image = to_8bit(read(path))
    return np.array(Image.fromarray(image).convert("L")) if grey else image


def read(path: Path) -> Pixels:
    """Read a file as uint8 or uint16 (H, W, 3), upright. Raises DataError.

    Decodes like `derain.pictures.read`, and also PPM. Alpha is dropped. Training,
    `derain data check` and `derain evaluate` all use this function.
    """
    return read_with_alpha(path)[0]


def read_with_alpha(path: Path) -> tuple[Pixels, Pixels | None]:
    """Read the pixels of a file, like `read`, and its alpha, (H, W), or None without alpha."""
    with data_errors(path):
        if _is_netpbm(path):
            pixels, alpha = _read_netpbm(path), None
        else:
            picture = pictures.read(path)
            pixels, alpha = picture.pixels, picture.alpha
    return np.ascontiguousarray(pixels), alpha


@contextmanager
def data_errors(path: Path) -> Iterator[None]:
    """Turn the errors of reading a picture into a DataError."""
    try:
        with picture_errors(path):
            yield
    except PictureError as error:
        raise DataError(f"{error}, or remove it from the data set") from error


def _is_netpbm(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) in NETPBM


def _read_netpbm(path: Path) -> Pixels:
    """Read PPM, PGM or PBM, which `derain.pictures` does not support.

    Pillow decodes 16-bit colour to 8 bits.
    """
    with Image.open(path, formats=["PPM"]) as image:
        return as_colour(
            np.array(image, np.uint16)
            if image.mode.startswith("I")
            else np.array(image.convert("RGB"))
        )
