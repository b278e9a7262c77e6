"""The colours under transparent pixels: whatever a program left there, no one sees it, and the network must not either."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def filled(samples: NDArray[Any], hidden: NDArray[np.bool_]) -> NDArray[Any]:
    """(H, W) or (H, W, 3) -> the same, with colours of visible pixels nearby where `hidden`, (H, W), says so.

    Otherwise a black that lies under a transparent background bleeds into the edge of what is visible. Where nothing at all is
    visible the samples come back as they are.
    """
    if hidden.all() or not hidden.any():
        return samples
    canvas = samples if samples.ndim == 3 else samples[..., None]
    colours = _spread(canvas.astype(np.float32), ~hidden[..., None])
    result: NDArray[Any] = np.where(hidden[..., None], colours.round().astype(samples.dtype), canvas)
    return result.reshape(samples.shape)


def _spread(colours: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fill what is not seen from the mean of each block of 2 x 2, and what that leaves from the blocks of its blocks."""
    if seen.all():
        return colours
    height, width, _ = colours.shape
    odd = [(0, height % 2), (0, width % 2), (0, 0)]
    weights = _blocks(np.pad(seen.astype(np.float32), odd))
    sums = _blocks(np.pad(np.where(seen, colours, np.float32(0)), odd))
    means = (sums / np.maximum(weights, 1)).astype(np.float32)
    coarse = _spread(means, weights > 0).repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.where(seen, colours, coarse)


def _blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2 H, 2 W, C) -> (H, W, C), each the sum of four."""
    rows = values[::2] + values[1::2]
    return rows[:, ::2] + rows[:, 1::2]
