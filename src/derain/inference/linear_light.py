"""Linear light, shown to the network in the encoding of the pictures that it learned from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Planes: TypeAlias = NDArray[np.float32]


def for_linear_light(network: Callable[[Planes], Planes]) -> Callable[[Planes], Planes]:
    """Return a network for linear light, which calls `network` with the values of sRGB."""
    return lambda rainy: decode_srgb(network(encode_srgb(rainy)))


def encode_srgb(light: Planes) -> Planes:
    """Return linear light in 0..1 as sRGB encodes it (IEC 61966-2-1)."""
    light = np.clip(light, 0, 1)
    encoded = 1.055 * light ** np.float32(1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, 12.92 * light, encoded).astype(np.float32, copy=False)


def decode_srgb(values: Planes) -> Planes:
    """Return the linear light, 0..1, of values of sRGB: the inverse of `encode_srgb`."""
    values = np.clip(values, 0, 1)
    light = ((values + 0.055) / 1.055) ** np.float32(2.4)
    return np.where(values <= 0.04045, values / 12.92, light).astype(np.float32, copy=False)
