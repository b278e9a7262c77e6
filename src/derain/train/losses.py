"""The losses of section 3.4 as pure functions: SSIM, the pixel term and the hierarchical term (equations 9 to 11)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

SSIM_SIDE_PX, SSIM_SIGMA_PX = 11, 1.5  # Wang et al., TIP 2004
C1, C2 = 0.01**2, 0.03**2  # for pictures whose range is 1
LEAST_SQUARED = 1e-5  # added to the squared error of a crop: 50 dB


@lru_cache(maxsize=32)
def gaussian_band(size: int, *, zero_border: bool, device: torch.device) -> Tensor:
    """(size, out): the matrix that blurs a row of `size` pixels; out is `size` with a border of zeros, else size - 10.

    As a matrix product a blur of a crop costs a third of what a depthwise convolution does on a CPU.
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
    """Mean structural similarity of (N, C, H, W) and (N, C, H, W) in 0..1, a scalar (Wang et al., TIP 2004).

    11x11 Gaussian, sigma 1.5; computed in float32. `valid` leaves out the 5 px at each edge, `zero` pads with zeros.
    """
    x, y = x.float(), y.float()
    height, width = x.shape[-2:]
    rows = gaussian_band(height, zero_border=border == "zero", device=x.device)
    columns = gaussian_band(width, zero_border=border == "zero", device=x.device)
    blurred = rows.T @ (torch.stack([x, y, x * x, y * y, x * y]) @ columns)
    mean_x, mean_y, xx, yy, xy = blurred.unbind(0)
    mean_xx, mean_yy, mean_xy = mean_x * mean_x, mean_y * mean_y, mean_x * mean_y
    luminance = (2 * mean_xy + C1) / (mean_xx + mean_yy + C1)
    structure = (2 * (xy - mean_xy) + C2) / (xx - mean_xx + yy - mean_yy + C2)
    return (luminance * structure).mean()


def halve(x: Tensor) -> Tensor:
    """Blur (N, C, H, W) with a 5x5 binomial kernel, mirror at the edges, and keep every second pixel, as `cv2.pyrDown` does."""
    channels = x.shape[1]
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=x.device, dtype=x.dtype) / 16
    kernel = torch.outer(row, row).expand(channels, 1, 5, 5)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=channels)


def pyramid(clean: Tensor, *, levels: int) -> list[Tensor]:
    """(N, C, H, W) -> `clean` at 1, 1/2, 1/4, ... of its size, `levels` of them."""
    scales = [clean]
    for _ in range(levels - 1):
        scales.append(halve(scales[-1]))
    return scales


def pixel_loss(restored: Tensor, clean: Tensor) -> Tensor:
    """1 - SSIM (equation 10)."""
    return 1 - ssim(restored, clean)


def absolute_loss(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean absolute error. Not in the paper: SSIM alone is nearly blind to brightness."""
    return (restored.float() - clean.float()).abs().mean()


def psnr_loss(restored: Tensor, clean: Tensor) -> Tensor:
    """Minus the mean PSNR of (N, C, H, W) in dB, a scalar. Not in the paper; L1 asks for a median, this for a mean.

    Each crop counts by its ratio, so that the faint errors of light rain weigh as much as those of a downpour. Above 50 dB it
    flattens.
    """
    squared = (restored.float() - clean.float()).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(squared + LEAST_SQUARED).mean()


def hierarchical_loss(scales: Sequence[Tensor], clean: Tensor, weights: Sequence[float]) -> Tensor:
    """Weighted sum of 1 - SSIM over the pyramid (equation 11). `scales[k]` is the output at 1 / 2**k."""
    targets = pyramid(clean.float(), levels=len(scales))
    terms = [
        w * (1 - ssim(out, target)) for w, out, target in zip(weights, scales, targets, strict=True)
    ]
    return torch.stack(terms).sum()
