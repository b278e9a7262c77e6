"""ONNX graph of Syn2Real, as its modules read."""

from __future__ import annotations

from typing import Any, cast

from torch import nn

from derain.export.onnx_graph import Name, OnnxGraph
from derain.rivals import syn2real
from derain.rivals.onnx_layers import (
    array,
    concat,
    conv,
    crop,
    extend,
    layer,
    leaky_relu,
    relu,
    resize,
    size_of,
)


def write_syn2real(g: OnnxGraph, network: syn2real.Syn2Real) -> Name:
    """Write the graph of `Syn2Real.forward` and return its output."""
    twice = g.node("Mul", extend(g, "rainy", multiple=syn2real.MULTIPLE_PX), g.floats([2.0]))
    shallow = conv(g, network.enter, g.node("Sub", twice, g.floats([1.0])))

    def stage(block: int, x: Name, *skipped: Name) -> Name:
        key = str(block)
        if key in network.before:
            x = _transition(g, network.before[key], x)
        x = concat(g, x, *skipped) if skipped else x
        return _transition(g, network.after[key], _res2(g, network.blocks[block - 1], x))

    maps = [_res2(g, network.blocks[0], shallow)]
    for block in (2, 3, 4, 5, 6):
        maps.append(stage(block, maps[-1]))
    x = conv(g, network.bottleneck, leaky_relu(g, maps[-1]))
    x = stage(7, x, maps[2])
    x = stage(8, x, maps[1])
    x = stage(9, x, maps[0], shallow)
    smooth, estimate, wider, leave = cast("list[nn.Conv2d]", list(network.refine))
    x = g.node("Sub", shallow, leaky_relu(g, conv(g, smooth, x)))
    x = leaky_relu(g, conv(g, wider, g.node("Tanh", conv(g, estimate, x))))
    return crop(g, g.node("Sigmoid", conv(g, leave, x)), "rainy")


def _res2(g: OnnxGraph, block: Any, x: Name) -> Name:
    wide = conv(g, block.enter, relu(g, layer(g, block.enter_norm, x)))
    *parts, last = g.split(wide, len(block.convs) + 1, axis=1)
    results: list[Name] = []
    for part, norm, kernel in zip(parts, block.norms, block.convs, strict=True):
        total = g.node("Add", part, results[-1]) if results else part
        results.append(conv(g, kernel, relu(g, layer(g, norm, total))))
    joined = layer(g, block.leave_norm, concat(g, *results, last))
    return concat(g, x, g.node("Add", x, conv(g, block.leave, relu(g, joined))))


def _transition(g: OnnxGraph, transition: Any, x: Name) -> Name:
    kernel = g.weights(array(transition.conv.weight).transpose(1, 0, 2, 3))
    x = g.node("Conv", relu(g, layer(g, transition.norm, x)), kernel)
    if transition.resize == "halve":
        return g.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    if transition.resize:
        return resize(g, x, g.node("Mul", size_of(g, x), g.integers([2])))
    return x
