"""A generator as an ONNX graph, node by node.

It is written instead of traced because copies dominate the time of inference engines. Layer norms
and the scale of the attention are folded into the products that follow them. Pointwise products
keep the layout of the convolutions. A window is cut and merged in one transposition each, and the
mask of shifted windows is built once for each level.
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

Layer = TypeVar("Layer", bound=nn.Module)


class LevelShapes:
    """Shared by the blocks of one level: its size and the shapes for cutting windows.

    All are computed in the graph.
    """

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
        g = self.graph = graph
        self.batch, self.height, self.width = batch, height, width
        self.window_px, self.shift_px = window_px, shift_px
        self.side = side = g.integers([window_px])
        self.rows = rows = g.node("Div", height, side)
        self.columns = columns = g.node("Div", width, side)
        self.windows = g.node("Mul", rows, columns)
        self.cut_shape = g.concat([batch, g.integers([-1]), rows, side, columns, side])
        self.cut_rows = [batch, self.windows, g.integers([window_px**2])]
        self.merge_shape = g.concat([batch, rows, columns, side, side, g.integers([-1])])
        self.map_shape = g.concat([batch, g.integers([-1]), height, width])
        self._mask: Name | None = None

    @property
    def mask(self) -> Name:
        """The attention mask of `swin.shift_mask`, (1, windows, area, area), built once."""
        if self._mask is None:
            g = self.graph

            def is_wrapped(size: Name, shape: list[int]) -> Name:
                last = g.node("Sub", size, g.integers([self.shift_px]))
                position = g.node("Range", g.scalar(0), g.node("Squeeze", size), g.scalar(1))
                wrapped = g.node("Cast", g.node("GreaterOrEqual", position, last), to=1)
                return g.node("Reshape", wrapped, g.integers(shape))

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
    """Writes the modules of a generator into a graph; each method corresponds to a `forward`."""

    def __init__(self, graph: OnnxGraph, network: PLNLIN) -> None:
        self.g, self.network = graph, network

    def generator(self) -> Name:
        """Write `PLNLIN.forward` and return its output."""
        g, network = self.g, self.network
        configuration = network.configuration
        batch, height, width = (g.axis_length("rainy", axis) for axis in (0, 2, 3))
        rows, columns = self._reflected(height), self._reflected(width)
        padded = g.node("Gather", g.node("Gather", "rainy", rows, axis=2), columns, axis=3)
        levels = []
        for k in range(LEVELS):
            scale = g.integers([configuration.unshuffle * 2**k])
            level_height, level_width = (
                g.node("Div", g.node("Shape", index), scale) for index in (rows, columns)
            )
            levels.append(
                LevelShapes(
                    g,
                    batch=batch,
                    height=level_height,
                    width=level_width,
                    window_px=configuration.window_px,
                    shift_px=configuration.shift_px,
                )
            )
        encoder, decoder = network.encoder, network.decoder
        down, up, join = (
            as_type(nn.Conv2d, layers) for layers in (network.down, network.up, network.join)
        )
        x = self.enter(padded)
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
        change = self.convolution(x, network.leave)
        if configuration.unshuffle > 1:
            change = g.node("DepthToSpace", change, blocksize=configuration.unshuffle, mode="CRD")
        restored = g.node("Add", self.centre(padded), change)
        ends = g.concat([height, width])
        return g.node("Slice", restored, g.integers([0, 0]), ends, g.integers([2, 3]))

    def centre(self, padded: Name) -> Name:
        """Write the choice of the centre frame, which is the picture itself if there is one."""
        g, configuration = self.g, self.network.configuration
        if configuration.frames == 1:
            return padded
        first, end = ([edge] for edge in (configuration.centre.start, configuration.centre.stop))
        return g.node("Slice", padded, g.integers(first), g.integers(end), g.integers([1]))

    def enter(self, padded: Name) -> Name:
        """Write `pixel_unshuffle` and the first convolution.

        ONNX orders the unshuffled channels differently: colours are last.
        """
        g, layer, side = self.g, self.network.enter, self.network.configuration.unshuffle
        if side == 1:
            return self.convolution(padded, layer)
        weight, bias = parameters(layer)
        by_colour = weight.reshape(len(weight), -1, side**2, 3, 3)
        weight = by_colour.swapaxes(1, 2).reshape(weight.shape)
        x = g.node("SpaceToDepth", padded, blocksize=side)
        return self._convolution(x, weight, bias, layer.stride)

    def _reflected(self, size: Name) -> Name:
        """Write `generator.reflected`: the source index of each position of a padded side."""
        g, multiple = self.g, self.g.integers([self.network.configuration.multiple_px])
        one = g.integers([1])
        rounded_up = g.node("Sub", g.node("Add", size, multiple), one)
        padded = g.node("Mul", g.node("Div", rounded_up, multiple), multiple)
        period = g.node("Max", g.node("Mul", g.node("Sub", size, one), g.integers([2])), one)
        position = g.node(
            "Mod", g.node("Range", g.scalar(0), g.node("Squeeze", padded), g.scalar(1)), period
        )
        mirrored = g.node("Mod", g.node("Sub", period, position), period)
        return g.node("Min", position, mirrored)

    def unit(self, x: Name, module: nn.Module, level: LevelShapes) -> Name:
        """Write the `forward` of any of `variants.UNITS`."""
        if isinstance(module, PLNLIM):
            return self.plnlim(x, module, level)
        for block in module.children():  # a chain
            x = self.block(x, block, level)
        return x

    def plnlim(self, x: Name, module: PLNLIM, level: LevelShapes) -> Name:
        """Write `PLNLIM.forward`, or that of a variant of Table 3."""
        g = self.g
        fusions: list[Fusion] = []
        if not isinstance(module, WithoutFusion):
            fusions = [*as_type(Fusion, module.fusion), module.end]
        stages = zip(
            module.local[1:-1],
            module.nonlocal_[1:-1],
            module.to_local,
            module.to_nonlocal,
            strict=True,
        )
        local = self.block(x, module.local[0], level)
        nonlocal_ = self.block(x, module.nonlocal_[0], level)
        fused = [self.concat_conv([local, nonlocal_], fusions[0])] if fusions else []
        for index, (rb, stb, to_local, to_nonlocal) in enumerate(stages, 1):
            local, nonlocal_ = (
                self.block(self.interaction(local, nonlocal_, to_local), rb, level),
                self.block(self.interaction(nonlocal_, local, to_nonlocal), stb, level),
            )
            fused = (
                [self.concat_conv([*fused, local, nonlocal_], fusions[index])] if fusions else []
            )
        ends = g.node(
            "Add",
            self.block(local, module.local[-1], level),
            self.block(nonlocal_, module.nonlocal_[-1], level),
        )
        if not fusions:
            return ends
        return g.node("Add", ends, self.concat_conv([*fused, local, nonlocal_], fusions[-1]))

    def block(self, x: Name, block: nn.Module, level: LevelShapes) -> Name:
        """Write a residual or a Swin block."""
        if isinstance(block, SwinBlock):
            return self.swin(x, block, level)
        return self.residual(x, cast(ResidualBlock, block))

    def interaction(self, x: Name, guide: Name, module: nn.Module) -> Name:
        """Write the modulation of one branch by the other: SFT, concatenation or none."""
        if isinstance(module, Concatenation):
            return self.concat_conv([x, guide], module.join)
        return self.sft(x, guide, module) if isinstance(module, SFT) else x

    def concat_conv(self, maps: Sequence[Name], layer: nn.Linear) -> Name:
        """Write a 1x1 convolution of concatenated maps."""
        return self.pointwise(self.g.node("Concat", *maps, axis=1), layer)

    def residual(self, x: Name, block: ResidualBlock) -> Name:
        """Write `ResidualBlock.forward`."""
        inner = self.g.node("LeakyRelu", self.convolution(x, block.first), alpha=0.2)
        return self.g.node("Add", x, self.convolution(inner, block.second))

    def sft(self, x: Name, guide: Name, module: SFT) -> Name:
        """Write `SFT.forward`."""
        g = self.g
        inner = g.node("LeakyRelu", self.pointwise(guide, module.first), alpha=0.1)
        scale, shift = g.split(inner, 2, axis=1)
        scale, shift = self.pointwise(scale, module.scale), self.pointwise(shift, module.shift)
        if module.bounded:
            scale = g.node("Tanh", scale)
        return g.node("Add", g.node("Mul", x, g.node("Add", scale, g.floats([1.0]))), shift)

    def swin(self, x: Name, block: SwinBlock, level: LevelShapes) -> Name:
        """Write `SwinBlock.forward` for whole windows."""
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
        first = self.fold_norm(*parameters(expand), block.mlp_norm)
        hidden = g.node("Gelu", self.linear(self.normalised(windows, channels), *first))
        windows = g.node("Add", windows, self.linear(hidden, *self.linear_weights(contract)))
        x = g.node(
            "Transpose", g.node("Reshape", windows, level.merge_shape), perm=[0, 5, 1, 3, 2, 4]
        )
        x = g.node("Reshape", x, level.map_shape)
        return self._roll(x, -block.shift_px) if block.shift_px else x

    def attention(self, x: Name, block: SwinBlock, level: LevelShapes) -> Name:
        """Write `WindowAttention.forward` on (N, windows, area, C).

        The norm before it and its scale are folded into q, k and v.
        """
        g, attention = self.g, block.attention
        weight, bias = parameters(attention.qkv)
        channels, heads = weight.shape[0] // 3, attention.heads
        q, k, v = (
            self.linear(x, *self.fold_norm(w, b, block.attention_norm, scale=scale))
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
            y = g.node("MatMul", g.node("Softmax", logits, axis=-1), v)
        else:
            split = g.concat([*level.cut_rows, g.integers([heads, channels // heads])])
            q, k, v = (
                g.node("Transpose", g.node("Reshape", part, split), perm=perm)
                for part, perm in ((q, [0, 1, 3, 2, 4]), (k, [0, 1, 3, 4, 2]), (v, [0, 1, 3, 2, 4]))
            )
            logits = g.node("Add", g.node("MatMul", q, k), g.weights(position[None, None]))
            if block.shift_px:
                logits = g.node("Add", logits, g.node("Unsqueeze", level.mask, g.integers([2])))
            y = g.node("MatMul", g.node("Softmax", logits, axis=-1), v)
            y = g.node("Transpose", y, perm=[0, 1, 3, 2, 4])
            y = g.node("Reshape", y, g.concat([*level.cut_rows, g.integers([channels])]))
        return self.linear(y, *self.linear_weights(attention.projection))

    def normalised(self, x: Name, channels: int) -> Name:
        """Write a layer norm; `fold_norm` folds its affine part into the next layer."""
        return self.g.node(
            "LayerNormalization",
            x,
            self.g.constant(np.ones(channels, np.float32)),
            axis=-1,
            epsilon=1e-5,
        )

    def fold_norm(
        self,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32],
        norm: nn.LayerNorm,
        *,
        scale: float = 1.0,
    ) -> tuple[Name, Name]:
        """Fold the affine part of `norm` and a scale into a linear layer.

        Returns weight (in, out) and bias (out,). They are written as products of constants, which
        every engine computes once when it loads the graph. So the stored weights, in float16 too,
        are the trained ones.
        """
        g = self.g
        gain, offset = parameters(norm)
        trained = g.weights(weight.T)
        folded_bias = g.node("Add", g.node("MatMul", g.weights(offset), trained), g.weights(bias))
        folded = g.node("Mul", trained, g.weights(gain[:, None]))
        if scale == 1:
            return folded, folded_bias
        factor = g.floats([scale])
        return g.node("Mul", folded, factor), g.node("Mul", folded_bias, factor)

    def linear_weights(self, layer: nn.Linear) -> tuple[Name, Name]:
        """Return weight (in, out) and bias (out,) of a linear layer."""
        weight, bias = parameters(layer)
        return self.g.weights(weight.T), self.g.weights(bias)

    def linear(self, x: Name, weight: Name, bias: Name) -> Name:
        """Write a linear layer, (..., in) -> (..., out), with `weight` (in, out)."""
        return self.g.node("Add", self.g.node("MatMul", x, weight), bias)

    def convolution(self, x: Name, layer: nn.Conv2d) -> Name:
        """Write a 3x3 convolution with a border of one zero."""
        return self._convolution(x, *parameters(layer), layer.stride)

    def _convolution(
        self,
        x: Name,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32],
        strides: Sequence[int],
    ) -> Name:
        return self.g.node(
            "Conv",
            x,
            self.g.weights(weight),
            self.g.weights(bias),
            kernel_shape=[3, 3],
            pads=[1, 1, 1, 1],
            strides=list(strides),
        )

    def pointwise(self, x: Name, layer: nn.Linear) -> Name:
        """Write a 1x1 convolution, which keeps the layout of the neighbouring layers."""
        weight, bias = parameters(layer)
        return self.g.node(
            "Conv",
            x,
            self.g.weights(weight[:, :, None, None]),
            self.g.weights(bias),
            kernel_shape=[1, 1],
        )

    def _roll(self, x: Name, by_px: int) -> Name:
        """Roll a map up and to the left by `by_px`, cyclically; back if it is negative."""
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
    """Return weight and bias of a layer in float32."""
    assert layer.bias is not None
    return layer.weight.float().numpy().copy(), layer.bias.float().numpy().copy()


def as_type(kind: type[Layer], modules: Iterable[nn.Module]) -> list[Layer]:
    """Return the modules of a list, all of one class, with that type."""
    return cast(list[Layer], list(modules))
