"""ONNX graph of SSID-KD, as its modules read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from derain.export.onnx_graph import Name, OnnxGraph
from derain.rivals import ssid_kd
from derain.rivals.onnx_dcsfn import chain
from derain.rivals.onnx_layers import (
    concat,
    extend,
    layer,
    resize,
    reverse_channels,
    size_of,
    subtract_rain,
)


def write_ssid_kd(g: OnnxGraph, network: ssid_kd.SSIDKD) -> Name:
    """Write the graph of `SSIDKD.forward` and return its output."""
    x = extend(g, reverse_channels(g, "rainy"), side=ssid_kd.MIN_SIDE_PX)
    sizes = [size_of(g, x)]
    for scale in range(1, ssid_kd.SCALES):
        sizes.append(g.node("Div", sizes[0], g.integers([2**scale])))
    maps: dict[tuple[str, int], list[Name]] = {}
    results: list[Name] = []
    for scale in reversed(range(ssid_kd.SCALES)):
        resized = resize(g, x, sizes[scale], linear=True) if scale else x
        result, maps = _nested(
            g, network.nested[scale], layer(g, network.enter[scale], resized), maps, sizes[scale:]
        )
        results.insert(0, result)
    return subtract_rain(g, layer(g, network.leave, _joined(g, results, sizes[0])))


def _nested(
    g: OnnxGraph,
    nested: Any,
    x: Name,
    coarser: dict[tuple[str, int], list[Name]],
    sizes: Sequence[Name],
) -> tuple[Name, dict[tuple[str, int], list[Name]]]:
    results: dict[tuple[str, int], list[Name]] = {}
    inputs = [x]
    for index, down in enumerate(nested.down):
        place = ("down", nested.finest + index)
        out, maps = chain(g, down, inputs[-1], coarser.get(place))
        results[place] = maps
        if index < len(nested.shrink):
            inputs.append(layer(g, nested.shrink[index], _joined(g, maps, sizes[index + 1])))
    for index in reversed(range(len(nested.up))):
        scale = nested.finest + index
        x = layer(g, nested.grow[index], _joined(g, maps, sizes[index]))
        skipped = coarser.get(("up", scale), results["down", scale])
        out, maps = chain(g, nested.up[index], x, skipped)
        out = g.node("Add", out, inputs[index])
        results["up", scale] = maps
        maps = [*maps[:-1], out]
    if not len(nested.up):
        out = g.node("Add", out, inputs[0])
    return out, results


def _joined(g: OnnxGraph, maps: Sequence[Name], size: Name) -> Name:
    return concat(g, *(resize(g, m, size, linear=True) for m in maps))
