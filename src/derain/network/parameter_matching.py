"""Channel counts that give a variant as many parameters as the network it is compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any, Literal

import torch
from torch import nn

from derain.errors import RecipeError
from derain.network.configuration import PLNLINConfiguration
from derain.network.generator import PLNLIN

TOLERANCE = 0.02
"""Relative difference in parameters; the paper's rows agree about as closely."""
Channels = tuple[int, ...]


@cache
def count_parameters(
    build: Callable[[PLNLINConfiguration], nn.Module], configuration: PLNLINConfiguration
) -> int:
    """Count the parameters of `build(configuration)` without allocating them."""
    with torch.device("meta"):
        network = build(configuration)
    return sum(p.numel() for p in network.parameters())


def match_parameters(
    configuration: PLNLINConfiguration,
    *,
    target: int,
    build: Callable[[PLNLINConfiguration], nn.Module] = PLNLIN,
    field: Literal["channels", "discriminator_channels"] = "channels",
) -> PLNLINConfiguration:
    """Choose the channels in `field` so that `build(configuration)` has `target` parameters.

    The result is within TOLERANCE of the target, and the channels keep their proportions as nearly
    as integers allow. Raises RecipeError if no channels fit.
    """
    initial: Channels = getattr(configuration, field) or configuration.channels
    step = configuration.attention_heads  # channels must be divisible by the heads

    def with_channels(channels: Channels) -> PLNLINConfiguration:
        change: dict[str, Any] = {field: channels}
        return replace(configuration, **change)

    def count(channels: Channels) -> int:
        return count_parameters(build, with_channels(channels))

    estimate, scale = initial, 1.0
    for _ in range(4):  # parameters grow roughly with the square of the channels
        scale *= (target / count(estimate)) ** 0.5
        estimate = tuple(step * max(1, round(c * scale / step)) for c in initial)
    neighbours = [
        tuple(max(step, c + change) for c, change in zip(estimate, changes, strict=True))
        for changes in product((0, -step, step), repeat=len(estimate))
    ]

    def distance(channels: Channels) -> int:
        return sum(abs(a - b) for a, b in zip(channels, estimate, strict=True))

    for candidate in (initial, *sorted(neighbours, key=distance)):
        if abs(count(candidate) / target - 1) <= TOLERANCE:
            return with_channels(candidate)
    raise RecipeError(
        f"network.{field} = {list(initial)}: no values near {list(estimate)} give "
        f"{target:,} parameters with unit {configuration.unit!r} and "
        f"discriminator unit {configuration.discriminator_unit!r}; choose larger ones"
    )
