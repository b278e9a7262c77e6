"""Swin blocks as ONNX nodes: windows, layer norm, attention and MLP.

Engines spend their time on copies and small operations here. So one transposition cuts the windows
and one merges them, and matrices that follow one another become one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from derain.export.onnx_graph import Name, OnnxGraph
from derain.network.swin import BLOCKED, SwinBlock, WindowAttention

CUT = [0, 2, 1, 3, 4]
"""Exchanges the row within a window and the column of the window."""
HEADS_FIRST = [0, 1, 3, 2, 4]
"""Exchanges the pixels and the heads of a window."""
Layers: TypeAlias = tuple[Sequence[Name], Sequence[Name]]
"""Weights, (out, in), and biases of queries, keys and values."""
Masks: TypeAlias = tuple[Name, ...]
"""`LevelShapes.masks`, or none."""
FAR = 2**31 - 1
"""End of a slice that extends to the end of the axis."""


class LevelShapes:
    """Shared by the blocks of one level: its size, the shapes of its windows and the masks.

    All are computed in the graph. Windows are (N * rows, columns, area, C), so that a mask for the
    last row of windows and one for the last column take the place of a mask for each window.
    """

    def __init__(
        self,
        graph: OnnxGraph,
        *,
        batch: Name,
        height: Name,
        width: Name,
        zero: Name,
        window_px: int,
        shift_px: int,
    ) -> None:
        """`zero`, (1, 1, 1, 1), keeps one mask from being a constant of a network for one size.

        Engines would add both masks, which makes a constant for each window.
        """
        g = self.graph = graph
        self.zero = zero
        self.batch, self.height, self.width = batch, height, width
        self.window_px, self.shift_px = window_px, shift_px
        self.side = side = g.integers([window_px])
        self.rows = g.node("Div", height, side)
        self.columns = g.node("Div", width, side)
        self.all_rows = g.node("Mul", batch, self.rows)
        self._masks: tuple[Name, Name] | None = None

    def map_shape(self, channels: int) -> Name:
        """Return (N, height, width, C)."""
        return self._shape(self.batch, self.height, self.width, channels)

    def cut_shape(self, channels: int) -> Name:
        """Return (N * rows, side, columns, side, C)."""
        return self._shape(self.all_rows, self.side, self.columns, self.side, channels)

    def merge_shape(self, channels: int) -> Name:
        """Return (N * rows, columns, side, side, C)."""
        return self._shape(self.all_rows, self.columns, self.side, self.side, channels)

    def windows_shape(self, *last: int) -> Name:
        """Return (N * rows, columns, area, ...)."""
        return self._shape(self.all_rows, self.columns, self.window_px**2, *last)

    def _shape(self, *sides: Name | int) -> Name:
        g = self.graph
        return g.concat([side if isinstance(side, str) else g.integers([side]) for side in sides])

    @property
    def masks(self) -> tuple[Name, Name]:
        """The sum of the two is `swin.shift_mask`, or less where that is BLOCKED.

        (N * rows, 1, area, area) and (1, columns, area, area), built once.
        """
        if self._masks is None:
            side = self.window_px
            wrapped = np.arange(side) >= side - self.shift_px
            vertical = np.repeat(wrapped, side)
            horizontal = np.tile(wrapped, side)
            rows = self._mask(self.all_rows, self.rows, vertical, shape=[-1, 1, 1, 1])
            columns = self._mask(self.columns, self.columns, horizontal, shape=[1, -1, 1, 1])
            self._masks = self.graph.sum(rows, self.zero), columns
        return self._masks

    def _mask(
        self, count: Name, period: Name, wrapped: NDArray[np.bool_], *, shape: list[int]
    ) -> Name:
        """Block wrapped pixels from the others in each last of `period` windows."""
        g = self.graph
        position = g.node("Range", g.scalar(0), g.node("Squeeze", count), g.scalar(1))
        following = g.node("Add", position, g.integers([1]))
        is_last = g.node("Equal", g.node("Mod", following, period), g.integers([0]))
        last = g.node("Reshape", g.node("Cast", is_last, to=1), g.integers(shape))
        blocked = (wrapped[:, None] != wrapped).astype(np.float32) * np.float32(BLOCKED)
        return g.node("Mul", last, g.constant(blocked[None, None]))


class SwinGraph:
    """Writes Swin blocks into a graph.

    The trained tensors are stored as they are. Products of them are written as operations on
    constants, which every engine computes once when it loads the graph.
    """

    def __init__(self, graph: OnnxGraph) -> None:
        self.g = graph

    def block(self, x: Name, block: SwinBlock, level: LevelShapes) -> Name:
        """Write `SwinBlock.forward` for whole windows, (N, C, H, W) -> (N, C, H, W)."""
        g, shift = self.g, block.shift_px
        channels = block.attention_norm.normalized_shape[0]
        x = self._roll(g.node("Transpose", x, perm=[0, 2, 3, 1]), shift)
        x = g.node("Transpose", g.node("Reshape", x, level.cut_shape(channels)), perm=CUT)
        x = g.node("Reshape", x, level.windows_shape(channels))
        x = g.node("Add", x, self.attention(x, block, level))
        x = g.node("Add", x, self.mlp(x, block))
        x = g.node("Transpose", g.node("Reshape", x, level.merge_shape(channels)), perm=CUT)
        x = self._roll(g.node("Reshape", x, level.map_shape(channels)), -shift)
        return g.node("Transpose", x, perm=[0, 3, 1, 2])

    def mlp(self, x: Name, block: SwinBlock) -> Name:
        """Write the norm and the MLP of a block, without the residual sum."""
        g = self.g
        x, offset = self.normalised(x, block.mlp_norm)
        weight, bias = g.transposed_parameters(cast(nn.Linear, block.mlp[0]))
        hidden = g.node("Gelu", self._linear(x, weight, g.sum(bias, g.product(offset, weight))))
        return self._linear(hidden, *g.transposed_parameters(cast(nn.Linear, block.mlp[2])))

    def attention(self, x: Name, block: SwinBlock, level: LevelShapes) -> Name:
        """Write the norm and the attention of a block, without the residual sum."""
        g, attention = self.g, block.attention
        x, offset = self.normalised(x, block.attention_norm)
        weight, bias = g.parameters(attention.qkv)
        weights, biases = g.split(weight, 3, axis=0), g.split(bias, 3, axis=0)
        # the offset of the norm moves into the biases
        biases = [g.sum(b, g.product(w, offset)) for w, b in zip(weights, biases, strict=True)]
        position = g.weights(attention.bias().float().numpy()[None])
        attend = self._single_head if attention.heads == 1 else self._several_heads
        masks = level.masks if block.shift_px else ()
        return attend(x, attention, (weights, biases), position, masks, level)

    def normalised(self, x: Name, norm: nn.LayerNorm) -> tuple[Name, Name]:
        """Write a layer norm over the last axis, except for its offset, and return both.

        OpenVINO splits a LayerNormalization into three operations. A product with I - 1/C, which
        subtracts the mean, and a division by the root mean square are two, and faster.
        """
        g, channels = self.g, norm.normalized_shape[0]
        gain, offset = g.parameters(norm)
        centring = (np.eye(channels) - 1 / channels).astype(np.float32)
        x = g.product(x, g.constant(centring))
        square = g.node("Pow", x, g.constant(np.array(2, np.float32)))
        mean = g.node("ReduceMean", square, g.integers([-1]), keepdims=1)
        root = g.node("Sqrt", g.sum(mean, g.constant(np.array(norm.eps, np.float32))))
        return g.node("Mul", g.node("Div", x, root), gain), offset

    def _single_head(
        self,
        x: Name,
        attention: WindowAttention,
        layers: Layers,
        position: Name,
        masks: Masks,
        level: LevelShapes,
    ) -> Name:
        """Write `WindowAttention.forward` with two products instead of four.

        Up to a constant for each row, which the softmax ignores, q k^T = (x Wq + bq)(x Wk + bk)^T
        is (x A + c) x^T with A = Wq Wk^T and c = bq Wk^T. Each row of the softmax adds up to 1, so
        values and projection are one product after it.
        """
        g = self.g
        (wq, wk, wv), (bq, _, bv) = layers
        scale = g.floats([attention.scale])
        weight = g.node("Mul", g.product(g.transposed(wq), wk), scale)
        query = self._linear(x, weight, g.node("Mul", g.product(bq, wk), scale))
        logits = g.product(query, g.node("Transpose", x, perm=[0, 1, 3, 2]))
        y = g.product(self._softmax(logits, position, masks), x)
        projection, bias = g.parameters(attention.projection)
        weight = g.transposed(g.product(projection, wv))
        return self._linear(y, weight, g.sum(g.product(projection, bv), bias))

    def _several_heads(
        self,
        x: Name,
        attention: WindowAttention,
        layers: Layers,
        position: Name,
        masks: Masks,
        level: LevelShapes,
    ) -> Name:
        """Write `WindowAttention.forward`, head by head."""
        g, heads, channels = self.g, attention.heads, attention.projection.in_features
        shape = level.windows_shape(heads, channels // heads)
        q, k, v = (
            g.node("Reshape", self._linear(x, g.transposed(weight), bias), shape)
            for weight, bias in zip(*layers, strict=True)
        )
        q = g.node("Mul", g.node("Transpose", q, perm=HEADS_FIRST), g.floats([attention.scale]))
        logits = g.product(q, g.node("Transpose", k, perm=[0, 1, 3, 4, 2]))
        masks = tuple(g.node("Unsqueeze", mask, g.integers([2])) for mask in masks)
        weights = self._softmax(logits, g.node("Unsqueeze", position, g.integers([0])), masks)
        y = g.product(weights, g.node("Transpose", v, perm=HEADS_FIRST))
        y = g.node("Transpose", y, perm=HEADS_FIRST)
        y = g.node("Reshape", y, level.windows_shape(channels))
        return self._linear(y, *g.transposed_parameters(attention.projection))

    def _softmax(self, logits: Name, position: Name, masks: Masks) -> Name:
        g = self.g
        if masks:
            rows, columns = masks
            logits = g.sum(g.sum(logits, g.sum(columns, position)), rows)
        else:
            logits = g.sum(logits, position)
        return g.node("Softmax", logits, axis=-1)

    def _linear(self, x: Name, weight: Name, bias: Name) -> Name:
        """Write a linear layer, (..., in) -> (..., out), with `weight` (in, out)."""
        return self.g.sum(self.g.product(x, weight), bias)

    def _roll(self, x: Name, by_px: int) -> Name:
        """Roll (N, H, W, C) up and to the left by `by_px`, cyclically; back if it is negative."""
        g = self.g
        if not by_px:
            return x
        for axis in (1, 2):
            at, along = g.integers([by_px]), g.integers([axis])
            x = g.node(
                "Concat",
                g.node("Slice", x, at, g.integers([FAR]), along),
                g.node("Slice", x, g.integers([0]), at, along),
                axis=axis,
            )
        return x
