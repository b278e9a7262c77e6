"""ONNX graph of SwinIR, as its modules read."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from onnx import TensorProto
from torch import nn

from derain.export.onnx_graph import Name, OnnxGraph
from derain.rivals.onnx_layers import array, conv, crop, extend
from derain.rivals.swinir import MEAN, WINDOW_PX, SwinIR, offset_index

PIXELS = WINDOW_PX**2


def write_swinir(g: OnnxGraph, network: SwinIR) -> Name:
    """Write the graph of `SwinIR.forward` and return its output."""
    picture = extend(g, "rainy", multiple=WINDOW_PX)
    mean = g.constant(np.array(MEAN, np.float32)[:, None, None])
    shallow = conv(g, network.enter, g.node("Sub", picture, mean))
    windows = _Windows(g, picture)
    x = _norm(g, network.norm_first, _channels_last(g, shallow))
    for group in cast("Any", network.groups):
        deep = x
        for layer in group.layers:
            deep = _layer(g, layer, deep, windows)
        deep = conv(g, group.conv, _channels_first(g, deep))
        x = g.node("Add", x, _channels_last(g, deep))
    x = conv(g, network.after, _channels_first(g, _norm(g, network.norm, x)))
    x = conv(g, network.leave, g.node("Add", x, shallow))
    return crop(g, g.node("Add", picture, x), "rainy")


class _Windows:
    """Cuts maps (N, H, W, C) into windows (N, windows, pixels, C), and joins them."""

    def __init__(self, g: OnnxGraph, picture: Name) -> None:
        self.g = g
        self.batch = g.axis_length(picture, 0)
        self.sides = [g.axis_length(picture, axis) for axis in (2, 3)]
        window = g.integers([WINDOW_PX])
        self.counts = [g.node("Div", side, window) for side in self.sides]
        self._mask: Name = ""

    def cut(self, x: Name, *, channels: int) -> Name:
        g, window, c = self.g, self.g.integers([WINDOW_PX]), self.g.integers([channels])
        rows, columns = self.counts
        batch = g.axis_length(x, 0)  # the regions of the mask have their own
        x = g.node("Reshape", x, g.concat([batch, rows, window, columns, window, c]))
        x = g.node("Transpose", x, perm=[0, 1, 3, 2, 4, 5])
        return g.node("Reshape", x, g.concat([batch, g.integers([-1, PIXELS]), c]))

    def join(self, x: Name, *, channels: int) -> Name:
        g, window, c = self.g, self.g.integers([WINDOW_PX]), self.g.integers([channels])
        shape = g.concat([self.batch, *self.counts, window, window, c])
        x = g.node("Transpose", g.node("Reshape", x, shape), perm=[0, 1, 3, 2, 4, 5])
        return g.node("Reshape", x, g.concat([self.batch, *self.sides, c]))

    def mask(self, shift_px: int) -> Name:
        """Write `WindowAttention._mask`, (windows, 1, pixels, pixels), once."""
        if not self._mask:
            g = self.g
            lines = [self._line(side, shift_px) for side in self.sides]
            down = g.node("Mul", g.node("Unsqueeze", lines[0], g.integers([1])), g.integers([3]))
            region = g.node("Unsqueeze", g.node("Add", down, lines[1]), g.integers([0, 3]))
            region = g.node("Squeeze", self.cut(region, channels=1), g.integers([0]))
            # (windows, pixels, 1) -> (windows, 1, pixels, 1), and its transpose
            rows = g.node("Unsqueeze", region, g.integers([1]))
            same = g.node("Equal", rows, g.node("Transpose", rows, perm=[0, 1, 3, 2]))
            self._mask = g.node("Where", same, g.floats([0.0]), g.floats([-100.0]))
        return self._mask

    def _line(self, side: Name, shift_px: int) -> Name:
        """Write 0 along one side of the picture, 1 in the last window, 2 in its shifted part."""
        g = self.g
        position = g.node("Range", g.scalar(0), g.node("Squeeze", side), g.scalar(1))
        beyond = []
        for part in (WINDOW_PX, shift_px):
            border = g.node("Sub", side, g.integers([part]))
            reached = g.node("GreaterOrEqual", position, border)
            beyond.append(g.node("Cast", reached, to=TensorProto.INT64))
        return g.node("Add", *beyond)


def _layer(g: OnnxGraph, layer: Any, x: Name, windows: _Windows) -> Name:
    x = g.node("Add", x, _attention(g, layer.attention, _norm(g, layer.norm1, x), windows))
    hidden = g.node("Gelu", _linear(g, layer.mlp[0], _norm(g, layer.norm2, x)))
    return g.node("Add", x, _linear(g, layer.mlp[2], hidden))


def _attention(g: OnnxGraph, attention: Any, x: Name, windows: _Windows) -> Name:
    heads, channels = attention.heads, attention.leave.in_features
    shift = attention.shift_px
    if shift:
        x = _roll(g, x, shift)
    qkv = _linear(g, attention.qkv, windows.cut(x, channels=channels))
    split = g.integers([0, 0, PIXELS, heads, channels // heads])
    q, k, v = (g.node("Reshape", part, split) for part in g.split(qkv, 3, axis=3))
    scale = g.floats([(channels // heads) ** -0.5])
    q = g.node("Mul", g.node("Transpose", q, perm=[0, 1, 3, 2, 4]), scale)
    scores = g.product(q, g.node("Transpose", k, perm=[0, 1, 3, 4, 2]))
    index = g.constant(offset_index(torch.device("cpu")).numpy())
    bias = g.node("Gather", g.weights(array(attention.position_bias)), index, axis=0)
    scores = g.node("Add", scores, g.node("Transpose", bias, perm=[2, 0, 1]))
    if shift:
        scores = g.node("Add", scores, windows.mask(shift))
    v = g.node("Transpose", v, perm=[0, 1, 3, 2, 4])
    attended = g.node("Transpose", g.product(g.node("Softmax", scores), v), perm=[0, 1, 3, 2, 4])
    attended = g.node("Reshape", attended, g.integers([0, 0, PIXELS, channels]))
    x = windows.join(_linear(g, attention.leave, attended), channels=channels)
    return _roll(g, x, -shift) if shift else x


def _roll(g: OnnxGraph, x: Name, px: int) -> Name:
    """Move (N, H, W, C) up and to the left by `px`, cyclically; down and right if negative."""
    for axis in (1, 2):
        ends = g.integers([np.iinfo(np.int64).max])
        low = g.node("Slice", x, g.integers([0]), g.integers([px]), g.integers([axis]))
        high = g.node("Slice", x, g.integers([px]), ends, g.integers([axis]))
        x = g.node("Concat", high, low, axis=axis)
    return x


def _linear(g: OnnxGraph, layer: nn.Linear, x: Name) -> Name:
    bias = cast("torch.Tensor", layer.bias)
    product = g.product(x, g.weights(array(layer.weight).T))
    return g.node("Add", product, g.constant(array(bias)))


def _norm(g: OnnxGraph, norm: nn.LayerNorm, x: Name) -> Name:
    scale, shift = g.constant(array(norm.weight)), g.constant(array(norm.bias))
    return g.node("LayerNormalization", x, scale, shift, axis=-1, epsilon=norm.eps)


def _channels_last(g: OnnxGraph, x: Name) -> Name:
    return g.node("Transpose", x, perm=[0, 2, 3, 1])


def _channels_first(g: OnnxGraph, x: Name) -> Name:
    return g.node("Transpose", x, perm=[0, 3, 1, 2])
