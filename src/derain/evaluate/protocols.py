"""The ways in which deraining papers compute PSNR and SSIM.

They can differ by 1.3 to 1.6 dB on the same pixels. The protocols are `PROTOCOLS["paper"]`,
`["rgb"]`, `["y"]` and `["y-half"]`; `score(protocol, restored, clean)` scores one picture.
docs/protocols/ describes each of them and names the papers that use it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from derain.evaluate.metrics import WINDOW_PX, Border, Image, Plane, psnr, ssim

MAX_MEAN = 2
"""Largest plausible mean of a picture in 0..1; in 0..255 only nearly black ones are below."""


@dataclass(frozen=True)
class Protocol:
    """One way to compute PSNR and SSIM; each difference between papers is a field."""

    name: str
    summary: str
    """One line that describes the protocol in a report."""
    printed_by: str
    """Papers and programs that print these figures."""
    eight_bit: bool
    """True to score the picture as saved with 8 bits (clipped, rounded), False to only clip it."""
    luma: Literal["rounded", "exact"] | None
    """Y of MATLAB's `rgb2ycbcr` in 16..235: rounded to whole levels, or exact; None for RGB."""
    border: Border
    """Border handling of SSIM."""
    ssim_subsampled: bool
    """True to average boxes of round(min(H, W) / 256) px before SSIM (Wang's `ssim.m`, 2009)."""

    @property
    def min_side_px(self) -> int:
        """The shortest side for which SSIM is defined."""
        return 1 if self.border == "zero" else WINDOW_PX


@dataclass(frozen=True)
class Score:
    """One picture under one protocol: PSNR in dB, `math.inf` for identical pictures, and SSIM."""

    psnr: float
    ssim: float


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "paper",
            "RGB, float output clipped but not rounded; SSIM zero-padded",
            printed_by="the paper (Table 2) and its author's earlier work",
            eight_bit=False,
            luma=None,
            border="zero",
            ssim_subsampled=False,
        ),
        Protocol(
            "rgb",
            "RGB of the saved 8-bit picture; SSIM inside the border",
            printed_by="many re-implementations",
            eight_bit=True,
            luma=None,
            border="valid",
            ssim_subsampled=False,
        ),
        Protocol(
            "y",
            "luma of the saved 8-bit picture, rounded; SSIM inside the border",
            printed_by="Restormer, DRSformer, NeRD-Rain on Rain200, Rain13K, SPA-Data",
            eight_bit=True,
            luma="rounded",
            border="valid",
            ssim_subsampled=False,
        ),
        Protocol(
            "y-half",
            "luma of the saved 8-bit picture, not rounded; SSIM subsampled first",
            printed_by="PReNet, RCDNet; everyone on DID (Rain1200) and DDN (Rain1400)",
            eight_bit=True,
            luma="exact",
            border="valid",
            ssim_subsampled=True,
        ),
    )
}


def score(protocol: Protocol, restored: Image, clean: Image) -> Score:
    """Return PSNR and SSIM of one picture.

    Both pictures are (H, W, 3), or (H, W) for grey, which counts as three equal channels. Their
    values are floats in 0..1, or uint8 or uint16 over their whole range. Pass the raw output of the
    network: the protocol clips and rounds. Raises ValueError for different sizes, for pictures
    smaller than the window of SSIM, and for arrays that are not pictures (other types, non-finite
    numbers, floats of another scale).
    """
    for name, image in (("restored", restored), ("clean", clean)):
        check_picture(image, name)
    if restored.shape[:2] != clean.shape[:2]:
        raise ValueError(f"pictures of different sizes: {restored.shape} and {clean.shape}")
    x, y = prepare(protocol, restored), prepare(protocol, clean)
    decibels = psnr(x, y)
    if protocol.ssim_subsampled:
        x, y = subsample(x), subsample(y)
    return Score(decibels, ssim(x, y, border=protocol.border))


def check_picture(image: Image, name: str) -> None:
    """Raise ValueError if an array is not a picture that `score` accepts."""
    if image.dtype.kind != "f" and (image.dtype.kind, image.dtype.itemsize) not in {
        ("u", 1),
        ("u", 2),
    }:
        raise ValueError(
            f"{name} has the type {image.dtype}; convert it to uint8, uint16 or floats in 0..1"
        )
    if image.ndim not in {2, 3} or (image.ndim == 3 and image.shape[2] != 3) or 0 in image.shape:
        raise ValueError(f"{name} has the shape {image.shape}; give (H, W, 3) or (H, W)")
    if image.dtype.kind == "f":
        mean = float(image.mean(dtype=np.float64))
        if not math.isfinite(mean):
            raise ValueError(
                f"{name} contains NaN or infinity; the network diverged or the file is damaged"
            )
        if abs(mean) > MAX_MEAN:  # single values of a network may be far outside 0..1
            raise ValueError(
                f"{name} has a mean of {mean:.3g}; expected floats in 0..1, so scale it first"
            )


def prepare(protocol: Protocol, image: Image) -> npt.NDArray[np.float64]:
    """Return what the protocol compares, float64 in 0..1: (H, W, 3) for RGB, (H, W) for luma."""
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    if protocol.luma == "rounded":
        return luma_rounded(eight_bit(image)) / 255
    pixels = (
        eight_bit(image) / np.float64(255) if protocol.eight_bit else np.clip(unit(image), 0, 1)
    )
    return luma(pixels) if protocol.luma else pixels


def unit(image: Image) -> npt.NDArray[np.float64]:
    """Convert to float64; integers are divided by the largest value of their dtype."""
    if np.issubdtype(image.dtype, np.integer):
        return image / np.float64(np.iinfo(image.dtype).max)
    return image.astype(np.float64)


def eight_bit(image: Image) -> npt.NDArray[np.uint8]:
    """Return the picture as saved with 8 bits: clipped, and rounded to the nearest level."""
    if image.dtype == np.uint8:
        return image
    return np.rint(np.clip(unit(image), 0, 1) * 255).astype(np.uint8)


def luma(rgb: npt.NDArray[np.float64]) -> Plane:
    """Return Y of MATLAB's `rgb2ycbcr` for doubles (ITU-R BT.601).

    (H, W, 3) in 0..1 -> (H, W) in 16/255..235/255
    """
    return np.asarray((16 + rgb @ np.array([65.481, 128.553, 24.966])) / 255)


def luma_rounded(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return Y of MATLAB's `rgb2ycbcr` for uint8: (H, W, 3) -> (H, W) in 16..235, rounded half up.

    Integer thousandths keep ties independent of binary fractions.
    """
    thousandths = rgb.astype(np.int32) @ np.array([65_481, 128_553, 24_966], dtype=np.int32)
    return ((thousandths + 127_500) // 255_000 + 16).astype(np.uint8)


def subsample(plane: Plane) -> Plane:
    """Downsample like Wang's `ssim.m`: means of f x f boxes, f = max(1, round(min(H, W) / 256)).

    This is MATLAB's `imfilter(plane, ones(f) / f^2, 'symmetric')` at `1:f:end`. The box at pixel i
    covers i - (f - 1) // 2 to i + f // 2, so at steps of f the boxes are adjacent, and the first
    one extends over the mirrored border.
    """
    f = max(1, math.floor(min(plane.shape) / 256 + 0.5))  # MATLAB rounds halves up, Python to even
    if f == 1:
        return plane
    before = (f - 1) // 2
    rows, columns = (math.ceil(length / f) for length in plane.shape)
    padded = np.pad(plane, (before, f), mode="symmetric")[: rows * f, : columns * f]
    return np.asarray(padded.reshape(rows, f, columns, f).mean(axis=(1, 3)))
