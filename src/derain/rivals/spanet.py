"""SPANet: attention that finds rain by scanning the picture in four directions.

Wang, Yang, Xu, Chen, Zhang and Lau, "Spatial Attentive Single-Image Deraining with a High Quality
Real Rain Dataset", CVPR 2019, arXiv 1904.01538. Sources: section 4 of the paper, and the code at
https://github.com/stevewongv/SPANet.

A scan passes information along rows and columns: h_i = max(w h_(i-1) + b + x_i, 0), which the paper
takes from Bell et al., CVPR 2016. The published code computes weights for the four directions and
discards the products with them, so that the published weights were trained without: `forward` does
not multiply either, and the layers that compute those weights are kept only for the checkpoint.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.rivals.rival import Rival, conv3x3, count_from_one


class DirectionScan(nn.Module):
    """One of the four scans of the IRNN: a factor and an offset for each channel.

    (N, C, L, M) -> (N, C, L, M), scanned along L from 0 to L - 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, 1, 1, 1), 0.2))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.view(-1, 1), self.bias.view(-1, 1)
        lines = x.unbind(2)
        scanned = [lines[0].relu()]
        for line in lines[1:]:
            scanned.append(torch.addcmul(line + bias, scanned[-1], weight).relu_())
        return torch.stack(scanned, dim=2)


class IRNN(nn.Module):
    """The two-round four-directional IRNN's one round: (N, C, H, W) -> (N, 4 C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.up = DirectionScan(channels)
        self.right = DirectionScan(channels)
        self.down = DirectionScan(channels)
        self.left = DirectionScan(channels)

    def forward(self, x: Tensor) -> Tensor:
        turned = x.transpose(2, 3).contiguous()
        return torch.cat(
            [
                self.up(x.flip(2)).flip(2),
                self.right(turned).transpose(2, 3),
                self.down(x),
                self.left(turned.flip(2)).flip(2).transpose(2, 3),
            ],
            dim=1,
        )


class DirectionWeights(nn.Module):
    """Weights of the four directions at each pixel; see the module on why nothing uses them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv3x3(channels, channels // 2)
        self.second = conv3x3(channels // 2, channels // 2)
        self.last = nn.Conv2d(channels // 2, 4, 1)


class SAM(nn.Module):
    """Spatial attentive module: (N, C, H, W) -> a map of rain, (N, 1, H, W) in 0..1.

    Two rounds of scans, so that each pixel receives information from the whole picture.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = conv3x3(channels, channels, bias=False)
        self.first_round = IRNN(channels)
        self.join = conv3x3(4 * channels, channels, bias=False)
        self.second_round = IRNN(channels)
        self.fuse = conv3x3(4 * channels, channels, bias=False)
        self.direction_weights = DirectionWeights(channels)
        self.leave = nn.Conv2d(channels, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.join(self.first_round(self.enter(x)))
        return self.leave(self.fuse(self.second_round(x)).relu()).sigmoid()


class Bottleneck(nn.Module):
    """The branch of a residual block: 1x1, dilated 3x3 and 1x1 convolutions without bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels, 1, bias=False)
        self.spread = conv3x3(channels, channels, bias=False, dilation=2)
        self.expand = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.expand(self.spread(self.reduce(x).relu()).relu())


class SPANet(Rival):
    """Residual blocks, four groups of which are weighted by the map of rain; see `Rival`.

    Channels are B, G, R inside, because the authors' data loader reads them in that order.
    """

    NAMES = (
        (r"^enter", "conv_in.0"),
        (r"^leave", "conv_out.0"),
        (r"^blocks\.(\d+)", count_from_one("res_block{}.group1")),
        (r"\.reduce", ".conv1"),
        (r"\.spread", ".conv2"),
        (r"\.expand", ".conv3"),
        (r"^sam\.first_round\.(\w+)", r"SAM1.irnn1.\1_weight"),
        (r"^sam\.second_round\.(\w+)", r"SAM1.irnn2.\1_weight"),
        (r"^sam\.enter", "SAM1.conv_in"),
        (r"^sam\.join", "SAM1.conv2"),
        (r"^sam\.fuse", "SAM1.conv3"),
        (r"^sam\.leave", "SAM1.conv_out"),
        (r"^sam\.direction_weights\.first", "SAM1.attention_layer.conv1"),
        (r"^sam\.direction_weights\.second", "SAM1.attention_layer.conv2"),
        (r"^sam\.direction_weights\.last", "SAM1.attention_layer.conv3"),
    )

    def __init__(self, *, channels: int = 32, plain: int = 3, attended: int = 12) -> None:
        super().__init__()
        self.plain, self.attended = plain, attended
        self.enter = conv3x3(3, channels, bias=False)
        self.sam = SAM(channels)
        self.blocks = nn.ModuleList(Bottleneck(channels) for _ in range(plain + attended + 2))
        self.leave = conv3x3(channels, 3, bias=False)

    def forward(self, rainy: Tensor) -> Tensor:
        return self.outputs(rainy)[0]

    def outputs(self, rainy: Tensor) -> list[Tensor]:
        """Return the result and the first map of rain, (N, 1, H, W) in 0..1."""
        x = self.enter(rainy.flip(1)).relu()
        maps: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            position = index - self.plain
            branch = block(x)
            if 0 <= position < self.attended:
                if position % 3 == 0:  # one map for three blocks
                    maps.append(self.sam(x))
                branch = branch * maps[-1]
            x = F.relu(x + branch)
        return [self.leave(x).flip(1), *maps[:1]]
