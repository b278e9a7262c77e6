"""Do the two pictures of a pair show the same scene, pixel upon pixel?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COMPARED_PX = 256  # the middle of the picture is enough
ALIKE = (
    0.35  # correlation of the two at 16 x 16; measured: at least 0.54 on Rain100H, the heaviest set
)
FARTHEST_PX = 32  # what fits best farther away is another scene
PLAIN = 1.3  # a shift must fit this much better than none: rain alone moves the best fit by chance

Image8 = NDArray[np.uint8]


def misalignment(rainy: Image8, clean: Image8) -> str | None:
    """Say what is wrong with a pair, uint8 (H, W, 3) each and of one size, or return None."""
    alike = likeness(rainy, clean)
    if alike < ALIKE:
        return f"shows another scene than its clean picture (correlation {alike:.2f} at 16 x 16)"
    one, two = (Image.fromarray(image).convert("L") for image in (rainy, clean))
    right, down = shift_px(one, two)
    if max(abs(right), abs(down)) > FARTHEST_PX:
        return "shows another scene than its clean picture (they fit at no small shift)"
    if right or down:
        return (
            f"is shifted against its clean picture by {right} pixels to the right and {down} down"
        )
    return None


def likeness(one: Image8, two: Image8) -> float:
    """Correlation at 16 x 16 of two pictures, uint8 (H, W, 3); where one alone is plain, 0; where both are, 1."""
    pair = (
        Image.fromarray(image).convert("L").resize((16, 16), Image.Resampling.BOX)
        for image in (one, two)
    )
    coarse = [np.asarray(image, dtype=np.float64).ravel() for image in pair]
    plain = [np.ptp(image) == 0 for image in coarse]
    if any(plain):
        return float(all(plain))
    return float(np.corrcoef(coarse[0], coarse[1]).ravel()[1])


def shift_px(rainy: Image.Image, clean: Image.Image) -> tuple[int, int]:
    """How far right and down the rainy one of two grey pictures (mode L) has been moved.

    (0, 0) unless another shift fits clearly better.
    """
    width, height = (min(side, COMPARED_PX) for side in rainy.size)
    left, top = (rainy.width - width) // 2, (rainy.height - height) // 2
    box = (left, top, left + width, top + height)
    one, two = (_edges(np.asarray(image.crop(box), dtype=np.float64)) for image in (rainy, clean))
    fit = np.fft.irfft2(np.fft.rfft2(one) * np.conj(np.fft.rfft2(two)), s=(height, width))
    down, right = np.unravel_index(int(fit.argmax()), fit.shape)
    if fit[down, right] < PLAIN * max(fit[0, 0], 0.0):
        return 0, 0
    signed = (
        int(place) - size if place > size // 2 else int(place)
        for place, size in ((right, width), (down, height))
    )
    return next(signed), next(signed)


def _edges(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differences from row to row, which streaks hardly have, faded out towards the border."""
    edges = np.zeros_like(image)
    edges[1:-1] = image[2:] - image[:-2]
    edges = np.clip(edges, -40, 40)
    fade = [np.hanning(size) for size in edges.shape]
    return edges * fade[0][:, None] * fade[1]
