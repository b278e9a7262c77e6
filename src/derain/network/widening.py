"""Weights for a network of more channels that computes what a narrower one does (Net2WiderNet; Chen et al., ICLR 2016).

A new channel is a copy of an old one, and what reads it and the old one shares its weight between them, unequally, so that
training drives them apart. Where every channel of a level gets as many copies, the network computes the same; where some get
more, layer norms see other means and deviations, and it computes nearly the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from derain.network import PLNLINConfiguration

UNEQUAL = 0.25
"""How far a share may be from the equal one."""


def can_widen(narrow: PLNLINConfiguration, wide: PLNLINConfiguration) -> bool:
    """Whether weights of `narrow` can become those of `wide`: they differ in nothing but more channels at some levels."""
    known = narrow.unit == "plnlim" and narrow.attention_heads == 1
    more = all(few <= many for few, many in zip(narrow.channels, wide.channels, strict=True))
    alike = replace(narrow, preset=wide.preset, channels=wide.channels)
    return (
        known
        and more
        and narrow.channels != wide.channels
        and alike.of_generator == wide.of_generator
    )


def widen(
    tensors: Mapping[str, Tensor],
    narrow: PLNLINConfiguration,
    wide: PLNLINConfiguration,
    *,
    seed: int = 0,
) -> dict[str, Tensor]:
    """The parameters of a PLNLIN of units `plnlim`, by name, for `wide`. `seed` draws the shares."""
    generator = torch.Generator().manual_seed(seed)
    channels = list(zip(narrow.channels, wide.channels, strict=True))
    made = {}
    for name, tensor in tensors.items():
        out, into = levels(name)
        if into is not None and tensor.ndim > 1:
            tensor = split_columns(tensor, *channels[into], generator=generator)
        if out is not None:
            tensor = tensor.index_select(0, copy_indices(len(tensor), *channels[out]))
            if ".attention.qkv." in name:
                tensor = scaled_queries(tensor, *channels[out])
        made[name] = tensor.contiguous()
    return made


def levels(name: str) -> tuple[int | None, int | None]:
    """The level, 0 to 3, of the feature map that a parameter's layer makes and of that which it reads; None is no feature map."""
    part, *rest = name.split(".")
    if name.endswith("position_bias"):
        return None, None
    if part in ("enter", "leave"):
        return (0, None) if part == "enter" else (None, 0)
    level = int(rest[0])
    if part in ("down", "up"):
        return (level + 1, level) if part == "down" else (level, level + 1)
    return (None, level) if part == "heads" and rest[1] == "picture" else (level, level)


def copy_indices(size: int, few: int, many: int) -> Tensor:
    """Of which of `size` = groups * few entries each of groups * many is a copy."""
    return (torch.arange(0, size, few)[:, None] + torch.arange(many) % few).flatten()


def split_columns(weight: Tensor, few: int, many: int, *, generator: torch.Generator) -> Tensor:
    """(out, groups * few, ...) -> (out, groups * many, ...): what reads a channel is shared among its copies."""
    source = copy_indices(weight.shape[1], few, many)
    copies = torch.bincount(source).view(-1, *[1] * (weight.ndim - 2))
    wide = weight.index_select(1, source)
    uneven = (torch.rand(wide.shape, generator=generator) * 2 - 1) * UNEQUAL
    excess = torch.zeros_like(weight).index_add_(1, source, uneven) / copies
    return wide * (1 / copies[source] + uneven - excess.index_select(1, source))


def scaled_queries(qkv: Tensor, few: int, many: int) -> Tensor:
    """Queries (the first `many` rows) whose products with the copied keys, over the root of more channels, stay the same."""
    source = copy_indices(few, few, many)
    factor = (many / few) ** 0.5 / torch.bincount(source)[source]
    qkv = qkv.clone()
    qkv[:many] *= factor.view(-1, *[1] * (qkv.ndim - 1))
    return qkv
