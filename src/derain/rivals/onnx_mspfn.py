"""ONNX graph of MSPFN, as its modules read."""

from __future__ import annotations

from typing import Any, cast

from torch import nn

from derain.export.onnx_graph import Name, OnnxGraph
from derain.rivals import mspfn
from derain.rivals.onnx_layers import (
    array,
    concat,
    conv,
    extend,
    reverse_channels,
    shared_mean,
    size_of,
    subtract_rain,
)


def write_mspfn(g: OnnxGraph, network: mspfn.MSPFN) -> Name:
    """Write the graph of `MSPFN.forward` and return its output."""
    twice = g.node("Mul", reverse_channels(g, "rainy"), g.floats([2.0]))
    rainy = extend(g, g.node("Sub", twice, g.floats([1.0])), multiple=mspfn.MULTIPLE_PX)
    pyramid = [
        rainy,
        *(
            g.node("AveragePool", rainy, kernel_shape=[side] * 2, strides=[side] * 2)
            for side in (2, 4)
        ),
    ]
    full, half, quarter = (
        _deconv(g, enter, x) for enter, x in zip(network.enter, pyramid, strict=True)
    )
    full_size, half_size = size_of(g, full), size_of(g, half)
    quarter = _remember(g, network.memory[2], quarter, quarter)
    raised = _deconv(g, network.memory_up[0], quarter, half_size)
    half = _remember(g, network.memory[1], half, g.node("Add", half, raised))
    raised = _deconv(g, network.memory_up[1], raised, full_size)
    coarser = g.node("Add", raised, _deconv(g, network.memory_up[2], half, full_size))
    full = _remember(g, network.memory[0], full, g.node("Add", full, coarser))
    remembered = (full, half, quarter)
    for attend, raise_to in zip(network.rounds, network.coarse_up, strict=True):
        at_full, at_half, at_quarter = cast("nn.ModuleList", attend)
        up_4_2, up_4_1, up_2_1 = cast("nn.ModuleList", raise_to)
        quarter = g.node("Add", quarter, _attend(g, at_quarter, quarter))
        raised = _deconv(g, up_4_2, quarter, half_size)
        half = g.node("Add", half, _attend(g, at_half, g.node("Add", half, raised)))
        raised = _deconv(g, up_4_1, raised, full_size)
        coarser = g.node("Add", raised, _deconv(g, up_2_1, half, full_size))
        full = g.node("Add", full, _attend(g, at_full, g.node("Add", full, coarser)))
    full, half, quarter = (
        _deconv(g, part, concat(g, x, before))
        for part, x, before in zip(
            network.reconstruct, (full, half, quarter), remembered, strict=True
        )
    )
    raised = _deconv(g, network.up[0], quarter, half_size)
    raised = _deconv(g, network.up[1], concat(g, raised, half), full_size)
    rain = _deconv(g, network.leave, _deconv(g, network.merge, concat(g, full, raised)))
    return subtract_rain(g, g.node("Mul", rain, g.floats([0.5])))


def _prelu(g: OnnxGraph, x: Name, slope: Any) -> Name:
    return g.node("PRelu", x, g.constant(array(slope)[:, None, None]))


def _deconv(g: OnnxGraph, part: Any, x: Name, size: Name = "") -> Name:
    kernel = g.weights(array(part.weight))
    if not size:
        x = g.node("ConvTranspose", x, kernel, pads=[1] * 4)
    else:
        start = g.node("Mod", size, g.integers([2]))
        x = g.node("ConvTranspose", x, kernel, strides=[2, 2])
        x = g.node("Slice", x, start, g.node("Add", start, size), g.integers([2, 3]))
    return x if part.alpha is None else _prelu(g, x, part.alpha)


def _remember(g: OnnxGraph, memory: Any, x: Name, joined: Name) -> Name:
    lstm = memory.lstm
    kernel = g.weights(array(lstm.conv.weight)[:, : lstm.inputs])
    bias = g.constant(array(lstm.conv.bias))
    gates = g.node("Conv", _deconv(g, memory.enter, joined), kernel, bias, pads=[1] * 4)
    i, j, _, o = g.split(gates, 4, axis=1)
    cell = g.node("Mul", g.node("Sigmoid", i), g.node("Tanh", j))
    state = g.node("Mul", g.node("Sigmoid", o), g.node("Tanh", cell))
    return g.node("Add", x, _deconv(g, memory.leave, state))


def _attend(g: OnnxGraph, attention: Any, x: Name) -> Name:
    size = size_of(g, x)
    one = g.integers([1, 1])
    before = g.node("Mod", size, g.integers([2]))
    pads = g.concat([g.integers([0, 0]), before, g.integers([0, 0]), one])
    kernel = g.weights(array(attention.down.weight))
    short = g.node("Conv", g.node("Pad", x, pads), kernel, strides=[2, 2])
    short = x = _prelu(g, short, attention.down.alpha)
    for block in attention.blocks:
        branch = _prelu(g, conv(g, block.first, x), block.first_alpha)
        branch = conv(g, block.second, branch)
        scale = _prelu(g, conv(g, block.squeeze, shared_mean(g, branch)), block.squeeze_alpha)
        scale = g.node("Sigmoid", conv(g, block.excite, scale))
        x = g.node("Add", x, g.node("Mul", branch, scale))
    return _deconv(g, attention.up, concat(g, short, x), size)
