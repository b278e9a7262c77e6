"""NIQE: distance of a photo's statistics from those of clean photos, without a clean picture.

Mittal, Soundararajan and Bovik, "Making a 'Completely Blind' Image Quality Analyzer", IEEE SPL
20(3), 2013. Lower is better. The clean photos behind `pristine()` are our own
(docs/protocols/niqe.md), so figures compare with those of derain only, not with MATLAB's.
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
from derain.evaluate.protocols import check_picture, eight_bit, luma

Floats = npt.NDArray[np.float64]

PATCH_PX = 96
"""Side of the blocks at full size; 48 at half size."""

MIN_SIDE_PX = 2 * PATCH_PX
"""Shortest allowed side of a photo: fewer than four blocks have no covariance worth using."""

MIN_SHARPNESS = 0.75
"""Sharpness of the blocks used for clean photos, relative to the sharpest block of the photo."""

_WINDOW = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
_WINDOW /= _WINDOW.sum()
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # right, below, and along both diagonals


@dataclass(frozen=True)
class Pristine:
    """The 36 statistics of clean photos as a Gaussian: `mean` (36,), `covariance` (36, 36)."""

    mean: Floats
    covariance: Floats

    @staticmethod
    def fit(photos: Iterable[Image]) -> Pristine:
        """Fit to clean photos, (H, W, 3) or (H, W) each, with no side below MIN_SIDE_PX."""
        features = np.concatenate(
            [
                blocks[sharpness >= MIN_SHARPNESS * sharpness.max()]
                for blocks, sharpness in map(block_statistics, photos)
            ]
        )
        return Pristine(features.mean(axis=0), np.cov(features, rowvar=False))

    def save(self, path: Path) -> None:
        """Write an `.npz` file."""
        np.savez_compressed(path, mean=self.mean, covariance=self.covariance)


@lru_cache(maxsize=1)
def pristine() -> Pristine:
    """Return the Gaussian of the clean photos that ships with derain."""
    data = files("derain.evaluate").joinpath("pristine.npz").read_bytes()
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return Pristine(arrays["mean"], arrays["covariance"])


def niqe(photo: Image, *, against: Pristine | None = None) -> float:
    """Return the distance of a photo from clean ones, 0 or more; lower is better.

        NIQE = sqrt((v1 - v2)' ((S1 + S2) / 2)^-1 (v1 - v2))    (equation 10)
        v1, S1: mean and covariance of the photo's blocks; v2, S2: those of clean photos

    The photo is (H, W, 3) or (H, W), of any dtype that `protocols.score` accepts; the figure is
    taken on the luma of the 8-bit picture. Raises ValueError for a side below MIN_SIDE_PX and for
    arrays that are not pictures.

    >>> grey = np.full((192, 192, 3), 128, np.uint8)
    >>> noise = np.random.default_rng(0).integers(0, 256, grey.shape, dtype=np.uint8)
    >>> niqe(noise, against=Pristine.fit([noise])) < niqe(grey, against=Pristine.fit([noise]))
    True
    """
    against = against or pristine()
    blocks, _ = block_statistics(photo)
    offset = blocks.mean(axis=0) - against.mean
    covariance = (np.cov(blocks, rowvar=False) + against.covariance) / 2
    return float(np.sqrt(offset @ np.linalg.pinv(covariance) @ offset))


def block_statistics(photo: Image) -> tuple[Floats, Floats]:
    """Return (N, 36) statistics of the N whole blocks of a photo, and (N,) the sharpness of each.

    The first 18 statistics are taken at full size, the others at half size.
    """
    grey = _grey(photo)
    height, width = (length // PATCH_PX * PATCH_PX for length in grey.shape)
    if min(grey.shape) < MIN_SIDE_PX:
        raise ValueError(
            f"a photo of {grey.shape[1]}x{grey.shape[0]} px is smaller than the "
            f"{MIN_SIDE_PX} px that NIQE needs"
        )
    full = grey[:height, :width]
    half = PillowImage.fromarray(full.astype(np.float32)).resize(
        (width // 2, height // 2), PillowImage.Resampling.BICUBIC
    )
    normalised, deviation = _normalise(full)
    normalised_half, _ = _normalise(np.asarray(half, dtype=np.float64))
    features = np.concatenate(
        [_features(normalised, PATCH_PX), _features(normalised_half, PATCH_PX // 2)], axis=1
    )
    return features, _split_blocks(deviation, PATCH_PX).mean(axis=1)


def _grey(photo: Image) -> Plane:
    check_picture(photo, "photo")
    levels = eight_bit(photo)
    return np.rint(
        luma((np.repeat(levels[..., None], 3, axis=2) if levels.ndim == 2 else levels) / 255) * 255
    )


def _normalise(plane: Plane) -> tuple[Plane, Plane]:
    """Return (plane - local mean) / (local deviation + 1) (equations 1 to 3), and the deviation."""
    mean = _blur(plane)
    deviation = np.sqrt(np.abs(_blur(plane * plane) - mean * mean))
    return (plane - mean) / (deviation + 1), deviation


def _blur(plane: Plane) -> Plane:
    padded = np.pad(plane, 3, mode="edge")
    rows = sum(weight * padded[i : i + plane.shape[0]] for i, weight in enumerate(_WINDOW))
    return np.asarray(
        sum(weight * rows[:, i : i + plane.shape[1]] for i, weight in enumerate(_WINDOW))
    )


def _features(normalised: Plane, side: int) -> Floats:
    """Return (N, 18): shape and width of the values of each block, then its neighbour products.

    The products with each of four neighbours give four features: shape, mean and both widths.
    """
    flat_blocks = _split_blocks(normalised, side)
    shape, _, left, right = _fit_asymmetric(flat_blocks)
    features = [shape, (left + right) / 2]
    blocks = flat_blocks.reshape(-1, side, side)
    for down, across in _NEIGHBOURS:
        # neighbours wrap around inside the block
        products = blocks * np.roll(blocks, (down, across), axis=(1, 2))
        features += _fit_asymmetric(products.reshape(len(blocks), -1))
    return np.stack(features, axis=1)


def _split_blocks(plane: Plane, side: int) -> Floats:
    """Split into adjacent blocks in row order: (H, W) -> (N, side * side)."""
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    return (
        plane.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(rows * columns, side * side)
    )


def _fit_asymmetric(values: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Fit a generalised Gaussian with two widths to each row by moments (Lasmar et al., ICIP 2009).

    Returns shape, mean, left and right width.
    """
    squares, negative = values**2, values < 0
    left, right = (
        np.sqrt((squares * side).sum(axis=1) / np.maximum(side.sum(axis=1), 1))
        for side in (negative, values > 0)
    )
    ratio = np.divide(left, right, out=np.ones_like(left), where=right > 0)
    peaked = np.abs(values).mean(axis=1) ** 2 / np.maximum(squares.mean(axis=1), 1e-12)
    peaked *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, ratios, first, third = _gamma_table()
    index = np.clip(np.searchsorted(ratios, peaked), 0, len(shapes) - 1)
    scale = np.sqrt(first[index] / third[index])
    left, right = left * scale, right * scale
    second = np.array([math.gamma(2 / shape) for shape in shapes[index]])
    return shapes[index], (right - left) * second / first[index], left, right


@lru_cache(maxsize=1)
def _gamma_table() -> tuple[Floats, Floats, Floats, Floats]:
    """Return shapes 0.2 to 10, their ratios (E|x|)^2 / E x^2, gamma(1 / shape), gamma(3 / shape).

    The ratio grows with the shape.
    """
    shapes = np.arange(200, 10_001) / 1000
    first, second, third = (
        np.array([math.gamma(k / shape) for shape in shapes]) for k in (1, 2, 3)
    )
    return shapes, second**2 / (first * third), first, third
