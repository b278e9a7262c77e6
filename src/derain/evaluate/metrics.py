"""Distance of a restored picture from the clean one: PSNR, SSIM and MAE in float64.

Every function takes two arrays (H, W) or (H, W, C) of the same shape and any real dtype. Integers
are not scaled, so 8-bit pictures need `peak=255`. Which pixels to compare (RGB or luma, rounded or
not) is up to the protocol: see `derain.evaluate.protocols`.
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
"""Border handling of SSIM: pad the picture with zeros, or keep the window inside."""

WINDOW_PX = 11
SIGMA_PX = 1.5
K1, K2 = 0.01, 0.03

_STRIP_PX = 32  # the four moments of such a strip, 481 px wide, stay in the second-level cache
_PRODUCT_PX = 128


def psnr(restored: Image, clean: Image, *, peak: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio in dB; `math.inf` for identical pictures.

        MSE = mean (x - y)^2 over all pixels and channels
        PSNR = 10 log10(peak^2 / MSE)

    Both are (H, W) or (H, W, C). `peak` is their white: 1 for floats in 0..1, 255 for 8 bits.
    Raises ValueError for pictures of different shapes.

    >>> round(psnr(np.full((4, 4), 0.5), np.full((4, 4), 0.6)), 2)  # MSE = 0.01
    20.0
    """
    x, y = _as_float64(restored, clean)
    return psnr_from_mse(float(np.mean(np.square(x - y))), peak=peak)


def psnr_from_mse(mse: float, *, peak: float = 1.0) -> float:
    """Return the PSNR in dB for a mean squared error; `math.inf` for 0."""
    return math.inf if mse == 0 else 10 * math.log10(peak**2 / mse)


def mse_from_psnr(psnr_db: float, *, peak: float = 1.0) -> float:
    """Return the mean squared error for a PSNR in dB: the inverse of `psnr_from_mse`."""
    return float(peak**2 * 10 ** (-psnr_db / 10))


def mae(restored: Image, clean: Image) -> float:
    """Return the mean absolute error over all pixels and channels, in the unit of the pictures."""
    x, y = _as_float64(restored, clean)
    return float(np.mean(np.abs(x - y)))


def ssim(restored: Image, clean: Image, *, peak: float = 1.0, border: Border = "valid") -> float:
    """Return the structural similarity (Wang et al., IEEE TIP 2004), mean of all positions.

        SSIM = (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2))
        C1 = (K1 peak)^2, C2 = (K2 peak)^2, K1 = 0.01, K2 = 0.03

    m, s^2 and s_xy are the means, variances and covariance under an 11x11 Gaussian window of sigma
    1.5; they are weighted by the window, without the n - 1 correction. Colour pictures get the mean
    of their channels. `border="valid"` keeps the positions where the window lies inside, like
    Wang's `ssim_index.m`. `border="zero"` keeps all positions and pads with zeros, like the SSIM
    loss of deraining networks. Nothing is subsampled. `peak` is the white of the pictures, as in
    `psnr`. Raises ValueError for pictures of different shapes, or smaller than the window.

    >>> flat = np.full((16, 20), 0.5), np.full((16, 20), 0.3)  # no variance: 0.3001 / 0.3401
    >>> round(ssim(*flat), 4)
    0.8824
    """
    x, y = _as_float64(restored, clean)
    if border == "zero":
        around = [(WINDOW_PX // 2, WINDOW_PX // 2)] * 2 + [(0, 0)] * (x.ndim - 2)
        x, y = np.pad(x, around), np.pad(y, around)
    if min(x.shape[:2]) < WINDOW_PX:
        raise ValueError(
            f"a picture of {x.shape[1]}x{x.shape[0]} px is smaller than the "
            f"{WINDOW_PX}x{WINDOW_PX} window of SSIM"
        )
    if x.ndim == 2:
        return _ssim_of_plane(x, y, peak)
    return float(np.mean([_ssim_of_plane(x[..., c], y[..., c], peak) for c in range(x.shape[2])]))


def _ssim_of_plane(x: Plane, y: Plane, peak: float) -> float:
    """Return the mean of the SSIM map where the window lies inside, in strips for the cache."""
    height, width = (length - WINDOW_PX + 1 for length in x.shape)
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    total = 0.0
    for top in range(0, height, _STRIP_PX):
        strip = slice(top, min(top + _STRIP_PX, height) + WINDOW_PX - 1)
        a, b = x[strip], y[strip]
        # the formula needs only the sum of both variances, so four blurs suffice instead of five
        mean_a, mean_b, squares, product = _blur(np.stack([a, b, a * a + b * b, a * b]))
        means_product = mean_a * mean_b
        means_squares = mean_a * mean_a + mean_b * mean_b
        luminance = (2 * means_product + c1) / (means_squares + c1)
        contrast_structure = (2 * (product - means_product) + c2) / (squares - means_squares + c2)
        total += float(np.sum(luminance * contrast_structure))
    return float(total / (height * width))


def _blur(planes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Apply the Gaussian window along both axes: (K, H, W) -> (K, H - 10, W - 10).

    Products with banded matrices are a dozen times faster in BLAS than shifting and adding. Each
    product is small enough for BLAS to stay on one thread: several threads would wait for each
    other, and on a busy machine for everything else.
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
    """Return (length, length + 10) with the window at i in row i.

    `_band(n) @ signal` is then the valid correlation of the signal with the window.
    """
    offsets = np.arange(length + WINDOW_PX - 1) - np.arange(length)[:, None] - WINDOW_PX // 2
    band = np.where(abs(offsets) <= WINDOW_PX // 2, np.exp(-(offsets**2) / (2 * SIGMA_PX**2)), 0.0)
    return np.asarray(band / band.sum(axis=1, keepdims=True))


def _as_float64(
    restored: Image, clean: Image
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if restored.shape != clean.shape:
        raise ValueError(f"pictures of different shapes: {restored.shape} and {clean.shape}")
    return np.asarray(restored, dtype=np.float64), np.asarray(clean, dtype=np.float64)
