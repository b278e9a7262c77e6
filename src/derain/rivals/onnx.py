"""Rivals as ONNX graphs, for inference engines.

`WRITERS` lists those that have one. The others cut the picture into a number of parts that depends
on its size, or scan it line by line, which a graph cannot express for a free height and width.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

from torch import nn

from derain.errors import WeightsError
from derain.export.onnx_graph import Name, OnnxGraph
from derain.files.atomic import atomic_write, writing
from derain.rivals.dcsfn import DCSFN
from derain.rivals.ddn import BOX_PX, DDN, FILTER_EPSILON, NORM_EPSILON, NormalisedConv
from derain.rivals.dualgcn import DualGCN
from derain.rivals.mspfn import MSPFN
from derain.rivals.networks import load
from derain.rivals.onnx_dcsfn import write_dcsfn
from derain.rivals.onnx_dualgcn import write_dualgcn
from derain.rivals.onnx_layers import (
    array,
    concat,
    conv,
    gated_state,
    leaky_relu,
    relu,
    reverse_channels,
    squeeze_excite,
)
from derain.rivals.onnx_mspfn import write_mspfn
from derain.rivals.onnx_rcdnet import write_rcdnet
from derain.rivals.onnx_ssid_kd import write_ssid_kd
from derain.rivals.onnx_swinir import write_swinir
from derain.rivals.onnx_syn2real import write_syn2real
from derain.rivals.prenet import PReNet, ResBlock
from derain.rivals.rcdnet import RCDNet
from derain.rivals.rescan import RESCAN, ConvGRU
from derain.rivals.rival import Rival
from derain.rivals.ssid_kd import SSIDKD
from derain.rivals.swinir import SwinIR
from derain.rivals.syn2real import Syn2Real


def export(name: str, checkpoint: str | Path, path: str | Path, *, half: bool = True) -> Path:
    """Write the network `name` with its official checkpoint to `path`, an .onnx file for derain.

    `half` stores the weights in float16. Raises WeightsError for a network without a graph, a
    checkpoint that does not fit, and a path that cannot be written.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise WeightsError(f"{path}: exported networks are .onnx files; use that suffix")
    network = load(name, checkpoint)
    card = {
        "network": name,
        "checkpoint sha256": hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest(),
    }
    data = build_onnx(name, network, card=card, half=half)
    with writing(path, WeightsError), atomic_write(path) as file:
        file.write(data)
    return path


def build_onnx(name: str, network: Rival, *, card: dict[str, str], half: bool = True) -> bytes:
    """Return the serialised ONNX model. Raises WeightsError for a network without a graph."""
    write = next((write for kind, write in WRITERS.items() if isinstance(network, kind)), None)
    if write is None:
        raise WeightsError(f"{name}: has no ONNX graph for free sizes; run it as {name}:PATH")
    graph = OnnxGraph(half=half)
    metadata = {
        "derain.format": "1",
        "derain.configuration": json.dumps(
            {"preset": name, "channels": [memory_channels(network)]}
        ),
        "derain.multiple_px": "1",
        "derain.card": json.dumps(card),
    }
    return graph.serialise(output=write(graph, network), metadata=metadata)


def memory_channels(network: Rival) -> int:
    """Return the channels at full resolution from which derain derives the memory per pixel.

    The windows of SwinIR take 12 kB per pixel, measured in OpenVINO, as 104 channels of derain's
    own networks would.
    """
    return 104 if isinstance(network, SwinIR) else 32


def _prenet(g: OnnxGraph, network: PReNet) -> Name:
    restored = "rainy"
    h = c = ""
    for stage in range(network.stages):
        x = relu(g, conv(g, network.f_in, concat(g, "rainy", restored)))
        if network.f_recurrent is not None:
            if stage == 0:
                h = c = g.node("Mul", x, g.floats([0.0]))
            x, c = _lstm(g, network.f_recurrent, x, h, c)
            h = x
        for _ in range(network.repeats):
            for block in cast("list[ResBlock]", list(network.f_res)):
                branch = relu(g, conv(g, block.first, x))
                branch = relu(g, conv(g, block.second, branch))
                x = relu(g, g.node("Add", x, branch))
        restored = g.node("Add", "rainy", conv(g, network.f_out, x))
    return restored


