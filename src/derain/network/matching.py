"""Channel counts with which a variant has as many parameters as what it is compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import torch
from torch import nn

from derain.errors import RecipeError
from derain.network.configuration import PLNLINConfiguration
from derain.network.generator import PLNLIN

WITHIN = 0.02  # the paper's rows agree to about this much


def parameters(kind: Callable[[PLNLINConfiguration], nn.Module], configuration: PLNLINConfiguration) -> int:
    """How many parameters a network of that configuration has; nothing is allocated."""
    with torch.device("meta"):
        network = kind(configuration)
    return sum(p.numel() for p in network.parameters())


def matched(configuration: PLNLINConfiguration, *, like: PLNLINConfiguration) -> PLNLINConfiguration:
    """`configuration` with channels so that its generator has as many parameters as that of `like`, within 2 %.

    The channels keep the proportions of `like` as nearly as whole numbers allow. Raises RecipeError if none fits.
    """
    wanted = parameters(PLNLIN, like)
    scale = 1.0
    for _ in range(4):  # parameters grow about with the square of the channels
        near = _scaled(like.channels, scale)
        scale *= (wanted / parameters(PLNLIN, replace(configuration, channels=near))) ** 0.5
    near = _scaled(like.channels, scale)
    candidates = [
        replace(configuration, channels=tuple(max(1, c + d) for c, d in zip(near, moves, strict=True)))
        for moves in product((0, -1, 1), repeat=len(near))
    ]
    for candidate in sorted(candidates, key=lambda c: sum(abs(a - b) for a, b in zip(c.channels, near, strict=True))):
        if abs(parameters(PLNLIN, candidate) / wanted - 1) <= WITHIN:
            return candidate
    raise RecipeError(
        f"network.channels = {list(like.channels)}: none near {list(near)} give the unit {configuration.unit!r} "
        f"{wanted:,} parameters; choose larger ones"
    )


def _scaled(channels: tuple[int, ...], scale: float) -> tuple[int, ...]:
    return tuple(max(1, round(c * scale)) for c in channels)
