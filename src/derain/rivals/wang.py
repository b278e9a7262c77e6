"""The network of Wang, Pan and Wu: three encoder-decoders that share blocks across scales.

Wang, Pan and Wu, "Online-Updated High-Order Collaborative Networks for Single Image Deraining",
AAAI 2022, arXiv 2202.06568. Sources: the method section of the paper, and the code at https://
github.com/supersupercong/Online-updated-High-order-Collaborative-Networks-for-Single-Image-Deraining
(`ODE_DerainNet`). The update of the weights on real photos is a way of training.

Cross-scale attention (Mei et al., arXiv 2004.13824) compares 3x3 patches of a map with those of the
map and of a smaller one, by the inner product with normalised patches p:

    y = x + (1/4) sum over overlapping patches of softmax(10 q . p / |p|) v
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.rivals.dcsfn import DenseChain
from derain.rivals.rival import (
    LeakyConv,
    Rival,
    conv3x3,
    count_from_one,
    extend_to_side,
    resize_like,
)

MIN_SIDE_PX = 32
"""The picture is halved twice in an encoder, and three times more for the attention."""
SHARPNESS = 10.0
MAX_SCORES = 2**26
"""Scores of the attention that are computed at once: 256 MiB."""


class PReLUConv(nn.Sequential):
    """A 1x1 convolution and a PReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 1), nn.PReLU())


