"""The variants of PLNLIM in the paper's Tables 3, 4 and 6, each with one part replaced."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from derain.errors import WeightsError
from derain.network.blocks import Pointwise, ResidualBlock
from derain.network.configuration import PLNLINConfiguration
from derain.network.plnlim import PLNLIM, swin_block


class WithoutFusion(PLNLIM):
    """Table 3 (a): the two branches and their interaction, without the fusion branch."""

    def __init__(self, channels: int, *, stages: int, configuration: PLNLINConfiguration) -> None:
        super().__init__(channels, stages=stages, configuration=configuration)
        del self.fusion, self.end

    def forward(self, x: Tensor) -> Tensor:
        local, nonlocal_ = self.local[0](x), self.nonlocal_[0](x)
        stages = zip(
            self.local[1:-1], self.nonlocal_[1:-1], self.to_local, self.to_nonlocal, strict=True
        )
        for rb, stb, to_local, to_nonlocal in stages:
            local, nonlocal_ = rb(to_local(local, nonlocal_)), stb(to_nonlocal(nonlocal_, local))
        return self.local[-1](local) + self.nonlocal_[-1](nonlocal_)


class Concatenation(nn.Module):
    """Interaction by Conv1x1(cat[x, guide]): (N, C, H, W), (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.join = Pointwise(2 * channels, channels)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        return self.join(torch.cat([x, guide], dim=1))


class Concatenated(PLNLIM):
    """Table 3 (b): concatenation instead of SFT."""

    def __init__(self, channels: int, *, stages: int, configuration: PLNLINConfiguration) -> None:
        super().__init__(channels, stages=stages, configuration=configuration)
        self.to_local = nn.ModuleList(Concatenation(channels) for _ in range(stages - 1))
        self.to_nonlocal = nn.ModuleList(Concatenation(channels) for _ in range(stages - 1))


class BothLocal(PLNLIM):
    """Table 3 (c): convolution in both branches."""

    def __init__(self, channels: int, *, stages: int, configuration: PLNLINConfiguration) -> None:
        super().__init__(channels, stages=stages, configuration=configuration)
        self.nonlocal_ = nn.ModuleList(ResidualBlock(channels) for _ in range(stages + 1))


class BothNonlocal(PLNLIM):
    """Table 3 (d): window attention in both branches."""

    def __init__(self, channels: int, *, stages: int, configuration: PLNLINConfiguration) -> None:
        super().__init__(channels, stages=stages, configuration=configuration)
        self.local = nn.ModuleList(
            swin_block(channels, i, configuration) for i in range(stages + 1)
        )


class NoInteraction(nn.Module):
    """Return the branch unchanged and ignore the guide."""

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        return x


class WithoutInteraction(PLNLIM):
    """Table 3 (e): the branches meet in the fusion only."""

    def __init__(self, channels: int, *, stages: int, configuration: PLNLINConfiguration) -> None:
        super().__init__(channels, stages=stages, configuration=configuration)
        self.to_local = nn.ModuleList(NoInteraction() for _ in range(stages - 1))
        self.to_nonlocal = nn.ModuleList(NoInteraction() for _ in range(stages - 1))


class ResidualChain(nn.Sequential):
    """Tables 4 and 6, local: as many residual blocks as PLNLIM has units, 2 (N + 1)."""

    def __init__(self, channels: int, *, stages: int, configuration: PLNLINConfiguration) -> None:
        super().__init__(*(ResidualBlock(channels) for _ in range(2 * (stages + 1))))


class SwinChain(nn.Sequential):
    """Tables 4 and 6, non-local: as many Swin blocks as PLNLIM has units, 2 (N + 1)."""

    def __init__(self, channels: int, *, stages: int, configuration: PLNLINConfiguration) -> None:
        super().__init__(*(swin_block(channels, i, configuration) for i in range(2 * (stages + 1))))


UNITS: dict[str, Callable[..., nn.Module]] = {
    "plnlim": PLNLIM,
    "without-fusion": WithoutFusion,
    "concatenation": Concatenated,
    "both-local": BothLocal,
    "both-nonlocal": BothNonlocal,
    "without-interaction": WithoutInteraction,
    "residual": ResidualChain,
    "swin": SwinChain,
}
"""Units by their names in a configuration; each takes (channels, stages=, configuration=)."""


def get_unit(name: str) -> Callable[..., nn.Module]:
    """Return the unit of that name. Raises WeightsError, which lists the names."""
    if name not in UNITS:
        raise WeightsError(
            f"configuration: unit {name!r} is unknown; choose one of {', '.join(UNITS)}"
        )
    return UNITS[name]
