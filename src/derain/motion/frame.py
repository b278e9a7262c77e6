"""A frame with its luma at the small sizes at which motion is estimated."""

from __future__ import annotations

from functools import cached_property, reduce
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

Floats: TypeAlias = NDArray[np.float32]
Pixels: TypeAlias = NDArray[np.uint8 | np.uint16]

SMALL_PX = 320
"""Longer side of `Frame.small`, at most."""
BLUR_RADIUS_PX = 1
"""Radius of a blur that thins streaks of rain, which must not be matched."""


class Frame:
    """One frame, (H, W) or (H, W, 3), uint8 or uint16. What is derived from it is computed once."""

    def __init__(self, image: Pixels) -> None:
        self.image = image

    @property
    def scale(self) -> int:
        """Pixels of the frame along each side of a pixel of `small`."""
        height, width = self.image.shape[:2]
        return max(1, -(-int(max(height, width)) // SMALL_PX))

    @cached_property
    def small(self) -> Floats:
        """Blurred luma in levels of 255, (H / scale, W / scale), rounded up."""
        return self._blurred(self._levels.convert("L"))

    @cached_property
    def darkest(self) -> Floats:
        """The same of the least of the three channels, in which a coloured object is dark."""
        return self._blurred(reduce(ImageChops.darker, self._levels.split()))

    @property
    def _levels(self) -> Image.Image:
        levels = self.image if self.image.dtype == np.uint8 else (self.image >> 8).astype(np.uint8)
        return Image.fromarray(levels)

    def _blurred(self, channel: Image.Image) -> Floats:
        blurred = channel.reduce(self.scale).filter(ImageFilter.BoxBlur(BLUR_RADIUS_PX))
        return np.asarray(blurred, np.float32)

    @cached_property
    def coarse(self) -> Floats:
        """`small` at half its size."""
        return np.asarray(Image.fromarray(self.small).reduce(2), np.float32)

    @cached_property
    def spectrum(self) -> NDArray[np.complex128]:
        """Fourier transform of `coarse`, which fades to its mean at the border."""
        height, width = self.coarse.shape
        window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
        return np.fft.rfft2((self.coarse - self.coarse.mean()) * window)
