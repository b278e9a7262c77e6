"""Give the modules of a network more stages without changing what it computes.

The idea is Net2DeeperNet's (Chen et al., ICLR 2016). A new stage keeps its three branches as they
are: the last layers of its residual branches and of its SFTs are zero, and its fusion passes the
previous fusion on. Training then finds a use for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from derain.network.configuration import PLNLINConfiguration
from derain.network.generator import PLNLIN
from derain.weights.exported_tensors import HEADS

LAST_LAYERS = (".second.", ".projection.", ".mlp.2.", ".scale.", ".shift.")
"""Parts of the names of layers that end a residual branch or a path of an SFT."""


def can_deepen(shallow: PLNLINConfiguration, deep: PLNLINConfiguration) -> bool:
    """True if weights of `shallow` can be given the stages of `deep`.

    The two may differ only in that `deep` has more stages at some levels, by an even number: an odd
    number would move the shift of the last Swin block.
    """
    more = [new - old for old, new in zip(shallow.stages, deep.stages, strict=True)]
    deepened = replace(shallow, preset=deep.preset, stages=deep.stages).generator_only
    return (
        shallow.unit == "plnlim"
        and any(more)
        and all(number >= 0 and number % 2 == 0 for number in more)
        and deepened == deep.generator_only
    )


def deepen(
    tensors: Mapping[str, Tensor],
    shallow: PLNLINConfiguration,
    deep: PLNLINConfiguration,
    *,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Return the parameters of the deep network by name; `seed` draws those of new stages.

    Both networks are generators of unit `plnlim`. Without heads in `tensors`, as in a shipped
    model, the result has none.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        drawn = PLNLIN(deep).state_dict()
    deepened = {}
    for name, tensor in drawn.items():
        if name.startswith(HEADS) and name not in tensors:
            continue
        source = source_name(name, shallow, deep)
        deepened[name] = identity(name, tensor) if source is None else tensors[source]
    return deepened


def source_name(name: str, shallow: PLNLINConfiguration, deep: PLNLINConfiguration) -> str | None:
    """Return the name of a parameter in the shallow network; None if its stage is new."""
    part, *rest = name.split(".")
    if part not in ("encoder", "decoder") or rest[1] == "end":
        return name
    level, kind, index = int(rest[0]), rest[1], int(rest[2])
    old, new = shallow.stages[level], deep.stages[level]
    if kind in ("local", "nonlocal_") and index == new:  # the units of equation (6)
        index = old
    elif index >= (old - 1 if kind in ("to_local", "to_nonlocal") else old):
        return None
    return ".".join([part, rest[0], kind, str(index), *rest[3:]])


def identity(name: str, drawn: Tensor) -> Tensor:
    """Return the parameter of a new stage that keeps all branches as they are.

    `drawn` are the random values of the parameter.
    """
    if ".fusion." in name:
        kept = torch.zeros_like(drawn)
        if drawn.ndim > 1:  # (C, 3 C): the first C inputs are the previous fusion
            kept[:, : len(drawn)] = torch.eye(len(drawn)).to(kept)
        return kept
    return torch.zeros_like(drawn) if any(part in name for part in LAST_LAYERS) else drawn