def _lstm(g: OnnxGraph, cell: nn.Module, x: Name, h: Name, c: Name) -> tuple[Name, Name]:
    both = concat(g, x, h)

    def gate(layer: str, function: str) -> Name:
        return g.node(function, conv(g, getattr(cell, layer), both))

    kept = g.node("Mul", gate("forget", "Sigmoid"), c)
    c = g.node("Add", kept, g.node("Mul", gate("input", "Sigmoid"), gate("cell", "Tanh")))
    return g.node("Mul", gate("output", "Sigmoid"), g.node("Tanh", c)), c


def _rescan(g: OnnxGraph, network: RESCAN) -> Name:
    rainy = x = reverse_channels(g, "rainy")
    states = [""] * len(network.layers)
    for _ in range(network.stages):
        for index, layer in enumerate(cast("list[ConvGRU]", list(network.layers))):
            x = states[index] = _gru(g, layer, x, states[index])
        x = leaky_relu(g, squeeze_excite(g, network.se, conv(g, network.decode, x)))
        x = g.node("Sub", rainy, conv(g, network.leave, x))
    return reverse_channels(g, x)


def _gru(g: OnnxGraph, layer: ConvGRU, x: Name, h: Name) -> Name:
    return leaky_relu(g, squeeze_excite(g, layer.se, gated_state(g, layer, x, h)))


def _ddn(g: OnnxGraph, network: DDN) -> Name:
    mean = _box_mean(g, "rainy")
    variance = g.node(
        "Sub", _box_mean(g, g.node("Mul", "rainy", "rainy")), g.node("Mul", mean, mean)
    )
    a = g.node("Div", variance, g.node("Add", variance, g.floats([FILTER_EPSILON])))
    b = g.node("Sub", mean, g.node("Mul", a, mean))
    base = g.node("Add", g.node("Mul", _box_mean(g, a), "rainy"), _box_mean(g, b))
    enter, *middle, leave = cast("list[NormalisedConv]", list(network.layers))
    x = relu(g, _normalised(g, enter, g.node("Sub", "rainy", base)))
    for first, second in zip(middle[::2], middle[1::2], strict=True):
        branch = relu(g, _normalised(g, first, x))
        x = g.node("Add", x, relu(g, _normalised(g, second, branch)))
    return g.node("Add", "rainy", _normalised(g, leave, x))


def _box_mean(g: OnnxGraph, x: Name) -> Name:
    for size in ([BOX_PX, 1], [1, BOX_PX]):
        pads = [size[0] // 2, size[1] // 2] * 2
        x = g.node("AveragePool", x, kernel_shape=size, pads=pads, count_include_pad=0)
    return x


def _normalised(g: OnnxGraph, layer: NormalisedConv, x: Name) -> Name:
    scale, shift = g.constant(array(layer.scale)), g.constant(array(layer.shift))
    x = conv(g, layer.conv, x)
    return g.node("InstanceNormalization", x, scale, shift, epsilon=NORM_EPSILON)


WRITERS: dict[type[Rival], Callable[..., Name]] = {
    PReNet: _prenet,
    RESCAN: _rescan,
    DDN: _ddn,
    RCDNet: write_rcdnet,
    DCSFN: write_dcsfn,
    SSIDKD: write_ssid_kd,
    Syn2Real: write_syn2real,
    DualGCN: write_dualgcn,
    MSPFN: write_mspfn,
    SwinIR: write_swinir,
}
"""Network -> function (graph, network) that writes its graph and returns the output."""
