"""NIQE: how far the statistics of a photo are from those of clean photos, where there is no clean picture to compare with.

Mittal, Soundararajan and Bovik, "Making a 'Completely Blind' Image Quality Analyzer", IEEE SPL 20(3), 2013. Lower is better. The
clean photos behind `pristine()` are our own (docs/protocols/niqe.md): a figure compares with those of derain, not with MATLAB's.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from derain.evaluate.metrics import Image, Plane
from derain.evaluate.protocols import eight_bit, luma

Floats = npt.NDArray[np.float64]

PATCH_PX = 96
"The side of the blocks whose statistics are taken; 48 at half size."

SMALLEST_PX = 2 * PATCH_PX
"The shortest side of a photo: fewer than four blocks have no statistics."

SHARP = 0.75
"Clean photos are learnt from the blocks that have this share of the sharpness of their sharpest block."

_WINDOW = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
_WINDOW /= _WINDOW.sum()
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # right, below, and along both diagonals


@dataclass(frozen=True)
class Pristine:
    """The 36 statistics of clean photos as a Gaussian: `mean` (36,) and `covariance` (36, 36)."""

    mean: Floats
    covariance: Floats

    @staticmethod
    def fitted(photos: Iterable[Image]) -> Pristine:
        """Learn from clean photos, (H, W, 3) or (H, W) each, no side shorter than SMALLEST_PX."""
        features = np.concatenate(
            [blocks[sharp >= SHARP * sharp.max()] for blocks, sharp in map(statistics, photos)]
        )
        return Pristine(features.mean(axis=0), np.cov(features, rowvar=False))

    def save(self, path: Path) -> None:
        """Write an `.npz` file."""
        np.savez_compressed(path, mean=self.mean, covariance=self.covariance)


@lru_cache(maxsize=1)
def pristine() -> Pristine:
    """The clean photos that ship with derain, as a Gaussian."""
    data = files("derain.evaluate").joinpath("pristine.npz").read_bytes()
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return Pristine(arrays["mean"], arrays["covariance"])


def niqe(photo: Image, *, against: Pristine | None = None) -> float:
    """How far a photo, (H, W, 3) or (H, W) of any dtype that `protocols.score` takes, is from clean ones: 0 and up.

    Taken on the luma of the 8-bit picture. Raises ValueError for a side shorter than SMALLEST_PX.
    """
    against = against or pristine()
    blocks, _ = statistics(photo)
    away = blocks.mean(axis=0) - against.mean
    covariance = (np.cov(blocks, rowvar=False) + against.covariance) / 2
    return float(np.sqrt(away @ np.linalg.pinv(covariance) @ away))


def statistics(photo: Image) -> tuple[Floats, Floats]:
    """(N, 36) statistics of the N whole blocks of a photo, 18 at full and 18 at half size, and (N,) how sharp each block is."""
    grey = _grey(photo)
    height, width = (length // PATCH_PX * PATCH_PX for length in grey.shape)
    if min(grey.shape) < SMALLEST_PX:
        raise ValueError(
            f"a photo of {grey.shape[1]}x{grey.shape[0]} px is smaller than the {SMALLEST_PX} px that NIQE needs"
        )
    full = grey[:height, :width]
    half = PillowImage.fromarray(full.astype(np.float32)).resize(
        (width // 2, height // 2), PillowImage.Resampling.BICUBIC
    )
    normal, deviation = _normalised(full)
    normal_half, _ = _normalised(np.asarray(half, dtype=np.float64))
    features = np.concatenate(
        [_of_blocks(normal, PATCH_PX), _of_blocks(normal_half, PATCH_PX // 2)], axis=1
    )
    return features, _blocks(deviation, PATCH_PX).mean(axis=1)


def _grey(photo: Image) -> Plane:
    levels = eight_bit(photo)
    return np.rint(
        luma((np.repeat(levels[..., None], 3, axis=2) if levels.ndim == 2 else levels) / 255) * 255
    )


def _normalised(plane: Plane) -> tuple[Plane, Plane]:
    """Each pixel less the mean about it, over the deviation about it plus one (equations 1 to 3), and that deviation."""
    mean = _blurred(plane)
    deviation = np.sqrt(np.abs(_blurred(plane * plane) - mean * mean))
    return (plane - mean) / (deviation + 1), deviation


def _blurred(plane: Plane) -> Plane:
    padded = np.pad(plane, 3, mode="edge")
    rows = sum(weight * padded[i : i + plane.shape[0]] for i, weight in enumerate(_WINDOW))
    return np.asarray(
        sum(weight * rows[:, i : i + plane.shape[1]] for i, weight in enumerate(_WINDOW))
    )


def _of_blocks(normal: Plane, side: int) -> Floats:
    """(N, 18): shape and width of the values, then shape, mean and both widths of the products with four neighbours."""
    shape, _, left, right = _asymmetric(_blocks(normal, side))
    features = [shape, (left + right) / 2]
    blocks = _blocks(normal, side).reshape(
        -1, side, side
    )  # a neighbour is looked for inside the block, round its edge
    for down, across in _NEIGHBOURS:
        features += _asymmetric(
            (blocks * np.roll(blocks, (down, across), axis=(1, 2))).reshape(len(blocks), -1)
        )
    return np.stack(features, axis=1)


def _blocks(plane: Plane, side: int) -> Floats:
    """(H, W) -> (N, side * side): the blocks side by side, row after row."""
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    return (
        plane.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(rows * columns, side * side)
    )


def _asymmetric(values: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Fit a generalised Gaussian with two widths to each row, by moments (Lasmar et al., ICIP 2009): shape, mean, both widths."""
    squares, negative = values**2, values < 0
    left, right = (
        np.sqrt((squares * side).sum(axis=1) / np.maximum(side.sum(axis=1), 1))
        for side in (negative, values > 0)
    )
    ratio = np.divide(left, right, out=np.ones_like(left), where=right > 0)
    peaked = np.abs(values).mean(axis=1) ** 2 / np.maximum(squares.mean(axis=1), 1e-12)
    peaked *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, ratios, first, third = _gamma_table()
    place = np.clip(np.searchsorted(ratios, peaked), 0, len(shapes) - 1)
    scale = np.sqrt(first[place] / third[place])
    left, right = left * scale, right * scale
    second = np.array([math.gamma(2 / shape) for shape in shapes[place]])
    return shapes[place], (right - left) * second / first[place], left, right


@lru_cache(maxsize=1)
def _gamma_table() -> tuple[Floats, Floats, Floats, Floats]:
    """Shapes from 0.2 to 10, the ratio E|x|^2 / E x^2 of each, which grows with it, gamma(1 / shape) and gamma(3 / shape)."""
    shapes = np.arange(200, 10_001) / 1000
    first, second, third = (
        np.array([math.gamma(k / shape) for shape in shapes]) for k in (1, 2, 3)
    )
    return shapes, second**2 / (first * third), first, third
