"""Read the stored tensors of an ONNX file without the library that wrote it."""

from __future__ import annotations

from collections.abc import Container
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from derain.weights.headers import GRAPH
from derain.weights.protobuf import LENGTH_DELIMITED, VARINT, read_fields, read_varint

INITIALISER = 5
"""Field of a `GraphProto` (onnx.proto)."""
DIMENSIONS, DATA_TYPE, NAME, RAW_DATA = 1, 2, 8, 9
"""Fields of a `TensorProto`; other fields than RAW_DATA for values are not supported."""
DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 10: np.dtype("<f2")}
"""float32 and float16, by DATA_TYPE."""


def read_initialisers(path: Path, names: Container[str]) -> dict[str, NDArray[Any]]:
    """Return the stored tensors with these names, in float16 or float32 as in the file.

    Each is read once, and takes no more memory than its bytes in the file. Raises ValueError for a
    file that is damaged, or stores one of them in another way, and OSError from the disk.
    """
    tensors = {}
    with path.open("rb") as file:
        for field, wire_type, value in read_fields(file, end=path.stat().st_size):
            if field == GRAPH and wire_type == LENGTH_DELIMITED:
                for part, part_type, length in read_fields(file, end=file.tell() + value):
                    if part == INITIALISER and part_type == LENGTH_DELIMITED:
                        name, tensor = _read_tensor(file, end=file.tell() + length, names=names)
                        if tensor is not None:
                            tensors[name] = tensor
    return tensors


def _read_tensor(
    file: BinaryIO, *, end: int, names: Container[str]
) -> tuple[str, NDArray[Any] | None]:
    """Read a `TensorProto` if its name is among `names`, wherever the name stands in it."""
    shape: list[int] = []
    name, data_type, place = "", 0, (end, 0)
    for field, wire_type, value in read_fields(file, end=end):
        if field == DIMENSIONS and wire_type == VARINT:
            shape.append(value)
        elif field == DIMENSIONS:  # packed
            stop = file.tell() + value
            while file.tell() < stop:
                shape.append(read_varint(file))
        elif field == DATA_TYPE:
            data_type = value
        elif field == NAME and wire_type == LENGTH_DELIMITED:
            name = file.read(value).decode()
        elif field == RAW_DATA and wire_type == LENGTH_DELIMITED:
            place = (file.tell(), value)
    if name not in names:
        return name, None
    dtype, (start, length) = DTYPES.get(data_type), place
    if dtype is None or prod(shape) * dtype.itemsize != length:
        raise ValueError(f"the tensor {name} is damaged, or not in float16 or float32")
    file.seek(start)
    return name, np.frombuffer(file.read(length), dtype).reshape(shape)
