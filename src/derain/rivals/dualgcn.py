"""DualGCN: units with two graph convolutions, one between pixels and one between channels.

Fu, Qi, Zha, Zhu and Ding, "Rain Streak Removal via Dual Graph Convolutional Network", AAAI 2021.
Sources: the method section of the paper, and its authors' code for TensorFlow 1, of which
https://github.com/XiaoXiao-Woo/derain holds a copy (models/compared_CNN/FuGCN/model.py).

With 1x1 convolutions theta, nu, xi, zeta and kappa, written as matrices of pixels times channels,
the graph of pixels adds W(theta (softmax(nu)^T softmax(xi))), and the graph of channels adds

    W(zeta G),  G = conv(ReLU(S + conv(S))),  S = softmax(kappa^T zeta)

Each softmax is taken over all entries of its matrix at once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.rivals.rival import Rival, conv3x3


def as_matrix(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H W, C)."""
    return x.flatten(2).transpose(1, 2)


def as_maps(x: Tensor, size: torch.Size) -> Tensor:
    """(N, H W, C) -> (N, C, H, W)."""
    return x.transpose(1, 2).unflatten(2, size)


def softmax_of_all(x: Tensor) -> Tensor:
    """Softmax over all entries of each matrix: (N, R, C) -> (N, R, C)."""
    return x.flatten(1).softmax(1).view_as(x)


class SpatialGCN(nn.Module):
    """The graph of pixels; see the module. (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(channels, channels // 2, 1)
        self.nu = nn.Conv2d(channels, channels // 2, 1)
        self.xi = nn.Conv2d(channels, channels // 2, 1)
        self.leave = nn.Conv2d(channels // 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        nu, xi = (softmax_of_all(as_matrix(layer(x))) for layer in (self.nu, self.xi))
        related = as_matrix(self.theta(x)) @ (nu.transpose(1, 2) @ xi)
        return x + self.leave(as_maps(related, x.shape[2:]))


class ChannelGCN(nn.Module):
    """The graph of channels; see the module. (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.zeta = nn.Conv2d(channels, channels // 2, 1)
        self.kappa = nn.Conv2d(channels, channels // 4, 1)
        self.adjacency = nn.Conv2d(channels // 2, channels // 2, 1)
        self.state = nn.Conv2d(channels // 4, channels // 4, 1)
        self.leave = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        zeta, kappa = as_matrix(self.zeta(x)), as_matrix(self.kappa(x))
        nodes = softmax_of_all(kappa.transpose(1, 2) @ zeta)[:, None]  # (N, 1, C/4, C/2)
        nodes = nodes.permute(0, 3, 1, 2)
        nodes = F.relu(nodes + self.adjacency(nodes))  # (N, C/2, 1, C/4)
        nodes = self.state(nodes.permute(0, 3, 2, 1))[:, :, 0]  # (N, C/4, C/2)
        return x + self.leave(as_maps(zeta @ nodes.transpose(1, 2), x.shape[2:]))


class Unit(nn.Module):
    """Spatial graph, plain and dilated convolutions (DCM), channel graph, and the sum with x.

    (N, C, H, W) -> (N, C, H, W)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = SpatialGCN(channels)
        self.convs = nn.ModuleList(
            conv3x3(channels, channels, dilation=dilation) for dilation in (1, 1, 3, 3)
        )
        self.fuse = nn.Conv2d(5 * channels, channels, 1)
        self.channel = ChannelGCN(channels)

    def forward(self, x: Tensor) -> Tensor:
        related = self.spatial(x)
        maps = [related]
        for index, conv in enumerate(self.convs):
            maps.append(conv(maps[-1] if index % 2 else related).relu())
        result: Tensor = self.channel(self.fuse(torch.cat(maps, dim=1)).relu())
        return x + result


LAYERS = [
    *(f"spatial.{name}" for name in ("theta", "nu", "xi", "leave")),
    *(f"convs.{index}" for index in range(4)),
    "fuse",
    *(f"channel.{name}" for name in ("zeta", "kappa", "adjacency", "state", "leave")),
]
"""Layers of a unit in the order of the code, which TensorFlow numbers."""


def _numbered(name: str, *, first: int = 0) -> str:
    """Return TensorFlow's name of a layer of a unit, whose scope has `first` layers before it."""
    number = LAYERS.index(name) + first
    return f"conv2d_{number}" if number else "conv2d"


class DualGCN(Rival):
    """Five units, a middle one, and five units with skip connections; see `Rival`."""

    NAMES = (
        (r"^enter\.0", "basic/conv2d"),
        (r"^enter\.1", "basic/conv2d_1"),
        (r"^leave\.0", "reconstruct/conv2d"),
        (r"^leave\.1", "reconstruct/conv2d_1"),
        (r"^join\.(\d)", r"decoder\1/conv2d"),
        (r"^middle\.(.+)(?=\.\w+$)", lambda m: f"middle/{_numbered(m[1])}"),
        (r"^encoders\.(\d)\.(.+)(?=\.\w+$)", lambda m: f"encoder{m[1]}/{_numbered(m[2])}"),
        (r"^decoders\.(\d)\.(.+)(?=\.\w+$)", lambda m: f"decoder{m[1]}/{_numbered(m[2], first=1)}"),
        (r"\.weight$", "/kernel"),
        (r"\.bias$", "/bias"),
        (r"^", "Generator/"),
    )

    def __init__(self, *, channels: int = 72, units: int = 5) -> None:
        super().__init__()
        self.enter = nn.ModuleList([conv3x3(3, channels), conv3x3(channels, channels)])
        self.encoders = nn.ModuleList(Unit(channels) for _ in range(units))
        self.middle = Unit(channels)
        self.join = nn.ModuleList(nn.Conv2d(2 * channels, channels, 1) for _ in range(units))
        self.decoders = nn.ModuleList(Unit(channels) for _ in range(units))
        self.leave = nn.ModuleList([conv3x3(2 * channels, channels), conv3x3(channels, 3)])

    def forward(self, rainy: Tensor) -> Tensor:
        shallow = self.enter[0](rainy)
        features = x = self.enter[1](shallow)
        encoded = []
        for encode in self.encoders:
            x = encode(x)
            encoded.append(x)
        x = self.middle(x)
        for index in reversed(range(len(encoded))):
            x = self.join[index](torch.cat([x, encoded[index]], dim=1))
            x = self.decoders[index](x)
        x = self.leave[0](torch.cat([x, features], dim=1)).relu() + shallow
        return rainy + self.leave[1](x)
