"""Start a larger network from the weights of a smaller one: wider first, then deeper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from derain.network.configuration import PLNLINConfiguration
from derain.network.deepening import can_deepen, deepen
from derain.network.widening import can_widen, widen


def can_grow(small: PLNLINConfiguration, large: PLNLINConfiguration) -> bool:
    """True if weights of `small` can start `large`: wider, deeper, or both."""
    wide = replace(large, stages=small.stages)
    is_wider, is_deeper = can_widen(small, wide), can_deepen(wide, large)
    is_as_wide = wide.generator_only == replace(small, preset=wide.preset).generator_only
    is_as_deep = small.stages == large.stages
    return (is_wider and (is_deeper or is_as_deep)) or (is_as_wide and is_deeper)


def grow(
    tensors: Mapping[str, Tensor],
    small: PLNLINConfiguration,
    large: PLNLINConfiguration,
    *,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Return the parameters of the large network by name; `seed` draws what is random.

    `can_grow` checks that the two fit.
    """
    wide = replace(large, stages=small.stages)
    grown = dict(tensors)
    if can_widen(small, wide):
        grown = widen(grown, small, wide, seed=seed)
    if can_deepen(wide, large):
        grown = deepen(grown, wide, large, seed=seed)
    return grown
