"""A generator as an ONNX graph, node by node.

It is written instead of traced, because the engines' time goes into copies: layer norms and the scale of the attention are folded
into the products that follow them, pointwise products stay in the layout of the convolutions, a window is cut and merged in one
transposition, and the masks of shifted windows are built once for a level.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from derain.export.onnx_graph import Name, OnnxGraph
from derain.network.blocks import SFT, Fusion, ResidualBlock
from derain.network.configuration import LEVELS
from derain.network.generator import PLNLIN
from derain.network.plnlim import PLNLIM
from derain.network.swin import BLOCKED, SwinBlock
from derain.network.variants import Concatenation, WithoutFusion

Kind = TypeVar("Kind", bound=nn.Module)


class LevelShapes:
    """What the blocks of one level share: its size and the shapes for cutting windows, all computed in the graph."""

    def __init__(
        self,
        graph: OnnxGraph,
        *,
        batch: Name,
        height: Name,
        width: Name,
        window_px: int,
        shift_px: int,
    ) -> None:
        g, self.window_px, self.shift_px = graph, window_px, shift_px
        self.side = side = g.integers([window_px])
        self.rows, self.columns = rows, columns = (
            g.node("Div", height, side),
            g.node("Div", width, side),
        )
        self.graph, self.height, self.width, self.batch = graph, height, width, batch
        self.windows = g.node("Mul", rows, columns)
        self.cut_shape = g.concat([batch, g.integers([-1]), rows, side, columns, side])
        self.cut_rows = [batch, self.windows, g.integers([window_px**2])]
        self.merge_shape = g.concat([batch, rows, columns, side, side, g.integers([-1])])
        self.map_shape = g.concat([batch, g.integers([-1]), height, width])
        self._mask: Name | None = None

    @property
    def mask(self) -> Name:
        """(1, windows, area, area): 0 within a half, BLOCKED across the wrap; built once (`swin.shift_mask`)."""
        if self._mask is None:
            g = self.graph

            def is_wrapped(size: Name, shape: list[int]) -> Name:
                last = g.node("Sub", size, g.integers([self.shift_px]))
                place = g.node("Range", g.scalar(0), g.node("Squeeze", size), g.scalar(1))
                return g.node(
                    "Reshape",
                    g.node("Cast", g.node("GreaterOrEqual", place, last), to=1),
                    g.integers(shape),
                )

            area, one = self.window_px**2, g.integers([1])
            part = g.node(
                "Add",
                g.node("Mul", is_wrapped(self.height, [-1, 1]), g.floats([2.0])),
                is_wrapped(self.width, [1, -1]),
            )
            shape = g.concat([self.rows, self.side, self.columns, self.side])
            part = g.node("Transpose", g.node("Reshape", part, shape), perm=[0, 2, 1, 3])
            first = g.node("Reshape", part, g.concat([one, self.windows, g.integers([area]), one]))
            second = g.node("Reshape", part, g.concat([one, self.windows, one, g.integers([area])]))
            self._mask = g.node(
                "Where", g.node("Equal", first, second), g.floats([0.0]), g.floats([BLOCKED])
            )
        return self._mask


class NetworkGraph:
    """Writes the modules of one generator into a graph, each method the counterpart of one `forward`."""

    def __init__(self, graph: OnnxGraph, network: PLNLIN) -> None:
        self.g, self.network = graph, network

    def generator(self) -> Name:
        """`PLNLIN.forward`."""
        g, network = self.g, self.network
        configuration = network.configuration
        batch, height, width = g.size_of("rainy", 0), g.size_of("rainy", 2), g.size_of("rainy", 3)
        rows, columns = self._reflected(height), self._reflected(width)
        padded = g.node("Gather", g.node("Gather", "rainy", rows, axis=2), columns, axis=3)
        levels = []
        for k in range(LEVELS):
            sizes = (
                g.node("Div", g.node("Shape", index), g.integers([2**k]))
                for index in (rows, columns)
            )
            h, w = sizes
            levels.append(
                LevelShapes(
                    g,
                    batch=batch,
                    height=h,
                    width=w,
                    window_px=configuration.window_px,
                    shift_px=configuration.shift_px,
                )
            )
        encoder, decoder = network.encoder, network.decoder
        down, up, join = (
            as_type(nn.Conv2d, layers) for layers in (network.down, network.up, network.join)
        )
        x = self.convolution(padded, network.enter)
        encoded = [self.unit(x, encoder[0], levels[0])]
        for k in range(1, LEVELS):
            encoded.append(
                self.unit(self.convolution(encoded[-1], down[k - 1]), encoder[k], levels[k])
            )
        x = self.unit(encoded[-1], decoder[-1], levels[-1])
        for k in reversed(range(LEVELS - 1)):
            enlarged = g.node(
                "Resize",
                x,
                "",
                g.floats([1.0, 1.0, 2.0, 2.0]),
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
            joined = g.node("Concat", encoded[k], self.convolution(enlarged, up[k]), axis=1)
            x = self.unit(self.convolution(joined, join[k]), decoder[k], levels[k])
        restored = g.node("Add", padded, self.convolution(x, network.leave))
        ends = g.concat([height, width])
        return g.node("Slice", restored, g.integers([0, 0]), ends, g.integers([2, 3]))

    def _reflected(self, size: Name) -> Name:
        """`generator.reflected`: the index that each position of the padded side shows."""
        g, multiple = self.g, self.g.integers([self.network.configuration.multiple_px])
        one = g.integers([1])
        padded = g.node(
            "Mul",
            g.node("Div", g.node("Sub", g.node("Add", size, multiple), one), multiple),
            multiple,
        )
        period = g.node("Max", g.node("Mul", g.node("Sub", size, one), g.integers([2])), one)
        position = g.node(
            "Mod", g.node("Range", g.scalar(0), g.node("Squeeze", padded), g.scalar(1)), period
        )
        mirrored = g.node("Mod", g.node("Sub", period, position), period)
        return g.node("Min", position, mirrored)

    def unit(self, x: Name, module: nn.Module, level: LevelShapes) -> Name:
        """`forward` of any of `variants.UNITS`."""
        if isinstance(module, PLNLIM):
            return self.plnlim(x, module, level)
        for block in module.children():  # a chain
            x = self.block(x, block, level)
        return x

    def plnlim(self, x: Name, module: PLNLIM, level: LevelShapes) -> Name:
        """`PLNLIM.forward`, and those of Table 3."""
        g = self.g
        fusions = (
            []
            if isinstance(module, WithoutFusion)
            else [*as_type(Fusion, module.fusion), module.end]
        )
        stages = zip(
            module.local[1:-1],
            module.nonlocal_[1:-1],
            module.to_local,
            module.to_nonlocal,
            strict=True,
        )
        local, nonlocal_ = (
            self.block(x, module.local[0], level),
            self.block(x, module.nonlocal_[0], level),
        )
        fused = [self.joined([local, nonlocal_], fusions[0])] if fusions else []
        for index, (rb, stb, to_local, to_nonlocal) in enumerate(stages, 1):
            local, nonlocal_ = (
                self.block(self.interaction(local, nonlocal_, to_local), rb, level),
                self.block(self.interaction(nonlocal_, local, to_nonlocal), stb, level),
            )
            fused = [self.joined([*fused, local, nonlocal_], fusions[index])] if fusions else []
        ends = g.node(
            "Add",
            self.block(local, module.local[-1], level),
            self.block(nonlocal_, module.nonlocal_[-1], level),
        )
        return (
            g.node("Add", ends, self.joined([*fused, local, nonlocal_], fusions[-1]))
            if fusions
            else ends
        )

    def block(self, x: Name, block: nn.Module, level: LevelShapes) -> Name:
        """A residual or a Swin block."""
        return (
            self.swin(x, block, level)
            if isinstance(block, SwinBlock)
            else self.residual(x, cast(ResidualBlock, block))
        )

    def interaction(self, x: Name, guide: Name, module: nn.Module) -> Name:
        """What one branch learns of the other: SFT, concatenation or nothing."""
        if isinstance(module, Concatenation):
            return self.joined([x, guide], module.join)
        return self.sft(x, guide, module) if isinstance(module, SFT) else x

    def joined(self, maps: Sequence[Name], layer: nn.Linear) -> Name:
        """A 1x1 convolution of maps side by side."""
        return self.pointwise(self.g.node("Concat", *maps, axis=1), layer)

    def residual(self, x: Name, block: ResidualBlock) -> Name:
        """`ResidualBlock.forward`."""
        inner = self.g.node("LeakyRelu", self.convolution(x, block.first), alpha=0.2)
        return self.g.node("Add", x, self.convolution(inner, block.second))

    def sft(self, x: Name, guide: Name, module: SFT) -> Name:
        """`SFT.forward`."""
        g = self.g
        inner = g.node("LeakyRelu", self.pointwise(guide, module.first), alpha=0.1)
        scale, shift = g.split(inner, 2, axis=1)
        scale, shift = self.pointwise(scale, module.scale), self.pointwise(shift, module.shift)
        if module.bounded:
            scale = g.node("Tanh", scale)
        return g.node("Add", g.node("Mul", x, g.node("Add", scale, g.floats([1.0]))), shift)

    def swin(self, x: Name, block: SwinBlock, level: LevelShapes) -> Name:
        """`SwinBlock.forward` for whole windows."""
        g = self.g
        if block.shift_px:
            x = self._roll(x, block.shift_px)
        windows = g.node(
            "Transpose", g.node("Reshape", x, level.cut_shape), perm=[0, 2, 4, 3, 5, 1]
        )
        channels = block.attention_norm.normalized_shape[0]
        windows = g.node("Reshape", windows, g.concat([*level.cut_rows, g.integers([channels])]))
        windows = g.node(
            "Add", windows, self.attention(self.normalised(windows, channels), block, level)
        )
        expand, contract = as_type(nn.Linear, (block.mlp[0], block.mlp[2]))
        first = self.folded(*parameters(expand), block.mlp_norm)
        hidden = g.node("Gelu", self.linear(self.normalised(windows, channels), *first))
        windows = g.node("Add", windows, self.linear(hidden, *self.unfolded(contract)))
        x = g.node(
            "Transpose", g.node("Reshape", windows, level.merge_shape), perm=[0, 5, 1, 3, 2, 4]
        )
        x = g.node("Reshape", x, level.map_shape)
        return self._roll(x, -block.shift_px) if block.shift_px else x

    def attention(self, x: Name, block: SwinBlock, level: LevelShapes) -> Name:
        """`WindowAttention.forward` on (N, windows, area, C), the norm before it and its scale folded into q, k and v."""
        g, attention = self.g, block.attention
        weight, bias = parameters(attention.qkv)
        channels, heads = weight.shape[0] // 3, attention.heads
        q, k, v = (
            self.linear(x, *self.folded(w, b, block.attention_norm, scale=scale))
            for w, b, scale in zip(
                np.split(weight, 3), np.split(bias, 3), (attention.scale, 1.0, 1.0), strict=True
            )
        )
        position = attention.bias().float().numpy()
        if heads == 1:
            logits = g.node(
                "Add",
                g.node("MatMul", q, g.node("Transpose", k, perm=[0, 1, 3, 2])),
                g.weights(position[None]),
            )
            if block.shift_px:
                logits = g.node("Add", logits, level.mask)
            mixed = g.node("MatMul", g.node("Softmax", logits, axis=-1), v)
        else:
            split = g.concat([*level.cut_rows, g.integers([heads, channels // heads])])
            q, k, v = (
                g.node("Transpose", g.node("Reshape", part, split), perm=perm)
                for part, perm in ((q, [0, 1, 3, 2, 4]), (k, [0, 1, 3, 4, 2]), (v, [0, 1, 3, 2, 4]))
            )
            logits = g.node("Add", g.node("MatMul", q, k), g.weights(position[None, None]))
            if block.shift_px:
                logits = g.node("Add", logits, g.node("Unsqueeze", level.mask, g.integers([2])))
            mixed = g.node(
                "Transpose",
                g.node("MatMul", g.node("Softmax", logits, axis=-1), v),
                perm=[0, 1, 3, 2, 4],
            )
            mixed = g.node("Reshape", mixed, g.concat([*level.cut_rows, g.integers([channels])]))
        return self.linear(mixed, *self.unfolded(attention.projection))

    def normalised(self, x: Name, channels: int) -> Name:
        """A layer norm whose affine part is folded into what follows."""
        return self.g.node(
            "LayerNormalization",
            x,
            self.g.constant(np.ones(channels, np.float32)),
            axis=-1,
            epsilon=1e-5,
        )

    def folded(
        self,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32],
        norm: nn.LayerNorm,
        *,
        scale: float = 1.0,
    ) -> tuple[Name, Name]:
        """Weight (in, out) and bias (out,) of a linear layer after the affine part of `norm` and before a scale, as one.

        Written as products of constants, which every engine computes once when it loads: so the stored weights, in float16 too,
        are those of the training.
        """
        g = self.g
        gain, offset = parameters(norm)
        kept = g.weights(weight.T)
        moved = g.node("Add", g.node("MatMul", g.weights(offset), kept), g.weights(bias))
        scaled = g.node("Mul", kept, g.weights(gain[:, None]))
        if scale == 1:
            return scaled, moved
        return g.node("Mul", scaled, g.floats([scale])), g.node("Mul", moved, g.floats([scale]))

    def unfolded(self, layer: nn.Linear) -> tuple[Name, Name]:
        """Weight (in, out) and bias (out,) of a linear layer."""
        weight, bias = parameters(layer)
        return self.g.weights(weight.T), self.g.weights(bias)

    def linear(self, x: Name, weight: Name, bias: Name) -> Name:
        """(..., in) -> (..., out), `weight` (in, out)."""
        return self.g.node("Add", self.g.node("MatMul", x, weight), bias)

    def convolution(self, x: Name, layer: nn.Conv2d) -> Name:
        """A 3x3 convolution with one pixel of zeros around."""
        weight, bias = parameters(layer)
        return self.g.node(
            "Conv",
            x,
            self.g.weights(weight),
            self.g.weights(bias),
            kernel_shape=[3, 3],
            pads=[1, 1, 1, 1],
            strides=list(layer.stride),
        )

    def pointwise(self, x: Name, layer: nn.Linear) -> Name:
        """A 1x1 convolution, so that the engine keeps the layout of its neighbours."""
        weight, bias = parameters(layer)
        return self.g.node(
            "Conv",
            x,
            self.g.weights(weight[:, :, None, None]),
            self.g.weights(bias),
            kernel_shape=[1, 1],
        )

    def _roll(self, x: Name, by_px: int) -> Name:
        """Move a map up and to the left by `by_px`, cyclically; back if it is negative."""
        g = self.g
        far = g.integers([2**31 - 1])
        for axis in (2, 3):
            at, along = g.integers([by_px]), g.integers([axis])
            x = g.node(
                "Concat",
                g.node("Slice", x, at, far, along),
                g.node("Slice", x, g.integers([0]), at, along),
                axis=axis,
            )
        return x


def parameters(
    layer: nn.Linear | nn.Conv2d | nn.LayerNorm,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight and bias of a layer in float32."""
    assert layer.bias is not None
    return layer.weight.float().numpy().copy(), layer.bias.float().numpy().copy()


def as_type(kind: type[Kind], modules: Iterable[nn.Module]) -> list[Kind]:
    """The modules of a list, which are of one kind, as such."""
    return cast(list[Kind], list(modules))
