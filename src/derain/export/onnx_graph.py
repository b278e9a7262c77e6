"""A small writer for ONNX graphs: nodes are added one by one and named by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

Name = str
OPSET = 20
"""The first version with Gelu."""


class OnnxGraph:
    """A graph with the input `rainy` and the output `restored`.

    They are float32 (batch, 3 * frames, height, width) and (batch, 3, height, width), where all
    but the channels is dynamic.
    """

    def __init__(self, *, half: bool, frames: int = 1) -> None:
        self.half, self.frames = half, frames
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: dict[bytes, onnx.TensorProto] = {}

    def node(self, operator: str, *inputs: Name, **attributes: Any) -> Name:
        """Add a node with one output and return the name of the output."""
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def split(self, x: Name, parts: int, *, axis: int) -> list[Name]:
        """Split `x` into equal parts along `axis`."""
        outputs = [f"v{len(self.nodes)}_{i}" for i in range(parts)]
        self.nodes.append(helper.make_node("Split", [x], outputs, axis=axis, num_outputs=parts))
        return outputs

    def constant(self, value: NDArray[Any]) -> Name:
        """Add a tensor, stored as it is. Equal tensors are stored once."""
        value = np.ascontiguousarray(value)
        key = value.tobytes() + str((value.dtype, value.shape)).encode()
        if key not in self.initialisers:
            self.initialisers[key] = numpy_helper.from_array(value, f"c{len(self.initialisers)}")
        return self.initialisers[key].name

    def weights(self, value: NDArray[np.float32]) -> Name:
        """Add a trained tensor, stored in float16 if the graph is `half` and used in float32."""
        if not self.half:
            return self.constant(value.astype(np.float32))
        return self.node("Cast", self.constant(value.astype(np.float16)), to=TensorProto.FLOAT)

    def parameters(self, layer: nn.Linear | nn.Conv2d | nn.LayerNorm) -> tuple[Name, Name]:
        """Add weight and bias of a layer."""
        weight, bias = parameters(layer)
        return self.weights(weight), self.weights(bias)

    def transposed_parameters(self, layer: nn.Linear) -> tuple[Name, Name]:
        """Add weight, transposed to (in, out), and bias of a linear layer."""
        weight, bias = parameters(layer)
        return self.weights(weight.T), self.weights(bias)

    def product(self, a: Name, b: Name) -> Name:
        """Multiply matrices."""
        return self.node("MatMul", a, b)

    def sum(self, a: Name, b: Name) -> Name:
        """Add tensors."""
        return self.node("Add", a, b)

    def transposed(self, matrix: Name) -> Name:
        """Transpose a matrix."""
        return self.node("Transpose", matrix, perm=[1, 0])

    def integers(self, values: Sequence[int]) -> Name:
        """Add a list of int64."""
        return self.constant(np.array(values, np.int64))

    def scalar(self, value: int) -> Name:
        """Add an int64 without dimensions."""
        return self.constant(np.array(value, np.int64))

    def floats(self, values: Sequence[float]) -> Name:
        """Add a list of float32."""
        return self.constant(np.array(values, np.float32))

    def concat(self, parts: Sequence[Name]) -> Name:
        """Concatenate lists of integers."""
        return self.node("Concat", *parts, axis=0)

    def axis_length(self, x: Name, axis: int) -> Name:
        """Return the length of one axis, (1,) int64."""
        return self.node("Shape", x, start=axis, end=axis + 1)

    def arrays(self) -> dict[Name, NDArray[Any]]:
        """Return the stored tensors by name."""
        return {t.name: numpy_helper.to_array(t) for t in self.initialisers.values()}

    def serialise(
        self, *, output: Name, metadata: Mapping[str, str], description: str = ""
    ) -> bytes:
        """Check the graph and return it as the bytes of an ONNX file."""
        self.nodes.append(helper.make_node("Identity", [output], ["restored"]))
        given, shape = (["batch", count, "height", "width"] for count in (3 * self.frames, 3))
        graph = helper.make_graph(
            self.nodes,
            "derain",
            [helper.make_tensor_value_info("rainy", TensorProto.FLOAT, given)],
            [helper.make_tensor_value_info("restored", TensorProto.FLOAT, shape)],
            initializer=list(self.initialisers.values()),
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="derain",
            doc_string=description,
            ir_version=9,
        )
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        data: bytes = model.SerializeToString()
        return data


def parameters(
    layer: nn.Linear | nn.Conv2d | nn.LayerNorm,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weight and bias of a layer in float32."""
    assert layer.bias is not None
    return layer.weight.float().numpy().copy(), layer.bias.float().numpy().copy()
