"""Image filters of the rain styles: blurs, resizing, thresholds and connected components."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]


def motion_kernel(length_px: float, angle_deg: float) -> Floats:
    """Return the kernel of a linear motion, normalised to a sum of 1.

    `angle_deg` is measured from the vertical; positive drifts to the right while falling. The
    weight of a pixel is max(1 - d, 0), with d its distance from the line.
    """
    half = max(length_px - 1, 0) / 2
    sine, cosine = np.sin(np.radians(angle_deg)), np.cos(np.radians(angle_deg))
    reach = int(np.ceil(half)) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along = x * sine + y * cosine
    beyond = np.maximum(np.abs(along) - half, 0)
    distance = np.hypot(x * cosine - y * sine, beyond)
    return _normalise(np.maximum(1 - distance, 0))


def gaussian_kernel(sigma_px: float) -> Floats:
    """Return a Gaussian kernel, cut at 3 sigma and normalised to a sum of 1."""
    reach = max(1, int(np.ceil(3 * sigma_px)))
    profile = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma_px, 1e-6)) ** 2)
    return _normalise(np.outer(profile, profile))


def _normalise(weights: NDArray[np.float64]) -> Floats:
    """Divide a kernel by its sum."""
    return np.asarray(weights / weights.sum(), np.float32)


def convolve(image: Floats, kernel: Floats) -> Floats:
    """Convolve (H, W) with a kernel of odd sides, by FFT. The border is extended by its mirror."""
    top, left = (side // 2 for side in kernel.shape)
    padded = np.pad(image, ((top, top), (left, left)), mode="symmetric")
    shape = padded.shape
    spectrum = np.fft.rfft2(padded) * np.fft.rfft2(kernel, s=shape)
    full = np.fft.irfft2(spectrum, s=shape)
    return full[2 * top :, 2 * left :].astype(np.float32)


def resize(image: Floats, height: int, width: int) -> Floats:
    """Resize (H, W) by bicubic interpolation, with anti-aliasing."""
    if image.shape == (height, width):
        return image
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    return np.array(resized, np.float32)


def otsu_threshold(image: Floats) -> float:
    """Return the threshold that maximises the variance between both classes (Otsu, 1979)."""
    counts, edges = np.histogram(image, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = sums / below - (sums[-1] - sums) / above
        variance = np.nan_to_num(below * above * difference**2)
    return float(edges[int(variance.argmax()) + 1])


def component_areas(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the area of the 8-connected component of each pixel, (H, W); 0 outside of the mask.

    Every pixel points to a pixel of its component with a larger index. Pointers are passed on to
    neighbours and followed in turn, so the number of rounds is logarithmic.
    """
    height, width = mask.shape
    label = np.arange(1, mask.size + 1, dtype=np.int64).reshape(mask.shape) * mask
    while True:
        padded = np.pad(label, 1)
        neighbours = [
            padded[dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)
        ]
        largest = np.maximum.reduce(neighbours) * mask
        followed = np.where(mask, label.ravel()[largest - 1], 0)
        updated = np.maximum(largest, followed)
        if np.array_equal(updated, label):
            break
        label = updated
    areas = np.bincount(label.ravel(), minlength=mask.size + 1)
    areas[0] = 0
    return areas[label]
