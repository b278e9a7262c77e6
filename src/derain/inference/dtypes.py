"""The numbers of a picture and those of the network: integers of 8 or 16 bits or floats, and float32 in 0..1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601: what a grey picture's three restored channels become."""

RANGE_TOLERANCE = 1e-3
"""By how much floats may lie outside of 0..1, as they do after a filter."""


def to_network_input(samples: NDArray[Any]) -> NDArray[np.float32]:
    """(H, W) or (H, W, 3) -> (1, 3, H, W), contiguous; integers are scaled to 0..1, grey is repeated."""
    colour = (
        np.broadcast_to(samples[..., None], (*samples.shape, 3)) if samples.ndim == 2 else samples
    )
    planes = np.ascontiguousarray(colour.transpose(2, 0, 1)[None], dtype=np.float32)
    if samples.dtype.kind == "u":
        planes *= np.float32(1 / np.iinfo(samples.dtype).max)
    return planes


def to_unit_range(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Integers to 0..1, floats as they are; any shape."""
    values = samples.astype(np.float32)
    if samples.dtype.kind == "u":
        values *= np.float32(1 / np.iinfo(samples.dtype).max)
    return values


def as_luma(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W, 3) -> (H, W, 1)."""
    return planes @ LUMA[:, None]


def to_dtype(values: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Clamp to 0..1 and give back in `dtype`: integers are rounded to the nearest, not cut off."""
    values = np.clip(values, 0, 1)
    if dtype.kind == "u":
        values = values * np.float32(np.iinfo(dtype).max) + np.float32(0.5)
    return values.astype(dtype)