class CrossScaleAttention(nn.Module):
    """See the module: (N, C, H, W), another map (N, C, H', W') -> (N, C, H, W)."""

    def __init__(self, channels: int, *, reduction: int = 4) -> None:
        super().__init__()
        self.query = PReLUConv(channels, channels // reduction)
        self.key = PReLUConv(channels, channels // reduction)
        self.value = PReLUConv(channels, channels)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        queries = patches(self.query(x))
        keys = torch.cat([patches(self.key(maps)) for maps in (x, other)], dim=1)
        keys = keys / keys.norm(dim=2, keepdim=True).clamp(min=1e-4)
        values = torch.cat([patches(self.value(maps)) for maps in (x, other)], dim=1)
        rows = max(1, MAX_SCORES // keys.shape[1])
        attended = [
            (SHARPNESS * part @ keys.mT).softmax(2) @ values for part in queries.split(rows, dim=1)
        ]
        return x + F.fold(torch.cat(attended, dim=1).mT, x.shape[2:], 3, padding=1) / 4


def patches(x: Tensor) -> Tensor:
    """Return the 3x3 patch around each pixel of (N, C, H, W): (N, H W, 9 C)."""
    return F.unfold(x, 3, padding=1).mT


def position(x: Tensor) -> Tensor:
    """Return sines and cosines of the row, then of the column: (1, C, H, W) like (N, C, H, W)."""
    channels = -(-x.shape[1] // 2)
    exponents = torch.arange(0, channels, 2, device=x.device, dtype=torch.float32) / channels
    frequencies = (1 / 10000**exponents).to(x.dtype)
    codes = []
    for axis, size in enumerate(x.shape[2:]):
        angles = frequencies[:, None] * torch.arange(size, device=x.device, dtype=x.dtype)
        code = torch.cat([angles.sin(), angles.cos()])  # (C / 2, size)
        codes.append(code.unsqueeze(2 - axis).expand(-1, *x.shape[2:]))
    return torch.cat(codes)[None, : x.shape[1]]


class PositionedConv(nn.Sequential):
    """A 1x1 convolution of maps and positions, a 3x3 convolution, and a leaky ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.Conv2d(2 * channels, channels, 1), LeakyConv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        code = position(x).expand(len(x), -1, -1, -1)
        result: Tensor = super().forward(torch.cat([x, code], dim=1))
        return result


class SimilarityMining(nn.Module):
    """Bidirectional scale-content similarity mining: (N, C, H, W) -> the same, H and W >= 8.

    Four scales from coarse to fine and back; each attends to the scale before it. The last step
    attends from the second coarsest scale again, as the code does.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attend_up = CrossScaleAttention(channels)
        self.attend_down = CrossScaleAttention(channels)
        self.up = nn.ModuleList(PositionedConv(channels) for _ in range(4))
        self.down = nn.ModuleList(PositionedConv(channels) for _ in range(4))
        self.fuse = LeakyConv(6 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pyramid = [x]
        for _ in range(3):
            pyramid.append(F.max_pool2d(pyramid[-1], 2))
        risen = [self.up[0](pyramid[3])]
        for conv, maps in zip(list(self.up)[1:], pyramid[2::-1], strict=True):
            risen.append(conv(self.attend_up(maps, risen[-1])))
        fallen = [self.down[0](risen[3])]
        for conv, maps in zip(list(self.down)[1:], (risen[2], risen[1], risen[1]), strict=True):
            fallen.append(conv(self.attend_down(maps, fallen[-1])))
        joined = [x, risen[3], fallen[0], pyramid[3], risen[0], fallen[3]]
        result: Tensor = self.fuse(torch.cat([resize_like(maps, x) for maps in joined], dim=1))
        return result


class ResBlock(nn.Module):
    """x + Conv(LeakyReLU(Conv(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = LeakyConv(channels, channels), conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


class DerainModule(nn.Module):
    """One encoder-decoder: (N, C, H, W) -> (N, C, H, W), H and W >= 32.

    The decoder adds the encoder's results in the reverse order; one fusion serves two scales.
    """

    def __init__(self, channels: int, units: tuple[int, ...]) -> None:
        super().__init__()

        def chain(length: int) -> DenseChain:
            return DenseChain(channels, [ResBlock(channels) for _ in range(length)])

        self.encode = nn.ModuleList(chain(length) for length in units)
        self.decode = nn.ModuleList(chain(length) for length in reversed(units))
        self.mine = SimilarityMining(channels)
        self.fuse = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        encoded: list[tuple[Tensor, list[Tensor]]] = []
        for index, encode in enumerate(self.encode):
            encoded.append(encode(F.max_pool2d(encoded[-1][0], 2) if index else x))
        out = self.mine(encoded[-1][0])
        for index, (maps, features) in enumerate(reversed(encoded)):
            if index:
                out = self.fuse(torch.cat([maps, resize_like(out, maps)], dim=1))
            out = self.decode[index](out, features[::-1])[0]
        return out


class Wang(Rival):
    """Three networks that collaborate; see `Rival`.

    Channels are B, G, R inside, because the authors' data loader reads them in that order. Pictures
    with a side below 32 px are extended by reflection.
    """

    NAMES = (
        (r"^enter\.(\w+)", r"enterBlock\1.0"),
        (r"^exit\.(\d)", count_from_one("exitBlock{}.0")),
        (r"^multi_(enter|exit)\.(\d)", r"multi\1\2.0"),
        (r"^(up\d|fusion\d\d)\.", r"\1.0."),
        (r"\.encode\.(\d)", count_from_one(".conv{}")),
        (r"\.decode\.(\d)", count_from_one(".deconv{}")),
        (r"^(net\d\d)\.fuse\.", r"\1.fusion1."),
        (r"(conv\d)\.fuse\.(\d+)", r"\1.conv1x1.\2.0"),
        (r"(units\.\d+)\.first", r"\1.res.0"),
        (r"(units\.\d+)\.second", r"\1.res.2"),
        (r"\.mine\.up\.(\d)", count_from_one(".similarity.conv1{}")),
        (r"\.mine\.down\.(\d)", count_from_one(".similarity.conv2{}")),
        (r"\.mine\.attend_up", ".similarity.s2l1"),
        (r"\.mine\.attend_down", ".similarity.l2s1"),
        (r"\.mine\.fuse", ".similarity.fusion.0"),
        (r"\.query", ".conv_match_L_base"),
        (r"\.key", ".conv_match"),
        (r"\.value", ".conv_assembly"),
    )
    UNUSED = r"^net13\.|\.fusion2\.|\.similarity\.(l2s|s2l)[23]\.|escape_NaN$|\.inv_freq$"
    """Modules that the code builds and skips, and constants."""

    def __init__(self, *, channels: int = 20, units: tuple[int, ...] = (12, 2, 1)) -> None:
        super().__init__()
        self.enter = nn.ModuleDict({key: LeakyConv(3, channels) for key in ("1", "2", "4", "2_2")})
        self.exit = nn.ModuleList(conv3x3(channels, 3) for _ in range(3))
        self.multi_enter = nn.ModuleDict({scale: LeakyConv(3, channels) for scale in "24"})
        self.multi_exit = nn.ModuleDict({scale: conv3x3(channels, 3) for scale in "24"})
        self.net11, self.net12, self.net21, self.net22, self.net31 = (
            DerainModule(channels, units) for _ in range(5)
        )
        self.up2, self.up3, self.fusion11, self.fusion12 = (
            LeakyConv(2 * channels, channels) for _ in range(4)
        )
        self.fusion21 = LeakyConv(2 * channels, channels, 1)

    def forward(self, rainy: Tensor) -> Tensor:
        return self._estimates(rainy)[0]

    def outputs(self, rainy: Tensor) -> list[Tensor]:
        """Return three estimates, the result first, then one of half and one of quarter size.

        The smaller ones are of means of 2x2 and 4x4 pixels.
        """
        half, quarter = (F.avg_pool2d(rainy, factor) for factor in (2, 4))
        x = _extended(half)
        middle = self.net11(self.multi_enter["2"](x))
        middle = self.net21(self.up2(torch.cat([middle, self.enter["2_2"](x)], dim=1)))
        rain_of_half = self.multi_exit["2"](self.net12(middle))
        rain_of_quarter = self.net11(self.multi_enter["4"](_extended(quarter)))
        return [
            *self._estimates(rainy),
            _without(half, rain_of_half),
            _without(quarter, self.multi_exit["4"](rain_of_quarter)),
        ]

    def _estimates(self, rainy: Tensor) -> list[Tensor]:
        x = _extended(rainy)
        first, second, third = (self.enter[key](x) for key in "124")
        top = self.net11(first)
        middle = self.net21(self.up2(torch.cat([top, second], dim=1)))
        bottom = self.net31(self.up3(torch.cat([middle, third], dim=1)))
        top = self.net12(self.fusion11(torch.cat([middle, top], dim=1)))
        middle = self.net22(self.fusion21(torch.cat([bottom, middle], dim=1)))
        top = self.net31(self.fusion12(torch.cat([middle, top], dim=1)))
        rain = [leave(maps) for leave, maps in zip(self.exit, (top, middle, bottom), strict=True)]
        return [_without(rainy, layer) for layer in rain]


def _extended(picture: Tensor) -> Tensor:
    """Return B, G, R of at least 32x32 pixels."""
    return extend_to_side(picture, MIN_SIDE_PX).flip(1)


def _without(picture: Tensor, rain: Tensor) -> Tensor:
    """Subtract a rain layer in B, G, R, of an extended picture."""
    return picture - rain.flip(1)[:, :, : picture.shape[2], : picture.shape[3]]
