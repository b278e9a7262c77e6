"""Random weights and a picture that depend on names and shapes only, without torch."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np


def seeded_weights(
    shapes: Mapping[str, tuple[int, ...]], *, gain: float = 1.0
) -> dict[str, np.ndarray]:
    """Return float32 arrays by name; each depends on its name, its shape and `gain` only."""
    return {name: _seeded(name, shape, gain) for name, shape in shapes.items()}


def _seeded(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    inputs = int(np.prod(shape[1:]))
    if not shape:  # a counter
        return np.zeros(shape, np.float32)
    if len(shape) == 1:
        is_scale = "scale" in name or name.endswith(("weight", "running_var"))
        values = rng.uniform(-0.2, 0.2, shape) + is_scale
    elif inputs == 1:  # a factor for each channel: recurrent ones above 1 would diverge
        values = rng.uniform(0, 0.5, shape)
    else:
        values = rng.normal(0, gain / inputs**0.5, shape)
    return values.astype(np.float32)


def seeded_picture(height: int = 32, width: int = 32) -> np.ndarray:
    """Return a picture with edges and noise, (1, 3, height, width) in 0..1."""
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[:height, :width]
    shade = 0.5 + 0.3 * np.sin(rows / 5) * np.cos(columns / 7)
    picture = np.stack([shade, np.roll(shade, 5, axis=1), 1 - shade])
    picture[:, height // 3 :, : width // 3] *= 0.5
    return np.clip(picture + rng.normal(0, 0.05, picture.shape), 0, 1)[None].astype(np.float32)
