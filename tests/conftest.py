"""Networks small enough to predict their output, in the form that `derain export` writes."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

# what a shell runs in the background ignores Ctrl-C, and so do its children
signal.signal(signal.SIGINT, signal.default_int_handler)

NOTES = {
    "derain.format": "1",
    "derain.configuration": json.dumps({"preset": "toy", "channels": [16]}),
    "derain.multiple_px": "8",
    "derain.card": json.dumps({"hours": 2.5}),
}


def _network(
    path: Path, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], notes: dict[str, str]
) -> Path:
    shape = ["n", 3, "h", "w"]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("rainy", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("restored", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(np.asarray(value, np.float32), name)
            for name, value in constants.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, notes)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with copying.onnx, darkening.onnx (minus 0.25) and blurring.onnx (9 x 9 mean)."""
    folder = tmp_path_factory.mktemp("networks")
    _network(
        folder / "copying.onnx", [helper.make_node("Identity", ["rainy"], ["restored"])], {}, NOTES
    )
    _network(
        folder / "darkening.onnx",
        [helper.make_node("Sub", ["rainy", "rain"], ["restored"])],
        {"rain": np.array(0.25)},
        NOTES,
    )
    mean = helper.make_node("Conv", ["rainy", "kernel"], ["restored"], group=3, pads=[4] * 4)
    _network(folder / "blurring.onnx", [mean], {"kernel": np.full((3, 1, 9, 9), 1 / 81)}, NOTES)
    return folder


@pytest.fixture
def make_network(tmp_path: Path) -> Callable[..., Path]:
    """`make_network(name, **notes)`: a copying network with changed notes; None drops a note."""

    def make(name: str, **changes: str | None) -> Path:
        notes = {**NOTES, **{f"derain.{key}": value for key, value in changes.items()}}
        kept = {key: value for key, value in notes.items() if value is not None}
        return _network(
            tmp_path / f"{name}.onnx",
            [helper.make_node("Identity", ["rainy"], ["restored"])],
            {},
            kept,
        )

    return make


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
