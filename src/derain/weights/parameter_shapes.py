"""Names and shapes of the parameters of a PLNLIN (`derain.network.generator`), without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

Shape = tuple[int, ...]
Shapes = Iterator[tuple[str, Shape]]
COLOURS = 3
UNIT = "plnlim"
"""The unit of the generator; a network of the ablations has another one."""
DEFAULTS: Mapping[str, Any] = {
    "unshuffle": 1,
    "frames": 1,
    "window_px": 7,
    "shift_px": 3,
    "attention_heads": 1,
    "mlp_ratio": 4,
    "unit": UNIT,
    "bounded_sft": True,
}
"""Values of fields that an older export lacks, as in `PLNLINConfiguration`."""


def parameter_shapes(configuration: Mapping[str, Any]) -> Shapes:
    """Yield name and shape of each parameter in the order of `PLNLIN.state_dict`, without heads.

    `configuration` holds the fields of a `PLNLINConfiguration` whose unit is UNIT, all of them
    valid. They are yielded one by one: the caller may stop when a file lacks one.
    """
    values = {**DEFAULTS, **configuration}
    channels, stages = values["channels"], values["stages"]
    colours = COLOURS * values["unshuffle"] ** 2
    yield from _layer("enter", channels[0], values["frames"] * colours, 3, 3)
    for side in ("encoder", "decoder"):
        for k, (width, count) in enumerate(zip(channels, stages, strict=True)):
            yield from _unit(f"{side}.{k}", width, count, values)
    for k, (shallow, deep) in enumerate(pairwise(channels)):
        yield from _layer(f"down.{k}", deep, shallow, 3, 3)
    for k, (shallow, deep) in enumerate(pairwise(channels)):
        yield from _layer(f"up.{k}", shallow, deep, 3, 3)
    for k, width in enumerate(channels[:-1]):
        yield from _layer(f"join.{k}", width, 2 * width, 3, 3)
    yield from _layer("leave", colours, channels[0], 3, 3)


def _layer(name: str, *weight: int) -> Shapes:
    yield f"{name}.weight", weight
    yield f"{name}.bias", weight[:1]


def _unit(name: str, width: int, stages: int, values: Mapping[str, Any]) -> Shapes:
    """Yield the parameters of a PLNLIM."""
    for i in range(stages + 1):
        for layer in ("first", "second"):
            yield from _layer(f"{name}.local.{i}.{layer}", width, width, 3, 3)
    for i in range(stages + 1):
        yield from _swin_block(f"{name}.nonlocal_.{i}", width, values)
    for branch in ("to_local", "to_nonlocal"):
        for i in range(stages - 1):
            yield from _layer(f"{name}.{branch}.{i}.first", 2 * width, width)
            yield from _layer(f"{name}.{branch}.{i}.scale", width, width)
            yield from _layer(f"{name}.{branch}.{i}.shift", width, width)
    for i in range(stages):
        yield from _layer(f"{name}.fusion.{i}", width, (2 if i == 0 else 3) * width)
    yield from _layer(f"{name}.end", width, 3 * width)


def _swin_block(name: str, width: int, values: Mapping[str, Any]) -> Shapes:
    hidden, offsets = values["mlp_ratio"] * width, (2 * values["window_px"] - 1) ** 2
    yield from _layer(f"{name}.attention_norm", width)
    yield f"{name}.attention.position_bias", (offsets, values["attention_heads"])
    yield from _layer(f"{name}.attention.qkv", 3 * width, width)
    yield from _layer(f"{name}.attention.projection", width, width)
    yield from _layer(f"{name}.mlp_norm", width)
    yield from _layer(f"{name}.mlp.0", hidden, width)
    yield from _layer(f"{name}.mlp.2", width, hidden)
