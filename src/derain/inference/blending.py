"""How much of the estimated rain is taken out, and where; and the rain itself as a picture."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain import pictures
from derain.errors import PictureError
from derain.inference.dtypes import RANGE_TOLERANCE, as_luma, to_dtype, to_unit_range
from derain.pictures import Picture, Pixels
from derain.pictures.pillow_arrays import BAND_ROWS


def blend(
    rainy: NDArray[Any],
    restored: NDArray[Any],
    *,
    strength: float = 1.0,
    mask: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """rainy - strength * mask * (rainy - restored), in the type and shape of both: (H, W) or (H, W, 3).

    `strength` is the share of the rain that is taken out, 0 to 1; `mask`, (H, W) of uint8, uint16, bool or floats in 0..1,
    takes it out in full where it is white and not at all where it is black. Raises PictureError for any other of the two.
    """
    check_blend(rainy, strength=strength, mask=mask)
    if mask is None and strength == 1:
        return restored

    def mix(rows: slice) -> NDArray[np.float32]:
        share = (
            np.full((1, 1), strength, np.float32)
            if mask is None
            else np.float32(strength) * np.clip(to_unit_range(mask[rows]), 0, 1)
        )
        if rainy.ndim == 3:
            share = share[..., None]
        before = to_unit_range(rainy[rows])
        return before - share * (before - to_unit_range(restored[rows]))

    return _in_bands(mix, like=rainy)


def check_blend(rainy: NDArray[Any], *, strength: float, mask: NDArray[Any] | None) -> None:
    """Raise PictureError for a strength that is no share, and for a mask of another size than the picture's or another type.

    A mask is (H, W): uint8, uint16, bool, or floats in 0..1.
    """
    if not 0 <= strength <= 1:
        raise PictureError(
            f"a strength of {strength:g} is not a share of the rain; give a number from 0 to 1"
        )
    if mask is None:
        return
    if mask.ndim != 2:
        shape = ", ".join(str(side) for side in mask.shape)
        raise PictureError(
            f"an array of shape ({shape}) is not a mask; give (H, W), for instance one channel of it"
        )
    if mask.shape != rainy.shape[:2]:
        sizes = [f"{width}x{height}" for height, width in (mask.shape, rainy.shape[:2])]
        raise PictureError(
            f"the mask has {sizes[0]} pixels and the picture {sizes[1]}; give a mask of the picture's size"
        )
    if mask.dtype.name not in {"uint8", "uint16", "bool"} and mask.dtype.kind != "f":
        raise PictureError(
            f"an array of {mask.dtype} is not a mask; convert it to uint8, uint16, bool or floats in 0..1"
        )
    if (
        mask.dtype.kind == "f"
        and mask.size
        and not (mask.min() >= -RANGE_TOLERANCE and mask.max() <= 1 + RANGE_TOLERANCE)
    ):
        raise PictureError("the mask holds floats outside of 0..1; divide it by its white first")


def read_mask(path: str | os.PathLike[str]) -> Pixels:
    """The brightness of a picture, (H, W), uint8 or uint16; its own transparency is not looked at. Raises PictureError."""
    mask = pictures.read(Path(path))
    if mask.grey:
        return np.ascontiguousarray(mask.image)
    like = mask.pixels[..., 0]
    return _in_bands(lambda rows: as_luma(to_unit_range(mask.pixels[rows]))[..., 0], like=like)


def rain_layer(rainy: Picture, restored: Picture) -> Picture:
    """What was taken out, on black: where the network made a pixel brighter it is black too."""
    layer = _in_bands(
        lambda rows: to_unit_range(rainy.image[rows]) - to_unit_range(restored.image[rows]),
        like=rainy.image,
    )
    return replace(
        rainy, alpha=None, metadata=replace(rainy.metadata.stripped(), tiff_page=())
    ).with_image(layer)


def _in_bands(
    values: Callable[[slice], NDArray[np.float32]], *, like: NDArray[Any]
) -> NDArray[Any]:
    """An array like another, a few rows of it computed at a time: floats of 100 megapixels are 1.2 GB."""
    result = np.empty(like.shape, like.dtype)
    for top in range(0, len(like), BAND_ROWS):
        rows = slice(top, top + BAND_ROWS)
        result[rows] = to_dtype(values(rows), like.dtype)
    return result
