"""PSNR of 8-bit pictures, for summaries of data; the protocols of papers are in `evaluate`."""

from __future__ import annotations

import math

import numpy as np

from derain.data.pairs.pair import Image8


def psnr_db(rainy: Image8, clean: Image8) -> float:
    """Return 10 log10(255^2 / MSE) over all pixels of uint8 (H, W, 3); `math.inf` if equal."""
    difference = rainy.astype(np.float32) - clean
    mse = float(np.mean(np.square(difference), dtype=np.float64))
    return 10 * math.log10(255**2 / mse) if mse else math.inf
