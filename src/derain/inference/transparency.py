"""The colours under transparent pixels: whatever a program left there, no one sees it, and the network must not either."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

BAND_ROWS = 256
"""Rows that are filled at a time, a power of 2: floats of 100 megapixels are 1.2 GB."""
LEVELS = BAND_ROWS.bit_length() - 1
"""How often a band is halved until it is one row."""

Level: TypeAlias = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""Colours, (H, W, C), and which of them are seen, (H, W, 1)."""


def fill_transparent(samples: NDArray[Any], hidden: NDArray[np.bool_]) -> NDArray[Any]:
    """(H, W) or (H, W, 3) -> the same, with colours of visible pixels nearby where `hidden`, (H, W), says so.

    What is hidden gets the mean of its block of 2 x 2, and what that leaves the mean of the blocks of its blocks. Otherwise a
    black that lies under a transparent background bleeds into the edge of what is visible. Where nothing at all is visible the
    samples come back as they are.
    """
    if hidden.all() or not hidden.any():
        return samples
    result = samples.copy()
    canvas = result if samples.ndim == 3 else result[..., None]
    bands = [slice(top, top + BAND_ROWS) for top in range(0, len(canvas), BAND_ROWS)]
    coarse = [_pyramid(_level(canvas[rows], hidden[rows]), LEVELS)[-1] for rows in bands]
    known = _known(
        np.concatenate([colours for colours, _ in coarse]),
        np.concatenate([seen for _, seen in coarse]),
    )
    for index, rows in enumerate(bands):
        if hidden[rows].any():
            levels = _pyramid(_level(canvas[rows], hidden[rows]), LEVELS)
            colours = _spread(levels[:-1], known[index : index + 1])
            if samples.dtype.kind == "u":
                colours = colours.round()
            np.copyto(canvas[rows], colours.astype(samples.dtype), where=hidden[rows, :, None])
    return result


def _level(samples: NDArray[Any], hidden: NDArray[np.bool_]) -> Level:
    return samples.astype(np.float32), ~hidden[..., None]


def _known(colours: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The same colours, and where they are not seen those of ever larger blocks; one of them must be seen."""
    levels = _pyramid((colours, seen), max(seen.shape).bit_length())
    return _spread(levels[:-1], levels[-1][0])


def _pyramid(level: Level, count: int) -> list[Level]:
    """A level and `count` more, each half as large."""
    levels = [level]
    for _ in range(count):
        levels.append(_halved(*levels[-1]))
    return levels


def _halved(colours: NDArray[np.float32], seen: NDArray[np.bool_]) -> Level:
    """The mean of what is seen of each block of 2 x 2."""
    odd = [(0, seen.shape[0] % 2), (0, seen.shape[1] % 2), (0, 0)]
    weights = _blocks(np.pad(seen.astype(np.float32), odd))
    sums = _blocks(np.pad(np.where(seen, colours, np.float32(0)), odd))
    return (sums / np.maximum(weights, 1)).astype(np.float32), weights > 0


def _spread(levels: list[Level], known: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first level, filled from the next one and so on; `known` is the last one and lies behind `levels`."""
    for colours, seen in reversed(levels):
        height, width, _ = seen.shape
        known = np.where(seen, colours, known.repeat(2, axis=0).repeat(2, axis=1)[:height, :width])
    return known


def _blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2 H, 2 W, C) -> (H, W, C), each the sum of four."""
    rows = values[::2] + values[1::2]
    return rows[:, ::2] + rows[:, 1::2]
