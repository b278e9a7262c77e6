"""Conversion between the values of a picture and those of the network.

A picture holds integers of 8 or 16 bits, or floats; the network takes and returns float32 in 0..1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601 weights that turn the three restored channels of a grey picture into one."""

RANGE_TOLERANCE = 1e-3
"""Tolerated excess of floats over 0..1, such as a filter leaves."""


def to_network_input(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return (H, W) or (H, W, 3) as contiguous (1, 3, H, W), integers scaled to 0..1."""
    colour = np.broadcast_to(image[..., None], (*image.shape, 3)) if image.ndim == 2 else image
    planes = np.ascontiguousarray(colour.transpose(2, 0, 1)[None], dtype=np.float32)
    if image.dtype.kind == "u":
        planes *= np.float32(1 / np.iinfo(image.dtype).max)
    return planes


def to_unit_range(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return integers scaled to 0..1 and floats unchanged, any shape."""
    values = image.astype(np.float32)
    if image.dtype.kind == "u":
        values *= np.float32(1 / np.iinfo(image.dtype).max)
    return values


def as_luma(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W, 3) -> (H, W, 1)."""
    return planes @ LUMA[:, None]


def to_dtype(values: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Clamp to 0..1 and convert to `dtype`; integers are rounded to the nearest."""
    values = np.clip(values, 0, 1)
    if dtype.kind == "u":
        values = values * np.float32(np.iinfo(dtype).max) + np.float32(0.5)
    return values.astype(dtype)
