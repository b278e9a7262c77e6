"""The deep detail network (DDN), and SIRR, which trains the same network with real photos as well.

Fu, Huang, Zeng, Huang, Ding and Paisley, "Removing Rain from Single Images via a Deep Detail
Network", CVPR 2017. Wei, Meng, Zhao, Xu and Wu, "Semi-Supervised Transfer Learning for Image Rain
Removal", CVPR 2019, arXiv 1807.11078 (`SSIR` in Table 2). Sources: the papers, and the code at
https://github.com/wwzjer/Semi-supervised-IRR; the original DDN is MATLAB code that cannot be read.

The network reads the detail layer, which is the picture minus its guided filter (He et al., ECCV
2010), and adds its output to the picture:

    restored = rainy + f(rainy - base),  base = guided(rainy), 31x31 px, epsilon 1

Batch normalisation uses the statistics of the picture itself, in testing too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.rivals.rival import Rival, conv3x3, count_from_one

BOX_PX = 31
FILTER_EPSILON = 1.0
NORM_EPSILON = 1e-5


class NormalisedConv(nn.Module):
    """A 3x3 convolution with a result normalised over the picture.

    (N, in, H, W) -> (N, out, H, W). The original normalises over the batch; it is tested with one
    picture at a time.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = conv3x3(inputs, outputs)
        self.scale = nn.Parameter(torch.ones(outputs))
        self.shift = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = x - x.mean((2, 3), keepdim=True)
        deviation = (x.square().mean((2, 3), keepdim=True) + NORM_EPSILON).sqrt()
        return x / deviation * self.scale.view(-1, 1, 1) + self.shift.view(-1, 1, 1)


class DDN(Rival):
    """A residual network on the detail layer; see `Rival`.

    Layers 1 and 26 change the channels; between them are twelve pairs, and each pair adds its
    result to its input.
    """

    NAMES = (
        (r"^layers\.(\d+)", count_from_one("conv_{0}/{0}")),
        (r"(\d+)\.conv\.weight", r"weights_\1"),
        (r"(\d+)\.conv\.bias", r"biases_\1"),
        (r"(\d+)\.scale", r"scale_\1"),
        (r"(\d+)\.shift", r"beta_\1"),
    )
    UNUSED = r"^conv_\d+_1/"
    """Variables of a second copy of the graph, which SIRR's training builds for real photos."""

    def __init__(self, *, channels: int = 16, pairs: int = 12) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                NormalisedConv(3, channels),
                *(NormalisedConv(channels, channels) for _ in range(2 * pairs)),
                NormalisedConv(channels, 3),
            ]
        )

    def forward(self, rainy: Tensor) -> Tensor:
        enter, *middle, leave = self.layers
        x = enter(rainy - guided_filter(rainy)).relu()
        for first, second in zip(middle[::2], middle[1::2], strict=True):
            x = x + second(first(x).relu()).relu()
        return rainy + leave(x)


def guided_filter(x: Tensor) -> Tensor:
    """Smooth each channel with itself as the guide (He et al., equations 5, 6 and 8): (N, C, H, W).

    base = mean(a) x + mean(b), a = var(x) / (var(x) + epsilon), b = (1 - a) mean(x), with means
    over the part of a box that is inside the picture.
    """
    mean = _box_mean(x)
    variance = _box_mean(x * x) - mean * mean
    a = variance / (variance + FILTER_EPSILON)
    return _box_mean(a) * x + _box_mean((1 - a) * mean)


def _box_mean(x: Tensor) -> Tensor:
    for size in ((BOX_PX, 1), (1, BOX_PX)):
        padding = (size[0] // 2, size[1] // 2)
        x = F.avg_pool2d(x, size, stride=1, padding=padding, count_include_pad=False)
    return x
