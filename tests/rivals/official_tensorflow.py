"""Loaders of the official code for TensorFlow 1.

SIRR's functions run on a stand-in for the few operations that they call. The other networks need
TensorFlow 2.15 or older, whose `compat.v1` has the layers of TensorFlow 1.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from official_network import Official, cropped
from torch import Tensor


def load_sirr(checkout: Path) -> dict[str, Official]:
    """wwzjer/Semi-supervised-IRR: `inference` and `guided_filter` run on a stand-in for TensorFlow.

    The stand-in computes each operation at once, with torch; variables come from `weights`. The
    same graph with the same names made the checkpoints that csdwren/RecDerain calls DDN.
    """
    tensorflow = _EagerTensorFlow()
    sys.modules["tensorflow"] = tensorflow.module
    for name in ("tensorflow.python", "tensorflow.python.framework", "h5py"):
        sys.modules[name] = MagicMock()
    sys.modules["skimage.measure"] = MagicMock()
    sys.modules["cv2"] = types.SimpleNamespace(boxFilter=_box_filter)
    sys.path.insert(0, str(checkout))
    code = importlib.import_module("training")

    def run(weights: dict[str, Tensor], rainy: Tensor) -> Tensor:
        tensorflow.weights = weights
        image = rainy.permute(0, 2, 3, 1).double().numpy()
        height, width = image.shape[1:3]
        # the guided filter of testing.py is this one for one picture; it takes (width, height)
        smooth = code.guided_filter(image, 1, width=width, height=height, channel=3)
        with torch.inference_mode():
            images = [torch.from_numpy(array).float() for array in (image, image - smooth)]
            return code.inference(*images).permute(0, 3, 1, 2)

    tensorflow.weights = None
    with torch.inference_mode():
        code.inference(torch.zeros(1, 8, 8, 3), torch.zeros(1, 8, 8, 3))
    return {"sirr": Official(tensorflow.shapes, run)}


def _box_filter(image: np.ndarray, _: int, size: tuple[int, int], **options: object) -> np.ndarray:
    """Return sums over boxes with zeros outside, as OpenCV with `normalize=False, borderType=0`."""
    assert options == {"normalize": False, "borderType": 0}
    box = torch.ones(1, 1, size[1], size[0], dtype=torch.float64)
    values = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float64))[None, None]
    return torch.conv2d(values, box, padding=(size[1] // 2, size[0] // 2))[0, 0].numpy()


class _EagerTensorFlow:
    """The few operations of TensorFlow 1 that the network uses, on (N, H, W, C)."""

    def __init__(self) -> None:
        self.weights: dict[str, Tensor] | None = None
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._scope = ""
        tf = MagicMock()
        tf.app.flags.FLAGS = types.SimpleNamespace(
            num_channels=3, num_patches=20, image_size=64, label_size=64
        )
        tf.variable_scope, tf.get_variable, tf.Variable = self._enter, self._get, self._variable
        tf.constant = lambda value, shape, dtype: torch.full(shape, value)
        tf.ones, tf.zeros, tf.float32, tf.add = torch.ones, torch.zeros, torch.float32, torch.add
        tf.nn.conv2d, tf.nn.relu = self._conv2d, torch.relu
        tf.nn.bias_add = torch.add
        tf.nn.moments = lambda x, axes: (x.mean(axes), x.var(axes, correction=0))
        tf.nn.batch_normalization = lambda x, mean, var, offset, scale, epsilon: (
            (x - mean) * torch.rsqrt(var + epsilon) * scale + offset
        )
        self.module = tf

    @contextlib.contextmanager
    def _enter(self, name: str):
        self._scope = name
        yield
        self._scope = ""

    def _get(self, *, name: str, shape: list[int], **_: object) -> Tensor:
        return self._value(name, (shape[3], shape[2], shape[0], shape[1]))

    def _variable(self, initial: Tensor, *, trainable: bool, name: str) -> Tensor:
        return self._value(name, tuple(initial.shape))

    def _value(self, name: str, shape: tuple[int, ...]) -> Tensor:
        name = f"{self._scope}/{name}"
        self.shapes[name] = shape
        return torch.zeros(shape) if self.weights is None else self.weights[name]

    @staticmethod
    def _conv2d(x: Tensor, kernel: Tensor, strides: list[int], *, padding: str) -> Tensor:
        assert (strides, padding) == ([1, 1, 1, 1], "SAME")
        return torch.conv2d(x.permute(0, 3, 1, 2), kernel, padding=1).permute(0, 2, 3, 1)


def load_mspfn(checkout: Path) -> dict[str, Official]:
    """kuijiang94/MSPFN: predicts the rain layer of B, G, R in -1..1."""
    tf = _tensorflow_1()
    for folder in ("utils", "model"):
        sys.path.insert(0, str(checkout / folder))
    modules = {"mspfn": "TEST_MSPFN", "mspfn_m17n1": "TEST_MSPFN_M17N1"}
    return {name: _of_mspfn(tf, importlib.import_module(file)) for name, file in modules.items()}


def _of_mspfn(tf: types.ModuleType, module: types.ModuleType) -> Official:
    network = _of_graph(tf, lambda rainy: module.Model(rainy, False, 1).imitation)

    def run(weights: dict[str, Tensor], rainy: Tensor) -> Tensor:
        def restore(x: Tensor) -> Tensor:
            return (network.run(weights, 2 * x.flip(1) - 1).flip(1) + 1) / 2

        return cropped(restore, rainy, multiple_px=4)

    return Official(network.shapes, run)


def load_dualgcn(checkout: Path) -> dict[str, Official]:
    """XiaoXiao-Woo/derain: a copy of the authors' own file."""
    tf = _tensorflow_1()
    sys.path.insert(0, str(checkout / "models/compared_CNN/FuGCN"))
    return {"dualgcn": _of_graph(tf, importlib.import_module("model").Inference)}


