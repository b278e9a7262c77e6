"""How much of the estimated rain is removed, and where; and the rain layer as a picture."""

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
    """Return rainy - strength * mask * (rainy - restored), in the dtype and shape of both.

    The pictures are (H, W) or (H, W, 3). `strength` is the share of the rain to remove, 0 to 1.
    `mask`, (H, W) of uint8, uint16, bool or floats in 0..1, says where: white means fully, black
    not at all. Raises PictureError if one of them is not valid.
    """
    check_blend(rainy, strength=strength, mask=mask)
    if mask is None and strength == 1:
        return restored
    if strength == 0:
        return rainy.copy()

    def blend_rows(rows: slice) -> NDArray[np.float32]:
        if mask is None:
            weights = np.full((1, 1), strength, np.float32)
        else:
            weights = np.float32(strength) * np.clip(to_unit_range(mask[rows]), 0, 1)
        if rainy.ndim == 3:
            weights = weights[..., None]
        before = to_unit_range(rainy[rows])
        return before - weights * (before - to_unit_range(restored[rows]))

    blended = _in_bands(blend_rows, like=rainy)
    if mask is not None and rainy.dtype.kind == "f":  # float32 has not all values of float64
        kept = mask <= 0
        blended[kept] = rainy[kept]
    return blended


def check_blend(rainy: NDArray[Any], *, strength: float, mask: NDArray[Any] | None) -> None:
    """Raise PictureError for a strength outside of 0..1, or a mask of another size or dtype.

    A mask is (H, W): uint8, uint16, bool, or floats in 0..1.
    """
    if not 0 <= strength <= 1:
        raise PictureError(f"a strength of {strength:g} is out of range; choose one from 0 to 1")
    if mask is None:
        return
    if mask.ndim != 2:
        shape = ", ".join(str(side) for side in mask.shape)
        raise PictureError(
            f"an array of shape ({shape}) cannot be a mask; pass (H, W), for example one channel"
        )
    if mask.shape != rainy.shape[:2]:
        sizes = [f"{width}x{height}" for height, width in (mask.shape, rainy.shape[:2])]
        raise PictureError(
            f"the mask has {sizes[0]} pixels, but the picture has {sizes[1]}; use equal sizes"
        )
    if mask.dtype.name not in {"uint8", "uint16", "bool"} and mask.dtype.kind != "f":
        raise PictureError(
            f"an array of {mask.dtype} cannot be a mask; "
            "convert it to uint8, uint16, bool or floats in 0..1"
        )
    if mask.dtype.kind == "f" and mask.size:
        low, high = mask.min(), mask.max()
        # not a comparison with < and >, which NaN would pass
        if not (low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):
            raise PictureError("the mask has floats outside of 0..1; divide it by its white first")


def read_mask(path: str | os.PathLike[str]) -> Pixels:
    """Return the brightness of a picture, (H, W), uint8 or uint16, ignoring its alpha channel.

    Raises PictureError.
    """
    mask = pictures.read(Path(path))
    if mask.grey:
        return np.ascontiguousarray(mask.image)
    like = mask.pixels[..., 0]
    return _in_bands(lambda rows: as_luma(to_unit_range(mask.pixels[rows]))[..., 0], like=like)


def rain_layer(rainy: Picture, restored: Picture) -> Picture:
    """Return the removed rain, rainy - restored, as a picture; negative values become black."""
    layer = _in_bands(
        lambda rows: to_unit_range(rainy.image[rows]) - to_unit_range(restored.image[rows]),
        like=rainy.image,
    )
    metadata = replace(rainy.metadata.stripped(), tiff_page=())
    return replace(rainy, alpha=None, metadata=metadata).with_image(layer)


def _in_bands(
    compute: Callable[[slice], NDArray[np.float32]], *, like: NDArray[Any]
) -> NDArray[Any]:
    """Compute an array of the shape and dtype of `like`, a band of rows at a time.

    The floats of a whole 100-megapixel picture would take 1.2 GB.
    """
    result = np.empty(like.shape, like.dtype)
    for top in range(0, len(like), BAND_ROWS):
        rows = slice(top, top + BAND_ROWS)
        result[rows] = to_dtype(compute(rows), like.dtype)
    return result
