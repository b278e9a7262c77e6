"""The losses of section 3.4 as pure functions.

SSIM, the pixel term and the hierarchical term (equations 9 to 11).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

SSIM_SIDE_PX, SSIM_SIGMA_PX = 11, 1.5  # Wang et al., TIP 2004
C1, C2 = 0.01**2, 0.03**2  # for pictures with range 1
PSNR_EPSILON = 1e-5  # added to the mean squared error of a crop: 50 dB


def without_autocast(x: Tensor) -> AbstractContextManager[None]:
    """Compute in the dtype of the tensors: bfloat16 has too few digits for a variance."""
    device = x.device.type
    has_autocast = torch.amp.is_autocast_available(device)  # `meta` has none
    return torch.autocast(device, enabled=False) if has_autocast else nullcontext()


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # the tensors of inference mode cannot be used for gradients later
def gaussian_band(size: int, *, zero_border: bool, device: torch.device) -> Tensor:
    """Return the matrix (size, out) that blurs a line of `size` pixels.

    `out` is `size` with a border of zeros, otherwise size - 10. On a CPU, blurring a crop by a
    matrix product takes a third of the time of a depthwise convolution.
    """
    reach = SSIM_SIDE_PX // 2
    kernel = torch.exp(
        -((torch.arange(-reach, reach + 1, dtype=torch.float64) / SSIM_SIGMA_PX) ** 2) / 2
    )
    kernel = kernel / kernel.sum()
    offset = torch.arange(size)[:, None] - torch.arange(size)
    band = torch.where(offset.abs() <= reach, kernel[(offset + reach).clamp(0, 2 * reach)], 0.0)
    return (band if zero_border else band[:, reach : size - reach]).float().to(device)


def ssim(x: Tensor, y: Tensor, *, border: Literal["zero", "valid"] = "zero") -> Tensor:
    """Return the mean structural similarity of two batches (N, C, H, W) in 0..1, a scalar.

    SSIM = (2 mx my + C1) (2 sxy + C2) / ((mx^2 + my^2 + C1) (sx^2 + sy^2 + C2))

    with local means m, variances s^2 and the covariance sxy (Wang et al., TIP 2004): 11x11
    Gaussian, sigma 1.5, computed in float32, under autocast too. `valid` excludes the 5 px at each
    edge, `zero` pads with zeros. Raises ValueError for `valid` and pictures below 11 px.
    """
    x, y = x.float(), y.float()
    height, width = x.shape[-2:]
    if border == "valid" and min(height, width) < SSIM_SIDE_PX:
        raise ValueError(
            f"a picture of {width}x{height} px is smaller than the "
            f"{SSIM_SIDE_PX}x{SSIM_SIDE_PX} window of SSIM"
        )
    rows = gaussian_band(height, zero_border=border == "zero", device=x.device)
    columns = gaussian_band(width, zero_border=border == "zero", device=x.device)
    with without_autocast(x):
        blurred = rows.T @ (torch.stack([x, y, x * x, y * y, x * y]) @ columns)
    mean_x, mean_y, xx, yy, xy = blurred.unbind(0)
    mean_xx, mean_yy, mean_xy = mean_x * mean_x, mean_y * mean_y, mean_x * mean_y
    luminance = (2 * mean_xy + C1) / (mean_xx + mean_yy + C1)
    structure = (2 * (xy - mean_xy) + C2) / (xx - mean_xx + yy - mean_yy + C2)
    return (luminance * structure).mean()


def halve(x: Tensor) -> Tensor:
    """Blur (N, C, H, W) with a 5x5 binomial kernel and keep every second pixel, like `cv2.pyrDown`.

    The picture is mirrored at its edges.
    """
    channels = x.shape[1]
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=x.device, dtype=x.dtype) / 16
    kernel = torch.outer(row, row).expand(channels, 1, 5, 5)
    padded = F.pad(x, (2, 2, 2, 2), mode="reflect")
    with without_autocast(x):
        return F.conv2d(padded, kernel, stride=2, groups=channels)


def pyramid(clean: Tensor, *, levels: int, largest: int = 1) -> list[Tensor]:
    """Return `levels` pictures, each half the size of the one before.

    The first has 1 / `largest` of the size of `clean` (N, C, H, W); `largest` is a power of two.
    """
    scales = [clean]
    for _ in range(largest.bit_length() + levels - 2):
        scales.append(halve(scales[-1]))
    return scales[-levels:]


def pixel_loss(restored: Tensor, clean: Tensor) -> Tensor:
    """Return 1 - SSIM (equation 10)."""
    return 1 - ssim(restored, clean)


def absolute_loss(restored: Tensor, clean: Tensor) -> Tensor:
    """Return the mean absolute error. Not in the paper: SSIM alone hardly sees brightness."""
    return (restored.float() - clean.float()).abs().mean()


def psnr_loss(restored: Tensor, clean: Tensor) -> Tensor:
    """Return minus the mean PSNR of (N, C, H, W) in dB, a scalar. Not in the paper.

    L1 is minimised by a median, this loss by a mean. It is relative for each crop, so the faint
    errors of light rain weigh as much as those of a downpour. It flattens above 50 dB.
    """
    squared = (restored.float() - clean.float()).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(squared + PSNR_EPSILON).mean()


def hierarchical_loss(scales: Sequence[Tensor], clean: Tensor, weights: Sequence[float]) -> Tensor:
    """Return the weighted sum of 1 - SSIM over the pyramid (equation 11).

    Each of `scales` is half the size of the one before. The first has the size of `clean`, divided
    by the network's `unshuffle`.
    """
    largest = clean.shape[-1] // scales[0].shape[-1]
    targets = pyramid(clean.float(), levels=len(scales), largest=largest)
    terms = [
        w * (1 - ssim(out, target)) for w, out, target in zip(weights, scales, targets, strict=True)
    ]
    return torch.stack(terms).sum()
