"""Channel counts with which a variant has as many parameters as what it is compared with."""

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

WITHIN = 0.02  # the paper's rows agree to about this much


@cache
def count_parameters(
    kind: Callable[[PLNLINConfiguration], nn.Module], configuration: PLNLINConfiguration
) -> int:
    """How many parameters a network of that configuration has; nothing is allocated."""
    with torch.device("meta"):
        network = kind(configuration)
    return sum(p.numel() for p in network.parameters())


def match_parameters(
    configuration: PLNLINConfiguration,
    *,
    wanted: int,
    of: Callable[[PLNLINConfiguration], nn.Module] = PLNLIN,
    field: Literal["channels", "discriminator_channels"] = "channels",
) -> PLNLINConfiguration:
    """`configuration` with other channels in `field`, so that the network `of` it has `wanted` parameters, within 2 %.

    The channels keep the proportions that they have as nearly as whole numbers allow. Raises RecipeError if none fits.
    """
    begun = getattr(configuration, field) or configuration.channels

    def given(channels: tuple[int, ...]) -> PLNLINConfiguration:
        changes: dict[str, Any] = {field: channels}
        return replace(configuration, **changes)

    def count(channels: tuple[int, ...]) -> int:
        return count_parameters(of, given(channels))

    near, scale = begun, 1.0
    for _ in range(4):  # parameters grow about with the square of the channels
        scale *= (wanted / count(near)) ** 0.5
        near = _scaled(begun, scale, heads=configuration.attention_heads)
    step = configuration.attention_heads
    candidates = [
        tuple(max(step, c + d) for c, d in zip(near, moves, strict=True))
        for moves in product((0, -step, step), repeat=len(near))
    ]
    for candidate in (
        begun,
        *sorted(candidates, key=lambda c: sum(abs(a - b) for a, b in zip(c, near, strict=True))),
    ):
        if abs(count(candidate) / wanted - 1) <= WITHIN:
            return given(candidate)
    raise RecipeError(
        f"network.{field} = {list(begun)}: none near {list(near)} give it {wanted:,} parameters as unit {configuration.unit!r} "
        f"with discriminator {configuration.discriminator_unit!r}; choose larger ones"
    )


def _scaled(channels: tuple[int, ...], scale: float, *, heads: int) -> tuple[int, ...]:
    return tuple(heads * max(1, round(c * scale / heads)) for c in channels)
