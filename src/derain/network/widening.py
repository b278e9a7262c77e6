"""Widen a network without changing what it computes (Net2WiderNet; Chen et al., ICLR 2016).

Each new channel is a copy of an old one. The layer that reads both splits its weight between them,
unequally, so that training separates them. If all channels of a level get equally many copies, the
wider network computes the same. Otherwise layer norms see a different mean and deviation, and the
result is nearly the same.

A network for pictures becomes one for clips by weights of zero for the neighbouring frames: it
restores the centre frame as before, until training finds a use for the neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from derain.network.configuration import PLNLINConfiguration

UNEQUAL = 0.25
"""Maximum deviation of a share from the equal one."""


def can_widen(narrow: PLNLINConfiguration, wide: PLNLINConfiguration) -> bool:
    """True if weights of `narrow` can be widened to `wide`.

    The two may differ only in that `wide` has more channels at some levels, and several frames
    where `narrow` has one.
    """
    is_supported = narrow.unit == "plnlim" and narrow.attention_heads == 1
    is_wider = all(old <= new for old, new in zip(narrow.channels, wide.channels, strict=True))
    differs = (narrow.channels, narrow.frames) != (wide.channels, wide.frames)
    has_new_frames = narrow.frames in (1, wide.frames)
    widened = replace(
        narrow, preset=wide.preset, channels=wide.channels, frames=wide.frames
    ).generator_only
    return (
        is_supported
        and is_wider
        and differs
        and has_new_frames
        and (widened == wide.generator_only)
    )


def widen(
    tensors: Mapping[str, Tensor],
    narrow: PLNLINConfiguration,
    wide: PLNLINConfiguration,
    *,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Return the parameters of the wide network by name; `seed` draws the shares.

    Both networks are generators of unit `plnlim`.
    """
    generator = torch.Generator().manual_seed(seed)
    channels = list(zip(narrow.channels, wide.channels, strict=True))
    widened = {}
    for name, tensor in tensors.items():
        out, into = levels(name)
        if into is not None and tensor.ndim > 1:
            tensor = split_columns(tensor, *channels[into], generator=generator)
        if out is not None:
            tensor = tensor.index_select(0, copy_indices(len(tensor), *channels[out]))
            if ".attention.qkv." in name:
                tensor = scaled_queries(tensor, *channels[out])
        if name == "enter.weight" and narrow.frames != wide.frames:
            tensor = with_neighbours(tensor, wide)
        widened[name] = tensor.contiguous()
    return widened


def with_neighbours(weight: Tensor, wide: PLNLINConfiguration) -> Tensor:
    """Give the first convolution weights of zero for the frames beside the centre one.

    (out, C, 3, 3) -> (out, frames * C, 3, 3)
    """
    neighbours = weight.new_zeros(len(weight), wide.frames // 2 * weight.shape[1], 3, 3)
    return torch.cat([neighbours, weight, neighbours], dim=1)


def levels(name: str) -> tuple[int | None, int | None]:
    """Return the levels, 0 to 3, of the feature maps that a parameter's layer writes and reads.

    None stands for something other than a feature map.
    """
    part, *rest = name.split(".")
    if name.endswith("position_bias"):
        return None, None
    if part in ("enter", "leave"):
        return (0, None) if part == "enter" else (None, 0)
    level = int(rest[0])
    if part in ("down", "up"):
        return (level + 1, level) if part == "down" else (level, level + 1)
    return (None, level) if part == "heads" and rest[1] == "picture" else (level, level)


def copy_indices(size: int, old: int, new: int) -> Tensor:
    """Return the source of each of groups * `new` entries among `size` = groups * `old` entries."""
    return (torch.arange(0, size, old)[:, None] + torch.arange(new) % old).flatten()


def split_columns(weight: Tensor, old: int, new: int, *, generator: torch.Generator) -> Tensor:
    """Split the weight of each input channel between its copies.

    (out, groups * old, ...) -> (out, groups * new, ...)
    """
    source = copy_indices(weight.shape[1], old, new)
    copies = torch.bincount(source).view(-1, *[1] * (weight.ndim - 2))
    wide = weight.index_select(1, source)
    deviation = (torch.rand(wide.shape, generator=generator) * 2 - 1) * UNEQUAL
    excess = torch.zeros_like(weight).index_add_(1, source, deviation) / copies
    return wide * (1 / copies[source] + deviation - excess.index_select(1, source))


def scaled_queries(qkv: Tensor, old: int, new: int) -> Tensor:
    """Scale the queries, the first `new` rows, so that the attention logits stay the same.

    The keys have copies, and the logits are divided by the root of more channels.
    """
    source = copy_indices(old, old, new)
    factor = (new / old) ** 0.5 / torch.bincount(source)[source]
    qkv = qkv.clone()
    qkv[:new] *= factor.view(-1, *[1] * (qkv.ndim - 1))
    return qkv
