"""Crops of rain-free pictures that a network changes most, to train it on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain.data.pairs.pair import Image8, decode
from derain.errors import DataError
from derain.evaluate.metrics import psnr_from_mse
from derain.files.atomic import atomic_write, writing
from derain.files.paths import is_taken

MAX_PSNR_DB = 80.0
"""PSNR of a crop that the network does not change."""
CROPS_PER_PICTURE = 2
"""Most crops that are kept of one picture, so that a single one cannot fill the list."""


@dataclass(frozen=True, order=True)
class HardCrop:
    """A square of a rain-free picture, and how well the network keeps it."""

    psnr: float
    """PSNR in dB of the restored crop against the picture itself."""
    path: Path
    x: int
    y: int
    """Left and upper edge in pixels."""


@dataclass
class HardCrops:
    """The crops that a network changes most, the worst first."""

    crop_px: int
    crops: list[HardCrop] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    """PSNR in dB of each picture as a whole."""
    too_small: list[Path] = field(default_factory=list)
    """Pictures without room for a crop."""
    unreadable: list[str] = field(default_factory=list)
    """An error for each file that cannot be decoded."""


def find_hard_crops(
    paths: Sequence[Path],
    restore: Callable[[Image8], NDArray[Any]],
    *,
    crop_px: int,
    count: int,
    on_picture: Callable[[int, int], None] | None = None,
) -> HardCrops:
    """Restore rain-free pictures and find the `count` crops of `crop_px` that change most.

    `restore` takes and returns uint8 (H, W, 3). `on_picture(done, total)` is called after each
    picture. Pictures that cannot be decoded are skipped.
    """
    found = HardCrops(crop_px)
    for done, path in enumerate(paths, 1):
        try:
            picture = decode(path)
        except DataError as error:
            found.unreadable.append(str(error))
        else:
            _add_picture(found, path, picture, restore, count=count)
        if on_picture:
            on_picture(done, len(paths))
    return found


def _add_picture(
    found: HardCrops,
    path: Path,
    picture: Image8,
    restore: Callable[[Image8], NDArray[Any]],
    *,
    count: int,
) -> None:
    """Restore a picture and keep the `count` worst crops of all so far."""
    if min(picture.shape[:2]) < found.crop_px:
        found.too_small.append(path)
        return
    error = _squared_error(picture, restore(picture))
    found.psnr.append(_psnr(float(error.mean())))
    crops = [*found.crops, *_worst_crops(path, error, found.crop_px)]
    found.crops = sorted(crops)[:count]


def prepare_folder(folder: Path) -> None:
    """Create the folder for the crops. Raises DataError if it is in use or cannot be created."""
    if is_taken(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: exists already; name a new or an empty folder")
    with writing(folder, DataError):
        folder.mkdir(parents=True, exist_ok=True)


def save_hard_crops(found: HardCrops, folder: Path) -> None:
    """Write the crops to `folder` as PNG files, named by rank. Raises DataError like the above."""
    prepare_folder(folder)
    for rank, crop in enumerate(found.crops, 1):
        square = decode(crop.path)[crop.y :, crop.x :][: found.crop_px, : found.crop_px]
        path = folder / f"{rank:04d}-{crop.path.stem}-{crop.x}-{crop.y}.png"
        with writing(path, DataError), atomic_write(path) as file:
            Image.fromarray(np.ascontiguousarray(square)).save(file, format="PNG")


def _worst_crops(path: Path, error: NDArray[np.float32], crop_px: int) -> list[HardCrop]:
    """Return the worst crops of a grid, from its squared error, (H, W) in 0..1."""
    crops = [
        HardCrop(_psnr(float(error[y : y + crop_px, x : x + crop_px].mean())), path, x, y)
        for y in _grid(error.shape[0], crop_px)
        for x in _grid(error.shape[1], crop_px)
    ]
    return sorted(crops)[:CROPS_PER_PICTURE]


def _grid(side: int, crop_px: int) -> list[int]:
    """Return the edges of crops that cover a side of a picture, as evenly as they can."""
    count = -(-side // crop_px)
    return [round(edge) for edge in np.linspace(0, side - crop_px, count)]


def _squared_error(picture: Image8, restored: NDArray[Any]) -> NDArray[np.float32]:
    difference = (restored.astype(np.float32) - picture) / 255
    return np.asarray((difference**2).mean(axis=2))


def _psnr(error: float) -> float:
    return min(MAX_PSNR_DB, psnr_from_mse(error))
