"""Fits the light of a picture to that of the clean one, for pairs of real rain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from derain.evaluate.metrics import Image
from derain.evaluate.protocols import unit

SUFFIX = ", light fitted"
"""Suffix of the names of data sets that are scored after the fit."""
NOTE = (
    "Light fitted: before scoring, gain and offset of each channel were fitted to the clean "
    "picture by least squares. The figures do not compare with published ones."
)


def fit_light(image: Image, clean: Image) -> npt.NDArray[np.float64]:
    """Return the picture with a gain and an offset per channel that bring it closest to `clean`.

        gain, offset = argmin sum (gain x + offset - y)^2
        gain = cov(x, y) / var(x), offset = mean(y) - gain mean(x)

    x and y are a channel of `image` and of `clean`, in 0..1. Both pictures have the shape (H, W, 3)
    or (H, W); the result is not clipped. A flat channel keeps a gain of 1.

    >>> clean = np.random.default_rng(0).random((16, 16, 3))
    >>> bool(np.allclose(fit_light(0.5 * clean + 0.1, clean), clean))
    True
    """
    x, y = unit(image), unit(clean)
    x_mean, y_mean = x.mean(axis=(0, 1)), y.mean(axis=(0, 1))
    covariance = ((x - x_mean) * (y - y_mean)).mean(axis=(0, 1))
    variance = np.square(x - x_mean).mean(axis=(0, 1))
    gain = np.divide(covariance, variance, out=np.ones_like(variance), where=variance > 0)
    return np.asarray(gain * (x - x_mean) + y_mean)
