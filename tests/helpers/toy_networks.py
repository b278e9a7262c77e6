"""Networks small enough to predict their output, in the form that `derain export` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NOTES = {
    "derain.format": "1",
    "derain.configuration": json.dumps({"preset": "toy", "channels": [16]}),
    "derain.multiple_px": "8",
    "derain.card": json.dumps({"hours": 2.5}),
}


def write_network(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, np.ndarray],
    notes: Mapping[str, str] = NOTES,
    *,
    frames: int = 1,
) -> Path:
    """Write an exported network of some nodes, from `rainy`, some frames, to `restored`."""
    graph = helper.make_graph(
        nodes,
        "toy",
        [_value("rainy", 3 * frames)],
        [_value("restored", 3)],
        [
            numpy_helper.from_array(np.asarray(value, np.float32), name)
            for name, value in constants.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, notes)
    onnx.save(model, path)
    return path


def _value(name: str, channels: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, "h", "w"])


def write_copying(path: Path, notes: Mapping[str, str] = NOTES) -> Path:
    """Write a network that returns its input."""
    return write_network(path, [helper.make_node("Identity", ["rainy"], ["restored"])], {}, notes)


def write_darkening(path: Path) -> Path:
    """Write a network that subtracts 0.25."""
    node = helper.make_node("Sub", ["rainy", "rain"], ["restored"])
    return write_network(path, [node], {"rain": np.array(0.25)})


def write_blurring(path: Path) -> Path:
    """Write a network that takes means of 9 x 9 pixels."""
    node = helper.make_node("Conv", ["rainy", "kernel"], ["restored"], group=3, pads=[4] * 4)
    return write_network(path, [node], {"kernel": np.full((3, 1, 9, 9), 1 / 81)})


def write_averaging(path: Path) -> Path:
    """Write a network for clips that takes the mean of three frames."""
    mean = helper.make_node("Conv", ["rainy", "kernel"], ["restored"])
    kernel = np.tile(np.eye(3), (1, 3))[..., None, None] / 3
    configuration = json.dumps({"preset": "toy", "channels": [16], "frames": 3})
    notes = {**NOTES, "derain.configuration": configuration}
    return write_network(path, [mean], {"kernel": kernel}, notes, frames=3)
