"""ONNX graph of RCDNet, as its modules read."""

from __future__ import annotations

from typing import cast

from torch import nn

from derain.export.onnx_graph import Name, OnnxGraph
from derain.rivals import rcdnet
from derain.rivals.onnx_layers import (
    array,
    concat,
    conv,
    layer,
    relu,
)


def write_rcdnet(g: OnnxGraph, network: rcdnet.RCDNet) -> Name:
    """Write the graph of `RCDNet.forward` and return its output."""
    white, speed = g.floats([rcdnet.WHITE]), rcdnet.SPEED
    pads = {"pads": [rcdnet.KERNEL_PX // 2] * 4}
    first, shared = (
        g.constant(speed * array(kernels))
        for kernels in (network.first_kernels, network.kernels[1])
    )
    observed = g.node("Mul", "rainy", white)
    dual = g.node("Conv", observed, g.constant(array(network.dual_filter)), pads=[1] * 4)
    refined = _residual_chain(g, network.enter, concat(g, observed, dual))
    b, z = _split(g, refined)
    excess = g.node("Sub", g.node("Sub", observed, b), g.constant(array(network.first_threshold)))
    maps = g.node("ConvTranspose", relu(g, excess), first, **pads)
    steps_b = [network.first_step, *network.steps_b]
    for stage, (prox_b, prox_m) in enumerate(zip(network.prox_b, network.prox_m, strict=True)):
        maps = _residual_chain(g, cast("rcdnet.ProxM", prox_m).blocks, maps)
        threshold = g.constant(array(cast("rcdnet.ProxM", prox_m).threshold))
        maps = relu(g, g.node("Sub", maps, threshold))
        rain = g.node("Conv", maps, shared, **pads)
        error = g.node("Sub", g.node("Add", rain, b), observed)
        step = g.constant(speed * array(steps_b[stage]))
        moved = g.node("Sub", b, g.node("Mul", error, step))
        refined = _residual_chain(g, prox_b, concat(g, moved, z))
        b, z = _split(g, refined)
        if stage < len(network.steps_m):
            error = g.node("Sub", g.node("Add", rain, b), observed)
            gradient = g.node("ConvTranspose", error, shared, **pads)
            step = g.constant(speed * array(network.steps_m[stage]))
            maps = g.node("Sub", maps, g.node("Mul", gradient, step))
    result, _ = _split(g, _residual_chain(g, network.leave, refined))
    return g.node("Div", result, white)


def _residual_chain(g: OnnxGraph, blocks: nn.Module, x: Name) -> Name:
    for block in cast("list[rcdnet.ResBlock]", list(blocks.children())):
        branch = relu(g, layer(g, block.first_norm, conv(g, block.first, x)))
        branch = layer(g, block.second_norm, conv(g, block.second, branch))
        x = relu(g, g.node("Add", x, branch))
    return x


def _split(g: OnnxGraph, x: Name) -> tuple[Name, Name]:
    """Separate three channels from the rest."""
    axis, far = g.integers([1]), g.integers([2**31])
    zero, three = g.integers([0]), g.integers([3])
    return g.node("Slice", x, zero, three, axis), g.node("Slice", x, three, far, axis)
