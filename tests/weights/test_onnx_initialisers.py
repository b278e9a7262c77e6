"""Stored tensors are read without the library that wrote them, and damaged ones are rejected."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from derain.weights.exported_tensors import read_tensors
from derain.weights.library import shipped_file
from derain.weights.onnx_initialisers import read_initialisers

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def write(path, *tensors):
    graph = helper.make_graph([], "toy", [], [], list(tensors))
    onnx.save(helper.make_model(graph), path)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "toy.onnx"


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_named_tensors_are_read_in_their_dtype(dtype, path):
    write(path, *(numpy_helper.from_array(VALUES.astype(dtype), name) for name in "ab"))
    (tensor,) = read_initialisers(path, {"b"}).values()
    assert tensor.dtype == dtype
    np.testing.assert_array_equal(tensor, VALUES)


def test_shipped_tensors_equal_those_of_onnx():
    path = shipped_file("fast")
    initialisers = [t for t in onnx.load(path).graph.initializer if t.data_type in {1, 10}]
    tensors = read_initialisers(path, {tensor.name for tensor in initialisers})
    assert len(tensors) == len(initialisers) > 100
    for expected in initialisers:
        np.testing.assert_array_equal(tensors[expected.name], numpy_helper.to_array(expected))


def test_integers_are_rejected(path):
    write(path, numpy_helper.from_array(np.arange(3), "a"))
    with pytest.raises(ValueError, match="a is damaged, or not in float16 or float32"):
        read_initialisers(path, {"a"})


@pytest.mark.parametrize("shape", [[2, 2], [2**40, 2**40], [-1, 6], [7]])
def test_a_shape_that_does_not_fit_the_values_is_rejected(shape, path):
    tensor = TensorProto(name="a", data_type=1, dims=shape, raw_data=VALUES.tobytes())
    write(path, tensor)
    with pytest.raises(ValueError, match="a is damaged"):
        read_initialisers(path, {"a"})


def test_values_that_exceed_the_file_are_rejected(path):
    data = write(path, numpy_helper.from_array(VALUES, "a")).read_bytes()
    path.write_bytes(data[: data.index(VALUES.tobytes()) + 8])
    with pytest.raises(ValueError, match="truncated"):
        read_initialisers(path, {"a"})


def test_values_that_exceed_their_tensor_are_rejected(path):
    data = write(path, numpy_helper.from_array(VALUES, "a")).read_bytes()
    length = bytes([VALUES.nbytes])
    damaged = data.replace(length + VALUES.tobytes(), b"\x7f" + VALUES.tobytes())
    assert damaged != data
    path.write_bytes(damaged + bytes(200))
    with pytest.raises(ValueError, match="truncated"):
        read_initialisers(path, {"a"})


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_a_changed_byte_is_read_or_rejected(tmp_path_factory, place, value):
    path = tmp_path_factory.mktemp("damaged") / "toy.onnx"
    data = bytearray(write(path, numpy_helper.from_array(VALUES, "a")).read_bytes())
    data[place % len(data)] = value
    path.write_bytes(data)
    try:
        tensors = read_initialisers(path, {"a"})
    except ValueError:
        return
    assert sum(tensor.nbytes for tensor in tensors.values()) <= len(data)


@pytest.mark.parametrize(
    ("places", "problem"),
    [
        ("{", "Expecting"),
        ("[]", "not a list of places"),
        ('{"w":1}', "not a list of places"),
        ('{"w":["same",1]}', "not a list of places"),
        ('{"w":["upside-down",["a"]]}', "unknown layout"),
        ('{"w":["same",[]]}', "does not fit"),
        ('{"w":["same",["b"]]}', "does not fit"),
        ('{"w":["same",["a","a"]]}', "does not fit"),
        ('{"w":["parts",["a","a","a"]]}', "does not fit"),
        ('{"w":["expanded",["a"]]}', "does not fit"),
        ("{}", "w is missing"),
        ('{"w":["same",["a"]],"v":["same",["a"]]}', "no parameter v"),
    ],
)
def test_invalid_places_are_rejected(places, problem, path):
    write(path, numpy_helper.from_array(VALUES, "a"))
    with pytest.raises(ValueError, match=problem):
        read_tensors(path, places, [("w", (2, 3))])


def test_a_table_larger_than_the_file_is_not_allocated(path):
    write(path, numpy_helper.from_array(VALUES, "a"))
    places = '{"w.position_bias":["expanded",["a"]]}'
    with pytest.raises(ValueError, match="does not fit"):
        read_tensors(path, places, [("w.position_bias", ((2 * 10**6 - 1) ** 2, 1))])


def test_a_tensor_that_is_named_too_often_is_rejected(path, monkeypatch):
    monkeypatch.setattr("derain.weights.exported_tensors.MAX_VALUES", 10)
    write(path, numpy_helper.from_array(VALUES, "a"))
    places = '{"v":["same",["a"]],"w":["same",["a"]]}'
    with pytest.raises(ValueError, match="w does not fit"):
        read_tensors(path, places, [("v", (2, 3)), ("w", (2, 3))])
