"""Registration: how one picture maps onto another, and whether their pixels agree where they do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

COMPARED_PX = 96
"""Longer side of the common part when its pixels are compared, coarse enough for small errors."""
MIN_OVERLAP_PX = 48
"""A common part with a shorter side proves nothing."""
SLACK_PX = 3
"""Shift that is tried in each direction when pixels are compared."""
DETAIL_PX = 7
"""Side of the window whose mean is subtracted to leave fine detail."""
MAX_SCALE_DEVIATION = 1.34
"""Largest factor by which a fitted scale may differ from the scale of the seeds."""
MIN_SPREAD_PX = 20
"""Standard deviation of points below which they do not determine a scale."""


@dataclass(frozen=True)
class Transform:
    """Map (x, y) of the first picture to scale * (orientation @ (x, y)) + shift in the second."""

    orientation: Floats
    """(2, 2) one of the eight ways to rotate and mirror, with entries 0, 1 and -1."""
    scale: Floats
    """(2,)"""
    shift: Floats
    """(2,)"""

    @staticmethod
    def of_whole(orientation: Floats, size: tuple[int, int], onto: tuple[int, int]) -> Transform:
        """Map a whole picture of `size` (width, height) onto a whole picture of size `onto`."""
        scale = np.array(onto) / (np.abs(orientation) @ np.array(size))
        centre, onto_centre = (np.array(size) - 1) / 2, (np.array(onto) - 1) / 2
        return Transform(orientation, scale, onto_centre - scale * (orientation @ centre))

    @staticmethod
    def fitted(
        orientation: Floats,
        scale: float,
        *,
        seeds: tuple[Floats, Floats],
        points: tuple[Floats, Floats],
    ) -> Transform:
        """Fit a transform to points of both pictures, each (N, 2), by least squares.

        The fit starts from `seeds`, which agree at `scale`, and adds those of `points` that map
        close to their partners. The scale may differ between the axes, and by a third from `scale`.
        """
        transform = _least_squares(orientation, scale, *seeds)
        for reach_px in (24.0, 12.0, 6.0):
            error = transform.scale * (points[0] @ orientation.T) + transform.shift - points[1]
            near = np.abs(error).max(axis=1) < reach_px
            if near.sum() >= len(seeds[0]):
                transform = _least_squares(orientation, scale, points[0][near], points[1][near])
        return transform


def _least_squares(orientation: Floats, scale: float, first: Floats, second: Floats) -> Transform:
    """Fit a scale for each axis and a shift to points, each (N, 2)."""
    oriented = first @ orientation.T
    spread = oriented - oriented.mean(axis=0)
    covariance = (spread * (second - second.mean(axis=0))).sum(axis=0)
    slope = covariance / np.maximum((spread**2).sum(axis=0), 1e-9)
    is_wide = np.sqrt((spread**2).mean(axis=0)) > MIN_SPREAD_PX
    scales = np.clip(
        np.where(is_wide, slope, scale), scale / MAX_SCALE_DEVIATION, scale * MAX_SCALE_DEVIATION
    )
    return Transform(orientation, scales, (second - scales * oriented).mean(axis=0))


def correlation(first: Image.Image, second: Image.Image, transform: Transform) -> float:
    """Return the correlation of fine detail where two grey pictures (mode L) overlap.

    0 if they hardly overlap. Coarse structure is left out, because two skies, or two dark scenes
    with a bright centre, share it by chance.
    """
    parts = _common_parts(first, second, transform)
    if parts is None:
        return 0.0
    first_detail, second_detail = (_detail(np.asarray(part, dtype=np.float64)) for part in parts)
    if transform.orientation[0, 0] == 0:
        first_detail = first_detail.T
    down, across = (1 if transform.orientation[axis].sum() > 0 else -1 for axis in (1, 0))
    first_detail = first_detail[::down, ::across]
    inner = first_detail[SLACK_PX:-SLACK_PX, SLACK_PX:-SLACK_PX]
    height, width = inner.shape
    best = 0.0
    for top in range(2 * SLACK_PX + 1):
        for left in range(2 * SLACK_PX + 1):
            shifted = second_detail[top : top + height, left : left + width]
            norm = np.sqrt((inner**2).sum() * (shifted**2).sum() + 1e-9)
            best = max(best, float((inner * shifted).sum() / norm))
    return best


def _common_parts(
    first: Image.Image, second: Image.Image, transform: Transform
) -> tuple[Image.Image, Image.Image] | None:
    """Cut the part that both show out of both, at the same size; None if it is too small.

    The part of the first picture is not rotated or mirrored yet.
    """
    corners = np.array([[-0.5, -0.5], [first.width - 0.5, first.height - 0.5]])
    mapped = transform.scale * (corners @ transform.orientation.T) + transform.shift
    ends = np.sort(mapped, axis=0)
    low = np.maximum(ends[0], -0.5)
    high = np.minimum(ends[1], np.array(second.size) - 0.5)
    if min(high - low) < MIN_OVERLAP_PX:
        return None
    second_ends = np.stack([low, high])
    first_ends = np.sort(
        ((second_ends - transform.shift) / transform.scale) @ transform.orientation, axis=0
    )
    if min(first_ends[1] - first_ends[0]) < MIN_OVERLAP_PX:
        return None
    sides = np.rint((high - low) * COMPARED_PX / max(high - low))
    width, height = np.maximum(sides, 4 * SLACK_PX).astype(int).tolist()
    first_size = (height, width) if transform.orientation[0, 0] == 0 else (width, height)
    return (
        first.resize(first_size, Image.Resampling.BOX, box=_box(first_ends, first)),
        second.resize((width, height), Image.Resampling.BOX, box=_box(second_ends, second)),
    )


def _box(ends: Floats, image: Image.Image) -> tuple[float, float, float, float]:
    """Return the box between two points, (2, 2), in Pillow's coordinates."""
    low = np.clip(ends[0] + 0.5, 0, image.size)
    high = np.clip(ends[1] + 0.5, 0, image.size)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _detail(image: Floats) -> Floats:
    """Subtract the mean of 7 x 7 pixels, and limit the rest so that no strong edge dominates."""
    sums = np.pad(image, DETAIL_PX // 2 + 1, mode="edge").cumsum(axis=0).cumsum(axis=1)
    n = DETAIL_PX
    mean = (sums[n:, n:] - sums[:-n, n:] - sums[n:, :-n] + sums[:-n, :-n]) / n**2
    detail = image - mean[: image.shape[0], : image.shape[1]]
    limit = 3 * np.abs(detail).mean() + 1e-9
    clipped: Floats = np.clip(detail, -limit, limit)
    return clipped
