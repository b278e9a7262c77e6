"""The local unit and the interaction: residual block, 1x1 convolution and SFT."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.network.initialisation import scale_init, zero_init


class Pointwise(nn.Linear):
    """A 1x1 convolution, (N, in, H, W) -> (N, out, H, W).

    It is a matrix product over channels-last memory, where that is faster than `nn.Conv2d`.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Fusion(Pointwise):
    """A 1x1 convolution of concatenated feature maps (equation 3).

    Several maps (N, C, H, W) -> (N, out, H, W)
    """

    def forward(self, *maps: Tensor) -> Tensor:
        return super().forward(torch.cat(maps, dim=1))


class ResidualBlock(nn.Module):
    """RB of equations (2) and (5), without normalisation (He et al., CVPR 2016).

    x + Conv3x3(LeakyReLU(Conv3x3(x))): (N, C, H, W) -> (N, C, H, W)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        scale_init(self.second)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.leaky_relu(self.first(x), 0.2))


class SFT(nn.Module):
    """Modulate one branch by the other with a spatial scale and shift (equation 4).

    Wang et al., CVPR 2018. (N, C, H, W), (N, C, H, W) -> (N, C, H, W). Scale and shift each have a
    path of two 1x1 convolutions.
    """

    def __init__(self, channels: int, *, bounded: bool = True) -> None:
        super().__init__()
        self.bounded = bounded
        # the first layers of both paths have the same input: a single product computes them
        self.first = Pointwise(channels, 2 * channels)
        self.scale = Pointwise(channels, channels)
        self.shift = Pointwise(channels, channels)
        zero_init(self.scale)
        zero_init(self.shift)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        for_scale, for_shift = F.leaky_relu(self.first(guide), 0.1).chunk(2, dim=1)
        scale, shift = self.scale(for_scale), self.shift(for_shift)
        if self.bounded:
            scale = scale.tanh()  # unbounded, magnitudes are squared from stage to stage
        return torch.addcmul(x + shift, x, scale)
