"""Colours of transparent pixels, which are invisible and must not influence the network."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

BAND_ROWS = 256
"""Rows that are filled at a time, a power of 2; floats of 100 megapixels would take 1.2 GB."""
LEVELS = BAND_ROWS.bit_length() - 1
"""Number of halvings that reduce a band to one row."""

Level: TypeAlias = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""Colours, (H, W, C), and which of them are known, (H, W, 1)."""


def fill_transparent(image: NDArray[Any], transparent: NDArray[np.bool_]) -> NDArray[Any]:
    """Return (H, W) or (H, W, 3) with colours of nearby visible pixels where `transparent`, (H, W).

    A transparent pixel gets the mean of the visible pixels in its block of 2 x 2 or, if there are
    none, of the smallest larger block that has some. Otherwise, black under a transparent
    background would bleed into the visible edge. A picture without visible pixels is returned
    unchanged.
    """
    if transparent.all() or not transparent.any():
        return image
    result = image.copy()
    canvas = result if image.ndim == 3 else result[..., None]
    bands = [slice(top, top + BAND_ROWS) for top in range(0, len(canvas), BAND_ROWS)]
    coarse = [_pyramid(_level(canvas[rows], transparent[rows]), LEVELS)[-1] for rows in bands]
    filled = _fill_level(
        np.concatenate([colours for colours, _ in coarse]),
        np.concatenate([known for _, known in coarse]),
    )
    for index, rows in enumerate(bands):
        if transparent[rows].any():
            levels = _pyramid(_level(canvas[rows], transparent[rows]), LEVELS)
            colours = _propagate(levels[:-1], filled[index : index + 1])
            if image.dtype.kind == "u":
                colours = colours.round()
            np.copyto(canvas[rows], colours.astype(image.dtype), where=transparent[rows, :, None])
    return result


def _level(image: NDArray[Any], transparent: NDArray[np.bool_]) -> Level:
    return image.astype(np.float32), ~transparent[..., None]


def _fill_level(colours: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fill unknown colours from ever larger blocks; at least one must be known."""
    levels = _pyramid((colours, known), max(known.shape).bit_length())
    return _propagate(levels[:-1], levels[-1][0])


def _pyramid(level: Level, count: int) -> list[Level]:
    """Return the level and `count` more, each of half the size."""
    levels = [level]
    for _ in range(count):
        levels.append(_halve(*levels[-1]))
    return levels


def _halve(colours: NDArray[np.float32], known: NDArray[np.bool_]) -> Level:
    """Return the mean of the known colours in each block of 2 x 2."""
    padding = [(0, known.shape[0] % 2), (0, known.shape[1] % 2), (0, 0)]
    weights = _sum_blocks(np.pad(known.astype(np.float32), padding))
    sums = _sum_blocks(np.pad(np.where(known, colours, np.float32(0)), padding))
    return (sums / np.maximum(weights, 1)).astype(np.float32), weights > 0


def _propagate(levels: list[Level], filled: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill each level from the next coarser one; `filled` is the level after the last."""
    for colours, known in reversed(levels):
        height, width, _ = known.shape
        enlarged = filled.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
        filled = np.where(known, colours, enlarged)
    return filled


def _sum_blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2 H, 2 W, C) -> (H, W, C), each value the sum of four."""
    rows = values[::2] + values[1::2]
    return rows[:, ::2] + rows[:, 1::2]
