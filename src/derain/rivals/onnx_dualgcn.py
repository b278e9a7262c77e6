"""ONNX graph of DualGCN, as its modules read."""

from __future__ import annotations

from typing import Any, cast

from torch import nn

from derain.export.onnx_graph import Name, OnnxGraph
from derain.rivals import dualgcn
from derain.rivals.onnx_layers import (
    concat,
    conv,
    layer,
    relu,
    size_of,
)


def write_dualgcn(g: OnnxGraph, network: dualgcn.DualGCN) -> Name:
    """Write the graph of `DualGCN.forward` and return its output."""
    shallow = conv(g, cast("nn.Conv2d", network.enter[0]), "rainy")
    features = x = conv(g, cast("nn.Conv2d", network.enter[1]), shallow)
    encoded = []
    for unit in network.encoders:
        x = _unit(g, unit, x)
        encoded.append(x)
    x = _unit(g, network.middle, x)
    for index in reversed(range(len(encoded))):
        x = layer(g, network.join[index], concat(g, x, encoded[index]))
        x = _unit(g, network.decoders[index], x)
    x = relu(g, layer(g, network.leave[0], concat(g, x, features)))
    x = layer(g, network.leave[1], g.node("Add", x, shallow))
    return g.node("Add", "rainy", x)


def _unit(g: OnnxGraph, unit: Any, x: Name) -> Name:
    related = _spatial_graph(g, unit.spatial, x)
    maps = [related]
    for index, kernel in enumerate(unit.convs):
        maps.append(relu(g, conv(g, kernel, maps[-1] if index % 2 else related)))
    fused = relu(g, conv(g, unit.fuse, concat(g, *maps)))
    return g.node("Add", x, _channel_graph(g, unit.channel, fused))


def _flat(g: OnnxGraph, x: Name) -> Name:
    """(N, C, H, W) -> (N, C, H W): the transpose of the matrix in the module."""
    return g.node("Reshape", x, g.integers([0, 0, -1]))


def _maps(g: OnnxGraph, flat: Name, like: Name) -> Name:
    """(N, C, H W) -> (N, C, H, W)."""
    return g.node("Reshape", flat, g.concat([g.integers([0, -1]), size_of(g, like)]))


def _softmax_of_all(g: OnnxGraph, x: Name) -> Name:
    flat = g.node("Softmax", g.node("Reshape", x, g.integers([0, -1])), axis=1)
    return g.node("Reshape", flat, g.node("Shape", x))


def _spatial_graph(g: OnnxGraph, graph: dualgcn.SpatialGCN, x: Name) -> Name:
    theta = _flat(g, conv(g, graph.theta, x))
    nu, xi = (_softmax_of_all(g, _flat(g, conv(g, part, x))) for part in (graph.nu, graph.xi))
    related = g.product(xi, g.node("Transpose", nu, perm=[0, 2, 1]))
    maps = _maps(g, g.product(related, theta), x)
    return g.node("Add", x, conv(g, graph.leave, maps))


def _channel_graph(g: OnnxGraph, graph: dualgcn.ChannelGCN, x: Name) -> Name:
    zeta, kappa = (_flat(g, conv(g, part, x)) for part in (graph.zeta, graph.kappa))
    nodes = _softmax_of_all(g, g.product(kappa, g.node("Transpose", zeta, perm=[0, 2, 1])))
    nodes = g.node("Unsqueeze", g.node("Transpose", nodes, perm=[0, 2, 1]), g.integers([2]))
    nodes = relu(g, g.node("Add", nodes, conv(g, graph.adjacency, nodes)))
    nodes = conv(g, graph.state, g.node("Transpose", nodes, perm=[0, 3, 2, 1]))
    nodes = g.node("Squeeze", nodes, g.integers([2]))
    maps = _maps(g, g.product(nodes, zeta), x)
    return g.node("Add", x, conv(g, graph.leave, maps))
