"""ONNX graph of DCSFN, as its modules read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from derain.export.onnx_graph import Name, OnnxGraph
from derain.rivals import dcsfn, ssid_kd
from derain.rivals.onnx_layers import (
    concat,
    conv,
    extend,
    gated_state,
    layer,
    leaky_relu,
    max_pool,
    resize,
    reverse_channels,
    size_of,
    subtract_rain,
)


def write_dcsfn(g: OnnxGraph, network: dcsfn.DCSFN) -> Name:
    """Write the graph of `DCSFN.forward` and return its output."""
    x = layer(g, network.enter, extend(g, reverse_channels(g, "rainy"), side=dcsfn.MIN_SIDE_PX))
    scales = [x, max_pool(g, x, 2), max_pool(g, x, 4)]
    sizes = [size_of(g, maps) for maps in scales]
    encoded = [
        chain(g, cast("dcsfn.DenseChain", encode), maps)
        for encode, maps in zip(network.encoders, scales, strict=True)
    ]
    states = [out for out, _ in encoded]
    for way, fuse, order in (
        (network.up, network.fuse_up, (2, 1, 0)),
        (network.down, network.fuse_down, (0, 1, 2)),
    ):
        first, second, last = order
        units = cast("list[dcsfn.ConvGRU]", list(way))
        states[first] = _gru(g, units[first], states[first], "")
        resized = resize(g, states[first], sizes[second])
        states[second] = _gru(g, units[second], states[second], resized)
        # the scale in the middle comes first on the way up, second on the way down
        pair = (second, first) if way is network.up else (first, second)
        both = concat(g, *(resize(g, states[scale], sizes[last]) for scale in pair))
        states[last] = _gru(g, units[last], states[last], layer(g, fuse, both))
    decoded = [
        chain(g, cast("dcsfn.DenseChain", decode), state, features)[0]
        for decode, state, (_, features) in zip(network.decoders, states, encoded, strict=True)
    ]
    merged = layer(g, network.merge, concat(g, *(resize(g, maps, sizes[0]) for maps in decoded)))
    return subtract_rain(g, layer(g, network.leave, merged))


def chain(
    g: OnnxGraph, chain: Any, x: Name, added: Sequence[Name] | None = None
) -> tuple[Name, list[Name]]:
    """Write a chain of DCSFN, or of SSID-KD, which repeats one unit."""
    maps, out = [x], x
    for index, fuse in enumerate(chain.fuse):
        if added is not None:
            out = g.node("Add", out, added[index])
        if isinstance(chain, dcsfn.DenseChain):
            maps.append(_inner_scale(g, chain.units[index], out))
        else:
            maps.append(_multi_scale(g, chain.unit[1], _inner_scale(g, chain.unit[0], out)))
        out = layer(g, fuse, concat(g, *maps))
    return out, maps[1:]


def _inner_scale(g: OnnxGraph, block: Any, x: Name) -> Name:
    coarsest, size = len(block.scales) - 1, size_of(g, x)
    maps = [layer(g, block.scales[coarsest], max_pool(g, x, 2**coarsest))]
    for index in reversed(range(coarsest)):
        finer = max_pool(g, x, 2**index) if index else x
        both = concat(g, finer, resize(g, maps[0], size_of(g, finer)))
        maps.insert(0, layer(g, block.scales[index], layer(g, block.fuse[index], both)))
    joined = concat(g, maps[0], *(resize(g, m, size) for m in maps[1:]))
    return g.node("Add", x, layer(g, block.join, joined))


def _multi_scale(g: OnnxGraph, block: ssid_kd.MultiScaleFusion, x: Name) -> Name:
    both = concat(g, *(layer(g, part, x) for part in block.first))
    joined = concat(g, *(layer(g, part, both) for part in block.second))
    return g.node("Add", x, conv(g, block.fuse, joined))


def _gru(g: OnnxGraph, unit: dcsfn.ConvGRU, x: Name, h: Name) -> Name:
    return leaky_relu(g, gated_state(g, unit, x, h))
