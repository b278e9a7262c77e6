"""How one picture lies on another, and whether their pixels agree where they do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

COMPARED_PX = 96  # the longer side of the common part when its pixels are compared: a placement may be off by a few pixels
LEAST_PX = 48  # a common part with a shorter side proves nothing
SLACK_PX = 3


@dataclass(frozen=True)
class Transform:
    """(x, y) in the second picture = scale * (lie @ (x, y) in the first) + shift."""

    lie: Floats
    """(2, 2) one of the eight ways to turn and mirror: entries 0, 1 and -1."""
    scale: Floats
    """(2,)"""
    shift: Floats
    """(2,)"""

    @staticmethod
    def of_whole(lie: Floats, size: tuple[int, int], onto: tuple[int, int]) -> Transform:
        """The placement of a whole picture of `size` (width, height) on a whole one."""
        scale = np.array(onto) / (np.abs(lie) @ np.array(size))
        return Transform(
            lie, scale, (np.array(onto) - 1) / 2 - scale * (lie @ ((np.array(size) - 1) / 2))
        )

    @staticmethod
    def fitted(
        lie: Floats, scale: float, *, seeds: tuple[Floats, Floats], points: tuple[Floats, Floats]
    ) -> Transform:
        """The placement that takes points of the first picture, (N, 2), closest to those of the second.

        It starts from `seeds`, which agree at `scale`, and takes in those of `points` that come to lie close. The scale may
        differ by axis, and by a third from `scale`.
        """
        placement = _least_squares(lie, scale, *seeds)
        for reach_px in (24.0, 12.0, 6.0):
            away = placement.scale * (points[0] @ lie.T) + placement.shift - points[1]
            near = np.abs(away).max(axis=1) < reach_px
            if near.sum() >= len(seeds[0]):
                placement = _least_squares(lie, scale, points[0][near], points[1][near])
        return placement


def _least_squares(lie: Floats, scale: float, first: Floats, second: Floats) -> Transform:
    turned = first @ lie.T
    spread = turned - turned.mean(axis=0)
    slope = (spread * (second - second.mean(axis=0))).sum(axis=0) / np.maximum(
        (spread**2).sum(axis=0), 1e-9
    )
    ample = np.sqrt((spread**2).mean(axis=0)) > 20  # points in one spot say nothing about scale
    scales = np.clip(np.where(ample, slope, scale), scale / 1.34, scale * 1.34)
    return Transform(lie, scales, (second - scales * turned).mean(axis=0))


def correlation(first: Image.Image, second: Image.Image, placement: Transform) -> float:
    """Correlation of fine detail, where two grey pictures (mode L) overlap under `placement`; 0 if they hardly do.

    Detail is what a blur takes away: two skies, or two dark scenes with a bright middle, have the rest in common by chance.
    """
    parts = _common(first, second, placement)
    if parts is None:
        return 0.0
    one, two = (_detail(np.asarray(part, dtype=np.float64)) for part in parts)
    if placement.lie[0, 0] == 0:
        one = one.T
    one = one[
        :: 1 if placement.lie[1].sum() > 0 else -1, :: 1 if placement.lie[0].sum() > 0 else -1
    ]
    inner = one[SLACK_PX:-SLACK_PX, SLACK_PX:-SLACK_PX]
    best = 0.0
    for top in range(2 * SLACK_PX + 1):
        for left in range(2 * SLACK_PX + 1):
            moved = two[top : top + inner.shape[0], left : left + inner.shape[1]]
            best = max(
                best,
                float((inner * moved).sum() / np.sqrt((inner**2).sum() * (moved**2).sum() + 1e-9)),
            )
    return best


def _common(
    first: Image.Image, second: Image.Image, placement: Transform
) -> tuple[Image.Image, Image.Image] | None:
    """The part that both show, cut out of both and brought to one size; the first is not yet turned."""
    corners = np.array([[-0.5, -0.5], [first.width - 0.5, first.height - 0.5]])
    ends = np.sort(placement.scale * (corners @ placement.lie.T) + placement.shift, axis=0)
    low = np.maximum(ends[0], -0.5)
    high = np.minimum(ends[1], np.array(second.size) - 0.5)
    if min(high - low) < LEAST_PX:
        return None
    back = np.sort(
        ((np.stack([low, high]) - placement.shift) / placement.scale) @ placement.lie, axis=0
    )
    if min(back[1] - back[0]) < LEAST_PX:
        return None
    width, height = (
        np.maximum(np.rint((high - low) * COMPARED_PX / max(high - low)), 4 * SLACK_PX)
        .astype(int)
        .tolist()
    )
    turned = (height, width) if placement.lie[0, 0] == 0 else (width, height)
    return (
        first.resize(turned, Image.Resampling.BOX, box=_box(back, first)),
        second.resize(
            (width, height), Image.Resampling.BOX, box=_box(np.stack([low, high]), second)
        ),
    )


def _box(ends: Floats, image: Image.Image) -> tuple[float, float, float, float]:
    low = np.clip(ends[0] + 0.5, 0, image.size)
    high = np.clip(ends[1] + 0.5, 0, image.size)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _detail(image: Floats) -> Floats:
    """What a 7 x 7 mean takes away, limited so that a few strong edges do not decide alone."""
    sums = np.pad(image, 4, mode="edge").cumsum(axis=0).cumsum(axis=1)
    size = 7
    mean = (
        sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    ) / size**2
    detail = image - mean[: image.shape[0], : image.shape[1]]
    limit = 3 * np.abs(detail).mean() + 1e-9
    clipped: Floats = np.clip(detail, -limit, limit)
    return clipped
