"""How much a network multiplies, and how fast this machine can."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np

from derain.inference.engines import openvino
from derain.weights import Model

COLOURS = 3
CONV3 = 9
"""Multiplications of a 3x3 convolution for each pixel, input and output channel."""
RIVAL_PX = 256**2
"""Pixels of the picture for which the work of other networks is counted."""
PRODUCT_SIDE = 2048
REPEATS = 5


def macs_per_px(model: Model) -> float | None:
    """Return the multiplications for each pixel of the picture, as the paper's network is written.

    An engine may need fewer, because an exported network joins matrices that follow one another.
    Padding and overlaps do not count. None for another exported network, and for another unit than
    PLNLIM.
    """
    configuration = model.configuration
    if model.onnx_path.suffix != ".onnx":
        complexity = import_module("derain.rivals.complexity")  # by name: it needs PyTorch
        return float(complexity.count_gmacs(model.name)) * 1e9 / RIVAL_PX
    is_known = {"channels", "stages"} <= configuration.keys()
    if not is_known or configuration.get("unit", "plnlim") != "plnlim":
        return None
    side = configuration.get("unshuffle", 1)
    pixel, frames = COLOURS * side**2, configuration.get("frames", 1)
    channels, stages = configuration["channels"], configuration["stages"]
    macs = CONV3 * channels[0] * pixel * (frames + 1)
    for level, (count, length) in enumerate(zip(channels, stages, strict=True)):
        macs += 2 * _plnlim(count, length, configuration) / 4**level
    for level, (shallow, deep) in enumerate(pairwise(channels)):
        join = 2 * shallow * shallow
        macs += CONV3 * (shallow * deep / 4 + shallow * deep + join) / 4**level
    return float(macs / side**2)


def _plnlim(channels: int, stages: int, configuration: Mapping[str, Any]) -> int:
    """Return the multiplications of a PLNLIM for each of its pixels."""
    ratio: int = configuration.get("mlp_ratio", 4)
    area: int = configuration.get("window_px", 7) ** 2
    square = channels * channels
    residual = 2 * CONV3 * square
    swin = (4 + 2 * ratio) * square + 2 * area * channels
    fusions = 2 + 3 * stages
    return (stages + 1) * (residual + swin) + (8 * (stages - 1) + fusions) * square


def product_rate(precision: str) -> float:
    """Return how many multiplications per second a large matrix product reaches on the CPU.

    It runs in OpenVINO, or without it in numpy, which has no bfloat16.
    """
    if openvino.version() is None:
        matrix = np.ones((PRODUCT_SIDE, PRODUCT_SIDE), np.float32)
        seconds = min(_seconds(lambda: matrix @ matrix) for _ in range(REPEATS))
    else:
        multiply = openvino.product(PRODUCT_SIDE, precision=precision)
        seconds = min(_seconds(multiply) for _ in range(REPEATS))
    return float(PRODUCT_SIDE**3 / seconds)


def _seconds(function: Any) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
