"""A generator as an ONNX graph, node by node.

It is written instead of traced because copies dominate the time of inference engines. Pointwise
products keep the layout of the convolutions, and the chain of fusions, which is linear, becomes one
product for each branch and stage. `swin_graph` writes the Swin blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from derain.export.onnx_graph import Name, OnnxGraph, parameters
from derain.export.swin_graph import LevelShapes, SwinGraph
from derain.network.blocks import SFT, Fusion, ResidualBlock
from derain.network.configuration import LEVELS
from derain.network.generator import PLNLIN
from derain.network.plnlim import PLNLIM
from derain.network.swin import SwinBlock
from derain.network.variants import Concatenation, WithoutFusion

Layer = TypeVar("Layer", bound=nn.Module)


class NetworkGraph:
    """Writes the modules of a generator into a graph; each method corresponds to a `forward`."""

    def __init__(self, graph: OnnxGraph, network: PLNLIN) -> None:
        self.g, self.network = graph, network
        self.swin = SwinGraph(graph)

    def generator(self) -> Name:
        """Write `PLNLIN.forward` and return its output."""
        g, network = self.g, self.network
        configuration = network.configuration
        batch, height, width = (g.axis_length("rainy", axis) for axis in (0, 2, 3))
        rows, columns = self._reflected(height), self._reflected(width)
        padded = g.node("Gather", g.node("Gather", "rainy", rows, axis=2), columns, axis=3)
        pixel = g.node("Slice", "rainy", g.integers([0] * 4), g.integers([1] * 4))
        zero = g.node("Mul", pixel, g.floats([0.0]))
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
                    zero=zero,
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
        stages = zip(
            module.local[1:-1],
            module.nonlocal_[1:-1],
            module.to_local,
            module.to_nonlocal,
            strict=True,
        )
        local = self.block(x, module.local[0], level)
        nonlocal_ = self.block(x, module.nonlocal_[0], level)
        states = [local, nonlocal_]
        for rb, stb, to_local, to_nonlocal in stages:
            local, nonlocal_ = (
                self.block(self.interaction(local, nonlocal_, to_local), rb, level),
                self.block(self.interaction(nonlocal_, local, to_nonlocal), stb, level),
            )
            states += [local, nonlocal_]
        end = g.node(
            "Add",
            self.block(local, module.local[-1], level),
            self.block(nonlocal_, module.nonlocal_[-1], level),
        )
        if isinstance(module, WithoutFusion):
            return end
        weights, bias = self.fused(module)
        nothing = g.floats([0.0] * module.end.out_features)
        for index, (state, weight) in enumerate(zip(states, weights, strict=True)):
            part = self._pointwise(state, weight, nothing if index else bias)
            end = g.node("Add", part, end)
        return end

    def fused(self, module: PLNLIM) -> tuple[list[Name], Name]:
        """Write the chain of fusions as one weight for each state of a branch, and a bias.

        Local and non-local states alternate, stage by stage. A fusion is linear in the one before
        it, so its share of the end is a product of matrices, which engines compute when they load
        the graph.
        """
        g = self.g
        weight, bias = g.parameters(module.end)
        after, *ends = g.split(weight, 3, axis=1)  # what the end takes of fusion, local, non-local
        weights: list[Name] = []
        for layer in reversed(as_type(Fusion, module.fusion)):
            weight, offset = g.parameters(layer)
            bias = g.sum(bias, g.product(after, offset))
            count = layer.in_features // layer.out_features
            *before, local, nonlocal_ = g.split(g.product(after, weight), count, axis=1)
            if not weights:  # the end takes the states of the last stage as well
                local, nonlocal_ = g.sum(local, ends[0]), g.sum(nonlocal_, ends[1])
            weights = [local, nonlocal_, *weights]
            after = before[0] if before else after
        return weights, bias

    def block(self, x: Name, block: nn.Module, level: LevelShapes) -> Name:
        """Write a residual or a Swin block."""
        if isinstance(block, SwinBlock):
            return self.swin.block(x, block, level)
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
        firsts = zip(
            *(g.split(part, 2, axis=0) for part in g.parameters(module.first)), strict=True
        )
        scale, shift = (
            self.pointwise(g.node("LeakyRelu", self._pointwise(guide, *first), alpha=0.1), second)
            for first, second in zip(firsts, (module.scale, module.shift), strict=True)
        )
        if module.bounded:
            scale = g.node("Tanh", scale)
        return g.node("Add", g.node("Mul", x, g.node("Add", scale, g.floats([1.0]))), shift)

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
        return self._pointwise(x, *self.g.parameters(layer))

    def _pointwise(self, x: Name, weight: Name, bias: Name) -> Name:
        """Write a 1x1 convolution with `weight` (out, in)."""
        weight = self.g.node("Unsqueeze", weight, self.g.integers([2, 3]))
        return self.g.node("Conv", x, weight, bias, kernel_shape=[1, 1])


def as_type(kind: type[Layer], modules: Iterable[nn.Module]) -> list[Layer]:
    """Return the modules of a list, all of one class, with that type."""
    return cast(list[Layer], list(modules))