def _tensorflow_1() -> types.ModuleType:
    """Return TensorFlow's `compat.v1` as `tensorflow`, with the parts of `contrib` in use."""
    tf = importlib.import_module("tensorflow.compat.v1")
    tf.disable_v2_behavior()

    def conv2d(x: Any, channels: int, size: list[int], *, scope: str) -> Any:
        """slim's convolution in the arguments of the official code: SAME, a bias, no activation."""
        with tf.variable_scope(scope):
            shape = [*size, int(x.shape[-1]), channels]
            kernel = tf.get_variable("weights", shape)
            bias = tf.get_variable("biases", [channels])
            return tf.nn.conv2d(x, kernel, strides=[1, 1, 1, 1], padding="SAME") + bias

    slim = types.SimpleNamespace(conv2d=conv2d, arg_scope=lambda *_, **__: contextlib.nullcontext())
    initializers = types.SimpleNamespace(xavier_initializer=tf.glorot_uniform_initializer)
    tf.contrib = types.SimpleNamespace(slim=slim, layers=initializers)
    sys.modules["tensorflow"] = tf
    for name in ("cv2", "PIL"):
        sys.modules.setdefault(name, MagicMock())
    return tf


def _of_graph(tf: types.ModuleType, build: Callable[[Any], Any]) -> Official:
    """Wrap a function that builds a graph from pictures (1, H, W, 3)."""

    def build_in(graph: Any, height: int, width: int) -> tuple[Any, Any]:
        with graph.as_default():
            rainy = tf.placeholder(tf.float32, [1, height, width, 3])
            return rainy, build(rainy)

    def run(weights: dict[str, Tensor], rainy: Tensor) -> Tensor:
        graph = tf.Graph()
        fed, restored = build_in(graph, *rainy.shape[2:])
        with tf.Session(graph=graph) as session, graph.as_default():
            values = {}
            for variable in tf.global_variables():
                value = weights[variable.op.name].numpy()
                if value.ndim == 4:
                    value = value.transpose(2, 3, 1, 0)
                values[variable.initializer.inputs[1]] = value
            # in one call: every further one would optimise the graph again
            session.run([v.initializer for v in tf.global_variables()], values)
            pixels = session.run(restored, {fed: rainy.permute(0, 2, 3, 1).numpy()})
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)

    graph = tf.Graph()
    build_in(graph, 32, 32)
    shapes = {}
    for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES):
        shape = tuple(variable.shape.as_list())
        if len(shape) == 4:
            shape = (shape[3], shape[2], shape[0], shape[1])
        shapes[variable.op.name] = shape
    return Official(shapes, run)
