"""How far a restored picture is from the clean one: PSNR, SSIM and MAE in float64, one value for each picture.

Every function takes (H, W) or (H, W, C) of one shape and any real dtype; integers are taken at face value, so 8-bit pictures
go with `peak=255`. Which pixels to compare (RGB or luma, rounded or not) is the protocol's business: `derain.evaluate.protocols`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[Any]
"""(H, W) or (H, W, C), of any real dtype."""

Plane = npt.NDArray[np.float64]
"""(H, W)."""

Border = Literal["zero", "valid"]
"""What SSIM's window does at the border: go on over zeros, or stay inside the picture."""

WINDOW_PX = 11
SIGMA_PX = 1.5
K1, K2 = 0.01, 0.03

_STRIP_PX = (
    32  # a strip of the four moments of a 481 px wide picture stays in the second-level cache
)
_PRODUCT_PX = 128


def psnr(restored: Image, clean: Image, *, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB, the squared error averaged over all channels; `math.inf` for identical pictures."""
    x, y = _float64(restored, clean)
    return psnr_of(float(np.mean(np.square(x - y))), peak=peak)


def psnr_of(mean_square_error: float, *, peak: float = 1.0) -> float:
    """The PSNR in dB of a mean squared error; `math.inf` for none."""
    return math.inf if mean_square_error == 0 else 10 * math.log10(peak**2 / mean_square_error)


def mean_square_of(psnr_db: float, *, peak: float = 1.0) -> float:
    """The mean squared error that has this PSNR in dB: the inverse of `psnr_of`."""
    return float(peak**2 * 10 ** (-psnr_db / 10))


def mae(restored: Image, clean: Image) -> float:
    """Mean absolute error over all pixels and channels, in the pictures' own unit."""
    x, y = _float64(restored, clean)
    return float(np.mean(np.abs(x - y)))


def ssim(restored: Image, clean: Image, *, peak: float = 1.0, border: Border = "valid") -> float:
    """Structural similarity (Wang et al., IEEE TIP 2004), the mean over positions and then over channels.

    11x11 Gaussian of sigma 1.5, K1 = 0.01, K2 = 0.03, variances weighted by the window (not by n - 1). `border="valid"` keeps the
    positions whose window lies inside, as Wang's `ssim_index.m`; `"zero"` keeps all of them and pads with zeros, as the SSIM
    that deraining networks are trained with. Nothing is subsampled here. Raises ValueError for a picture smaller than the window.
    """
    x, y = _float64(restored, clean)
    if border == "zero":
        around = [(WINDOW_PX // 2, WINDOW_PX // 2)] * 2 + [(0, 0)] * (x.ndim - 2)
        x, y = np.pad(x, around), np.pad(y, around)
    if min(x.shape[:2]) < WINDOW_PX:
        raise ValueError(
            f"a picture of {x.shape[1]}x{x.shape[0]} px is smaller than the {WINDOW_PX}x{WINDOW_PX} window of SSIM"
        )
    if x.ndim == 2:
        return _ssim_of_plane(x, y, peak)
    return float(np.mean([_ssim_of_plane(x[..., c], y[..., c], peak) for c in range(x.shape[2])]))


def _ssim_of_plane(x: Plane, y: Plane, peak: float) -> float:
    """The mean of the SSIM map over the positions whose window lies inside, a strip of rows at a time to stay in the cache."""
    height, width = (length - WINDOW_PX + 1 for length in x.shape)
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    total = 0.0
    for top in range(0, height, _STRIP_PX):
        strip = slice(top, min(top + _STRIP_PX, height) + WINDOW_PX - 1)
        a, b = x[strip], y[strip]
        # the variances occur only as their sum, so four blurs do where the formula shows five
        mean_a, mean_b, squares, product = _blur(np.stack([a, b, a * a + b * b, a * b]))
        means_product = mean_a * mean_b
        means_squares = mean_a * mean_a + mean_b * mean_b
        luminance = (2 * means_product + c1) / (means_squares + c1)
        contrast_structure = (2 * (product - means_product) + c2) / (squares - means_squares + c2)
        total += float(np.sum(luminance * contrast_structure))
    return float(total / (height * width))


def _blur(planes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(K, H, W) -> (K, H - 10, W - 10): the Gaussian window, both ways.

    As products with banded matrices: BLAS makes them a dozen times faster than shifting and adding. Each product is so small
    that BLAS keeps to one thread: several would wait for each other, and on a busy machine for everything else.
    """
    _, height, width = planes.shape
    rows = np.empty((len(planes), height - WINDOW_PX + 1, width))
    for left in range(0, width, _PRODUCT_PX):
        columns = slice(left, left + _PRODUCT_PX)
        rows[..., columns] = _band(rows.shape[1]) @ planes[..., columns]
    blurred = np.empty((*rows.shape[:2], width - WINDOW_PX + 1))
    for left in range(0, blurred.shape[2], _STRIP_PX):
        right = min(left + _STRIP_PX, blurred.shape[2])
        blurred[..., left:right] = rows[..., left : right + WINDOW_PX - 1] @ _band(right - left).T
    return blurred


@lru_cache(maxsize=64)
def _band(length: int) -> npt.NDArray[np.float64]:
    """(length, length + 10): row i holds the window at i, so `_band(n) @ signal` is the signal's valid correlation with it."""
    offsets = np.arange(length + WINDOW_PX - 1) - np.arange(length)[:, None] - WINDOW_PX // 2
    band = np.where(abs(offsets) <= WINDOW_PX // 2, np.exp(-(offsets**2) / (2 * SIGMA_PX**2)), 0.0)
    return np.asarray(band / band.sum(axis=1, keepdims=True))


def _float64(
    restored: Image, clean: Image
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if restored.shape != clean.shape:
        raise ValueError(f"pictures of different shapes: {restored.shape} and {clean.shape}")
    return np.asarray(restored, dtype=np.float64), np.asarray(clean, dtype=np.float64)
