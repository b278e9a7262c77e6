"""Layers that the ONNX graphs of several rivals share. Each adds nodes and returns their output."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from derain.export.onnx_graph import Name, OnnxGraph
from derain.rivals.rival import LeakyConv, SqueezeExcitation


def squeeze_excite(g: OnnxGraph, se: SqueezeExcitation, x: Name) -> Name:
    """Write `SqueezeExcitation.forward`."""
    scale = g.node("GlobalAveragePool", x)
    for layer, function in ((se.squeeze, "Relu"), (se.excite, "Sigmoid")):
        weights = [g.weights(array(layer.weight)[:, :, None, None])]
        if layer.bias is not None:
            weights.append(g.constant(array(layer.bias)))
        scale = g.node(function, g.node("Conv", scale, *weights))
    return g.node("Mul", x, scale)


def conv(g: OnnxGraph, layer: nn.Conv2d, x: Name) -> Name:
    """Write a convolution."""
    weights = [g.weights(array(layer.weight))]
    if layer.bias is not None:
        weights.append(g.constant(array(layer.bias)))
    padding, dilation = layer.padding[0], layer.dilation[0]
    return g.node(
        "Conv",
        x,
        *weights,
        pads=[padding] * 4,
        dilations=[dilation] * 2,
        group=layer.groups,
    )


def gated_state(g: OnnxGraph, unit: nn.Module, x: Name, h: Name) -> Name:
    """Write the new state of a ConvGRU before its activation; `h` is "" at the first step."""

    def gate(kind: str, function: str, state: Name) -> Name:
        value = conv(g, getattr(unit, f"x_{kind}"), x)
        if state:
            value = g.node("Add", value, conv(g, getattr(unit, f"h_{kind}"), state))
        return g.node(function, value)

    update = gate("update", "Sigmoid", h)
    if not h:
        return g.node("Mul", update, gate("new", "Tanh", ""))
    new = gate("new", "Tanh", g.node("Mul", gate("reset", "Sigmoid", h), h))
    return g.node("Add", h, g.node("Mul", update, g.node("Sub", new, h)))


def relu(g: OnnxGraph, x: Name) -> Name:
    """Write a ReLU."""
    return g.node("Relu", x)


def leaky_relu(g: OnnxGraph, x: Name) -> Name:
    """Write a leaky ReLU of slope 0.2."""
    return g.node("LeakyRelu", x, alpha=0.2)


def concat(g: OnnxGraph, *maps: Name) -> Name:
    """Join the channels of maps."""
    return g.node("Concat", *maps, axis=1)


def reverse_channels(g: OnnxGraph, x: Name) -> Name:
    """Turn R, G, B to B, G, R, or back."""
    return g.node("Gather", x, g.integers([2, 1, 0]), axis=1)


def array(tensor: Tensor) -> NDArray[np.float32]:
    """Return a parameter as an array."""
    return tensor.detach().numpy()


def layer(g: OnnxGraph, module: nn.Module, x: Name) -> Name:
    """Write a convolution, with its activation if it has one, a normalisation, or a sequence."""
    if isinstance(module, nn.Sequential):
        for part in module:
            x = layer(g, part, x)
        return x
    if isinstance(module, nn.BatchNorm2d):
        tensors = (module.weight, module.bias, module.running_mean, module.running_var)
        constants = [g.constant(array(tensor)) for tensor in tensors if tensor is not None]
        return g.node("BatchNormalization", x, *constants, epsilon=module.eps)
    assert isinstance(module, nn.Conv2d), module
    x = conv(g, module, x)
    return leaky_relu(g, x) if isinstance(module, LeakyConv) else x


def shared_mean(g: OnnxGraph, x: Name) -> Name:
    """Write the mean of each channel, (N, C, 1, 1)."""
    return g.node("GlobalAveragePool", x)


def size_of(g: OnnxGraph, x: Name) -> Name:
    """Write height and width of `x`, (2,) int64."""
    return g.node("Shape", x, start=2, end=4)


def max_pool(g: OnnxGraph, x: Name, side: int) -> Name:
    """Write the maxima of squares."""
    return g.node("MaxPool", x, kernel_shape=[side] * 2, strides=[side] * 2)


def resize(g: OnnxGraph, x: Name, size: Name, *, linear: bool = False) -> Name:
    """Write `F.interpolate` to `size`, a name of (height, width): nearest, or bilinear."""
    sizes = g.concat([g.node("Shape", x, start=0, end=2), size])
    if linear:
        ways = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    else:
        ways = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
        ways["nearest_mode"] = "floor"
    return g.node("Resize", x, "", "", sizes, **ways)


def extend(g: OnnxGraph, x: Name, *, multiple: int = 1, side: int = 1) -> Name:
    """Write `rival.extend` to sides that are multiples, and have at least `side` pixels."""
    one = g.integers([1])
    for axis in (2, 3):
        length = g.axis_length(x, axis)
        up = g.node("Add", length, g.integers([multiple - 1]))
        longer = g.node("Mul", g.node("Div", up, g.integers([multiple])), g.integers([multiple]))
        longer = g.node("Squeeze", g.node("Max", longer, g.integers([side])))
        period = g.node("Max", g.node("Mul", g.node("Sub", length, one), g.integers([2])), one)
        position = g.node("Mod", g.node("Range", g.scalar(0), longer, g.scalar(1)), period)
        mirrored = g.node("Mod", g.node("Sub", period, position), period)
        x = g.node("Gather", x, g.node("Min", position, mirrored), axis=axis)
    return x


def crop(g: OnnxGraph, x: Name, like: Name) -> Name:
    """Write the top left part of `x` that has the size of `like`."""
    return g.node("Slice", x, g.integers([0, 0]), size_of(g, like), g.integers([2, 3]))


def subtract_rain(g: OnnxGraph, rain: Name) -> Name:
    """Subtract a rain layer in B, G, R, of an extended picture, from the picture."""
    return g.node("Sub", "rainy", reverse_channels(g, crop(g, rain, "rainy")))
