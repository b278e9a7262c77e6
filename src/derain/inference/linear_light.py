"""Linear light, shown to the network in the encoding of the pictures that it learned from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from derain.inference.dtypes import to_dtype, to_unit_range
from derain.pictures import Pixels

Planes: TypeAlias = NDArray[np.float32]


def for_linear_light(network: Callable[[Planes], Planes]) -> Callable[[Planes], Planes]:
    """Return a network for linear light, which calls `network` with the values of sRGB."""
    return lambda rainy: decode_srgb(network(encode_srgb(rainy)))


def encoded_pixels(pixels: Pixels) -> NDArray[np.uint16]:
    """Return linear light, any shape, as sRGB encodes it."""
    return to_dtype(encode_srgb(to_unit_range(pixels)), np.dtype(np.uint16))


def linear_pixels(pixels: Pixels, dtype: np.dtype[Any]) -> Pixels:
    """Return the inverse of `encoded_pixels`, within 2 levels of uint16 and exact in uint8."""
    return to_dtype(decode_srgb(to_unit_range(pixels)), dtype)


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
