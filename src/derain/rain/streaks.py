"""Drawing of streaks. Only pixels that a streak touches are computed, many streaks at a time.

Pixels result from sums, products and comparisons only, so a seed gives the same picture on every
platform.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

CHUNK = 400_000
"""Samples that are computed at a time, so that their arrays stay in the cache."""
HALF_WIDTH = 0.924
"""Half width of a profile (1 - u^2)^2 that is 1 wide at half its height."""


@dataclass(frozen=True)
class Streaks:
    """N streaks, each array float32 (N,). Lengths are in pixels."""

    x: Floats
    """Centre, like `y`, which points down."""
    y: Floats
    half_length: Floats
    half_width: Floats
    sine: Floats
    """Sine of the angle: the streak points along (sine, cosine)."""
    cosine: Floats
    light: Floats
    """Light added at the centre of the streak."""

    def __getitem__(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Streaks:
        return Streaks(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def __len__(self) -> int:
        return len(self.x)


def draw(streaks: Streaks, *, height: int, width: int) -> Floats:
    """Return the light that all streaks add to a black picture, (H, W), not clipped."""
    # horizontal distance from the centre line within which a streak touches pixels
    reach = streaks.half_width / streaks.cosine + 1
    columns = int(2 * np.max(reach, initial=0)) + 1
    # a margin on each side, so that samples need no test for being inside
    sheet_width = width + 2 * columns
    sheet = np.zeros(height * sheet_width)
    for part, rows in _rows(streaks, height=height, columns=columns):
        centre = part.x + (rows - part.y) * part.sine / part.cosine
        first = np.floor(centre - columns / 2).astype(np.int64) + 1
        inside = (first > -columns) & (first < width)
        part, rows, first = part[inside], rows[inside], first[inside]
        offsets = np.arange(columns)
        light = _light(part, rows=rows, columns=first[:, None] + offsets)
        place = (rows.astype(np.int64) * sheet_width + first + columns)[:, None] + offsets
        # the rows of a part are close together, so the sums cover a small band of the sheet
        start = int(place.min(initial=sheet.size))
        sums = np.bincount((place - start).ravel(), weights=light.ravel())
        sheet[start : start + len(sums)] += sums
    return sheet.reshape(height, sheet_width)[:, columns : columns + width].astype(np.float32)


def _rows(streaks: Streaks, *, height: int, columns: int) -> Iterator[tuple[Streaks, Floats]]:
    """Yield streaks, from the top down, repeated for every row that they touch, with those rows.

    Each part has at most CHUNK samples (`columns` for each row), unless one streak has more.
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
        counts_here = counts[start:stop]
        index = np.repeat(np.arange(start, stop), counts_here)
        first_row = np.repeat(ends[start:stop] - counts_here - done, counts_here)
        row = top[index] + np.arange(len(index)) - first_row
        yield streaks[index], row.astype(np.float32)
        start = stop


def _light(part: Streaks, *, rows: Floats, columns: NDArray[np.int64]) -> Floats:
    """Return the light of each streak at (row, columns), (N,) and (N, C) -> (N, C).

    light * (1 - u^2)^2 * (1 - v^4), with u across and v along the streak, both 1 at its border;
    0 outside.
    """
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
