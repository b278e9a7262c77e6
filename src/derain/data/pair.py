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
            return _decode(self.rainy_path), _decode(self.clean_path)
        both = _decode(self.rainy_path)
        left, right = both[:, : self.size_px[0]], both[:, self.size_px[0] :]
        rainy, clean = (right, left) if self.clean_side == "left" else (left, right)
        return np.ascontiguousarray(rainy), np.ascontiguousarray(clean)

    def load_clean(self) -> Image8:
        """Return the clean picture alone, as `load` would."""
        return _decode(self.clean_path) if self.clean_side is None else self.load()[1]


def displayed_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright picture, from the header of the file."""
    with Image.open(path) as image:
        width, height = image.size
        turned = "exif" in image.info and image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)


def _decode(path: Path) -> Image8:
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I"):  # 16-bit grey, which Pillow would cut off at 255
                grey = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=2)
            return np.array(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be decoded ({error}); replace it or take its pair out of the set") from error
