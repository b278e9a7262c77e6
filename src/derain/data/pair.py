"""A rainy and a clean picture of one scene, and how they are decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from derain.data.halves import CleanSide
from derain.errors import DataError

Image8 = NDArray[np.uint8]


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
        """Return (rainy, clean), uint8 (H, W, 3), upright; alpha is dropped and 16 bits become 8. Raises DataError."""
        if self.clean_side is None:
            return decode(self.rainy_path), decode(self.clean_path)
        both = decode(self.rainy_path)
        left, right = both[:, : self.size_px[0]], both[:, self.size_px[0] :]
        rainy, clean = (right, left) if self.clean_side == "left" else (left, right)
        return np.ascontiguousarray(rainy), np.ascontiguousarray(clean)


def displayed_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright picture, from the header of the file."""
    with Image.open(path) as image:
        width, height = image.size
        turned = "exif" in image.info and image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)


def decode(path: Path, *, grey: bool = False) -> Image8:
    """Return a file as uint8, upright: (H, W, 3), or (H, W) with `grey`; alpha is dropped, 16 bits become 8. Raises DataError."""
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I"):  # 16-bit grey, which Pillow would cut off at 255
                image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
            return np.array(image.convert("L" if grey else "RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be decoded ({error}); replace it or take it out of the set") from error
