"""Streaks drawn into a picture: every pixel that a streak touches is computed once, all streaks of a layer at a time.

Only sums, products and comparisons touch the pixels, so that a seed gives the same picture on every platform.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

CHUNK = 400_000  # samples at a time: their arrays stay in the cache
HALF_WIDTH = 0.924  # of a (1 - u**2)**2 profile that is 1 wide at half its height


@dataclass(frozen=True)
class Streaks:
    """N streaks, each array float32 (N,). Lengths in pixels; y points down."""

    x: Floats
    y: Floats
    half_length: Floats
    half_width: Floats
    sine: Floats
    """Sine and cosine of the lean: the streak points along (sine, cosine)."""
    cosine: Floats
    light: Floats
    """Light added in the middle of the streak."""

    def __getitem__(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Streaks:
        return Streaks(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def __len__(self) -> int:
        return len(self.x)


def draw(streaks: Streaks, *, height: int, width: int) -> Floats:
    """Return the light that all streaks add to a black picture, (H, W), not clipped."""
    reach = (
        streaks.half_width / streaks.cosine + 1
    )  # horizontal distance from the middle line that can be touched
    columns = int(2 * np.max(reach, initial=0)) + 1
    sheet_width = (
        width + 2 * columns
    )  # a margin on each side spares every sample the question whether it is inside
    sheet = np.zeros(height * sheet_width)
    for part, rows in _rows(streaks, height=height, columns=columns):
        first = (
            np.floor(part.x + (rows - part.y) * part.sine / part.cosine - columns / 2).astype(
                np.int64
            )
            + 1
        )
        inside = (first > -columns) & (first < width)
        part, rows, first = part[inside], rows[inside], first[inside]
        offsets = np.arange(columns)
        light = _light(part, rows=rows, columns=first[:, None] + offsets)
        place = (rows.astype(np.int64) * sheet_width + first + columns)[:, None] + offsets
        band = int(
            place.min(initial=sheet.size)
        )  # the rows of a part lie close together: the sum need not span the picture
        sums = np.bincount((place - band).ravel(), weights=light.ravel())
        sheet[band : band + len(sums)] += sums
    return sheet.reshape(height, sheet_width)[:, columns : columns + width].astype(np.float32)


def _rows(streaks: Streaks, *, height: int, columns: int) -> Iterator[tuple[Streaks, Floats]]:
    """Yield streaks, from the top down, repeated for every row that they touch, with those rows.

    Each time no more than CHUNK samples, `columns` to a row, unless a single streak has more.
    """
    streaks = streaks[np.argsort(streaks.y, kind="stable")]
    rise = streaks.half_length * streaks.cosine + streaks.half_width * np.abs(streaks.sine)
    top = np.clip(np.ceil(streaks.y - rise), 0, height).astype(np.int64)
    bottom = np.clip(np.floor(streaks.y + rise) + 1, 0, height).astype(np.int64)
    counts = np.maximum(bottom - top, 0)
    ends = np.cumsum(counts)
    rows_at_once = CHUNK // columns
    start = 0
    while start < len(streaks):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + rows_at_once, side="right")))
        which = np.repeat(np.arange(start, stop), counts[start:stop])
        within = np.arange(len(which)) - np.repeat(
            ends[start:stop] - counts[start:stop] - done, counts[start:stop]
        )
        yield streaks[which], (top[which] + within).astype(np.float32)
        start = stop


def _light(part: Streaks, *, rows: Floats, columns: NDArray[np.int64]) -> Floats:
    """Light of each streak at (row, columns): bell-shaped across, level along with soft ends."""
    dy = (rows - part.y)[:, None]
    dx = columns.astype(np.float32) - part.x[:, None]
    sine, cosine = part.sine[:, None], part.cosine[:, None]
    across = (dx * cosine - dy * sine) / part.half_width[:, None]
    along = (dx * sine + dy * cosine) / part.half_length[:, None]
    across *= across
    along *= along
    bell = np.maximum(1 - across, 0)
    ends = np.maximum(1 - along, 0)
    light: Floats = part.light[:, None] * (bell * bell) * (ends * (2 - ends))
    return light
