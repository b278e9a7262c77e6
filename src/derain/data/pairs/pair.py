"""A rainy and a clean picture of one scene, and how they are decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain import pictures
from derain.errors import DataError, PictureError
from derain.pictures.open_image import open_image, picture_errors
from derain.pictures.picture import Pixels, as_colour
from derain.pictures.pillow_arrays import eight_bits

Image8 = NDArray[np.uint8]
CleanSide = Literal["left", "right"]
NETPBM = {b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"}
"""What PBM, PGM and PPM begin with."""


@dataclass(frozen=True)
class Pair:
    """Two pictures of one scene. `clean_side` is None for two files, or says which half of the one file is clean."""

    name: str
    """The rainy file's path below the folder, without what merely names the side, and without its suffix: unique in a set."""
    rainy_path: Path
    clean_path: Path
    size_px: tuple[int, int]
    """Width and height of each picture."""
    clean_side: CleanSide | None = None

    def load(self) -> tuple[Image8, Image8]:
        """Return (rainy, clean), uint8 (H, W, 3), upright; alpha is dropped and 16 bits are rounded to 8. Raises DataError."""
        rainy, clean = self.read()
        return eight_bits(rainy), eight_bits(clean)

    def read(self) -> tuple[Pixels, Pixels]:
        """Return (rainy, clean), (H, W, 3) uint8 or uint16 as in the file, upright; alpha is dropped. Raises DataError."""
        if self.clean_side is None:
            return read(self.rainy_path), read(self.clean_path)
        both = read(self.rainy_path)
        left, right = both[:, : self.size_px[0]], both[:, self.size_px[0] :]
        rainy, clean = (right, left) if self.clean_side == "left" else (left, right)
        return np.ascontiguousarray(rainy), np.ascontiguousarray(clean)


def displayed_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright picture, from the header of the file. Raises OSError and DerainError."""
    with (
        path.open("rb") as file,
        Image.open(file) if _is_netpbm(path) else open_image(file) as image,
    ):
        width, height = image.size
        turned = "exif" in image.info and image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)


def decode(path: Path, *, grey: bool = False) -> Image8:
    """Return a file as uint8, see `read`: (H, W, 3), or (H, W) with `grey`; 16 bits are rounded to 8. Raises DataError."""
    image = eight_bits(read(path))
    return np.array(Image.fromarray(image).convert("L")) if grey else image


def read(path: Path) -> Pixels:
    """Return the pixels of a file as `derain.pictures.read` decodes them, and PPM besides: (H, W, 3) uint8 or uint16, upright.

    Alpha is dropped. Training, `derain data check` and `derain evaluate` all read by this function. Raises DataError.
    """
    return read_with_alpha(path)[0]


def read_with_alpha(path: Path) -> tuple[Pixels, Pixels | None]:
    """Return the pixels of a file, see `read`, and its alpha, (H, W) in their type; None where the file has none."""
    try:
        with picture_errors(path):
            if _is_netpbm(path):
                pixels, alpha = _netpbm(path), None
            else:
                read = pictures.read(path)
                pixels, alpha = read.pixels, read.alpha
    except PictureError as error:
        raise DataError(f"{error}, or take it out of the set") from error
    return np.ascontiguousarray(pixels), alpha


def _is_netpbm(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) in NETPBM


def _netpbm(path: Path) -> Pixels:
    """PPM, PGM or PBM, which `derain.pictures` does not read; Pillow has colour of 16 bits as 8."""
    with Image.open(path, formats=["PPM"]) as image:
        return as_colour(
            np.array(image, np.uint16)
            if image.mode.startswith("I")
            else np.array(image.convert("RGB"))
        )
