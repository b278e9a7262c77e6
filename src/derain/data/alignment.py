"""Alignment of pairs: do both pictures show the same scene, pixel for pixel?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain.data.pairs.pair import Image8

Floats = NDArray[np.float64]

COMPARED_PX = 256
"""Side of the central square that is compared."""
MIN_LIKENESS = 0.35
"""Correlation at 16 x 16 pixels. Measured: at least 0.54 on Rain100H, the heaviest set."""
MAX_SHIFT_PX = 32
"""Pictures that fit best at a larger shift show different scenes."""
MIN_GAIN = 1.3
"""How much better a shift must fit than none, since rain alone moves the best fit by chance."""
MAX_EDGE = 40


def misalignment(rainy: Image8, clean: Image8) -> str | None:
    """Return what is wrong with a pair, or None. Both are uint8 (H, W, 3) of the same size."""
    correlation = likeness(rainy, clean)
    if correlation < MIN_LIKENESS:
        return (
            "shows another scene than its clean picture "
            f"(correlation {correlation:.2f} at 16 x 16 pixels)"
        )
    right, down = shift_px(*(Image.fromarray(image).convert("L") for image in (rainy, clean)))
    if max(abs(right), abs(down)) > MAX_SHIFT_PX:
        return "shows another scene than its clean picture (no small shift aligns them)"
    if right or down:
        return f"is shifted against its clean picture by {right} pixels right and {down} down"
    return None


def likeness(first: Image8, second: Image8) -> float:
    """Return the correlation of two pictures, uint8 (H, W, 3), at 16 x 16 pixels.

    If one of them is plain there, 0; if both are, 1.
    """
    coarse = [
        np.asarray(
            Image.fromarray(image).convert("L").resize((16, 16), Image.Resampling.BOX),
            dtype=np.float64,
        ).ravel()
        for image in (first, second)
    ]
    is_plain = [np.ptp(image) == 0 for image in coarse]
    if any(is_plain):
        return float(all(is_plain))
    return float(np.corrcoef(coarse[0], coarse[1]).ravel()[1])


def shift_px(rainy: Image.Image, clean: Image.Image) -> tuple[int, int]:
    """Return how far the rainy picture is shifted to the right and down. Both are grey (mode L).

    (0, 0) unless another shift fits clearly better. The fit is the circular cross-correlation of
    the edges, computed as irfft2(rfft2(rainy) * conj(rfft2(clean))).
    """
    width, height = (min(side, COMPARED_PX) for side in rainy.size)
    left, top = (rainy.width - width) // 2, (rainy.height - height) // 2
    box = (left, top, left + width, top + height)
    rainy_edges, clean_edges = (
        _edges(np.asarray(image.crop(box), dtype=np.float64)) for image in (rainy, clean)
    )
    spectrum = np.fft.rfft2(rainy_edges) * np.conj(np.fft.rfft2(clean_edges))
    fit = np.fft.irfft2(spectrum, s=(height, width))
    down, right = np.unravel_index(int(fit.argmax()), fit.shape)
    if fit[down, right] < MIN_GAIN * max(fit[0, 0], 0.0):
        return 0, 0
    return _signed(int(right), width), _signed(int(down), height)


def _signed(shift: int, size: int) -> int:
    """Turn a circular shift of 0 to size - 1 into one of -size / 2 to size / 2."""
    return shift - size if shift > size // 2 else shift


def _edges(image: Floats) -> Floats:
    """Return differences from row to row, which streaks hardly have, faded out at the border."""
    edges = np.zeros_like(image)
    edges[1:-1] = image[2:] - image[:-2]
    edges = np.clip(edges, -MAX_EDGE, MAX_EDGE)
    fade_down, fade_across = (np.hanning(size) for size in edges.shape)
    faded: Floats = edges * fade_down[:, None] * fade_across
    return faded
