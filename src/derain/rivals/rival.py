"""The contract of a rival network, and blocks that several of them share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from derain.network.generator import reflected

Replacement = str | Callable[[re.Match[str]], str]


class Rival(nn.Module):
    """A network of another paper: removes rain from a picture.

    (N, 3, H, W) in 0..1, R, G, B -> (N, 3, H, W), not clamped, for any H and W >= 1. Conventions of
    the original code (channel order, range, a predicted rain layer) stay inside `forward`.
    """

    NAMES: ClassVar[tuple[tuple[str, Replacement], ...]] = ()
    """Arguments of `re.sub` that turn names of parameters into those of the official checkpoint."""
    UNUSED: ClassVar[str] = r"(?!)"
    """Pattern of names in the official checkpoint that the official code never reads."""
    BYTES_PER_PX: ClassVar[int | None] = None
    """Peak memory per pixel, measured on a CPU and rounded up.

    None if the network reads statistics of the whole picture, so that tiles change its result.
    """

    configuration: Any = None
    """The `RivalConfiguration` that built the network, if one did."""

    def official_name(self, name: str) -> str:
        """Return the name that a parameter has in the official checkpoint."""
        for pattern, replacement in self.NAMES:
            name = re.sub(pattern, replacement, name)
        return name

    def outputs(self, rainy: Tensor) -> list[Tensor]:
        """Return the result, then what else the loss of its authors supervises."""
        return [self.restore(rainy)]

    def restore(self, rainy: Tensor) -> Tensor:
        """Type the call, which `nn.Module` leaves untyped."""
        restored: Tensor = self(rainy)
        return restored


class SqueezeExcitation(nn.Module):
    """Scale each channel by a function of all channel means (Hu et al., CVPR 2018).

    (N, C, H, W) -> (N, C, H, W)
    """

    def __init__(self, channels: int, *, squeezed: int, bias: bool = True) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, squeezed, bias=bias)
        self.excite = nn.Linear(squeezed, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.excite(self.squeeze(x.mean((2, 3))).relu()).sigmoid()
        return x * scale[:, :, None, None]


class LeakyConv(nn.Conv2d):
    """A convolution that keeps the size of its input, and a leaky ReLU of slope 0.2."""

    def __init__(self, inputs: int, outputs: int, size: int = 3) -> None:
        super().__init__(inputs, outputs, size, padding=size // 2)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(super().forward(x), 0.2)


def count_from_one(template: str) -> Callable[[re.Match[str]], str]:
    """Return a replacement for `Rival.NAMES` that fills in the matched numbers, plus one."""
    return lambda match: template.format(*(int(group) + 1 for group in match.groups()))


def extend(x: Tensor, *, height: int, width: int) -> Tensor:
    """Extend (N, C, H, W) by reflection at the right and at the bottom, as often as necessary."""
    rows = reflected(x.shape[2], height, device=x.device)
    columns = reflected(x.shape[3], width, device=x.device)
    return x[:, :, rows][:, :, :, columns]


def extend_to_multiples(x: Tensor, multiple: int) -> Tensor:
    """Extend (N, C, H, W) by reflection until both sides are multiples."""
    height, width = (-(-side // multiple) * multiple for side in x.shape[2:])
    return extend(x, height=height, width=width)


def extend_to_side(x: Tensor, side: int) -> Tensor:
    """Extend (N, C, H, W) by reflection until both sides have at least `side` pixels."""
    return extend(x, height=max(x.shape[2], side), width=max(x.shape[3], side))


def resize_like(x: Tensor, other: Tensor) -> Tensor:
    """Repeat or drop pixels of (N, C, H, W) until it has the height and width of `other`."""
    size = other.shape[2:]
    return x if x.shape[2:] == size else F.interpolate(x, size=size, mode="nearest")


def conv3x3(inputs: int, outputs: int, *, bias: bool = True, dilation: int = 1) -> nn.Conv2d:
    """Build a 3x3 convolution that keeps the size of its input."""
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=bias)
