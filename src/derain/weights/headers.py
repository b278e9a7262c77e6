"""Read the metadata of a weights file without the libraries that wrote it.

Both readers read a few kilobytes, and check that the file is complete.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO

from derain.weights.protobuf import LENGTH_DELIMITED, VARINT, read_fields

IR_VERSION, MODEL_VERSION, GRAPH, METADATA_PROPS = 1, 5, 7, 14
"""Fields of an ONNX `ModelProto` (onnx.proto); the last one has (key, value) pairs of text."""
NUMBERS = {IR_VERSION, MODEL_VERSION}
MESSAGES = {2, 3, 4, 6, GRAPH, 8, METADATA_PROPS, 20, 25, 26}
"""All other fields: texts and nested messages."""
MAX_HEADER_BYTES = 100_000_000
"""Limit of the safetensors format."""
INVALID = (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError)
"""Exceptions for headers that are JSON, but not of safetensors; an offset can be infinite."""


def read_onnx_metadata(path: Path) -> dict[str, str]:
    """Return the `metadata_props` of an ONNX file.

    Raises ValueError if it is not an ONNX file or is truncated, and OSError from the disk.
    """
    metadata, fields = {}, set()
    with path.open("rb") as file:
        for field, wire_type, value in read_fields(file, end=path.stat().st_size):
            if field not in (NUMBERS if wire_type == VARINT else MESSAGES):
                raise ValueError("not an ONNX file")
            fields.add(field)
            if field == METADATA_PROPS:
                key, text = _read_pair(file, end=file.tell() + value)
                metadata[key] = text
    if not fields >= {IR_VERSION, GRAPH}:  # OpenVINO would try it as a file of other libraries
        raise ValueError("not an ONNX file")
    return metadata


def read_safetensors_metadata(path: Path) -> dict[str, str]:
    """Return the `__metadata__` of a safetensors file.

    Raises ValueError if it is not a safetensors file or is truncated, and OSError from the disk.
    """
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        if not 2 <= header_bytes <= min(MAX_HEADER_BYTES, size_bytes - 8):
            raise ValueError("truncated, or not a safetensors file")
        text = file.read(header_bytes)
    try:
        header = json.loads(text)
    except RecursionError as error:
        raise ValueError("not a safetensors file") from error
    if not isinstance(header, dict):
        raise ValueError("not a safetensors file")
    pairs = header.pop("__metadata__", {})
    try:
        end = max((int(tensor["data_offsets"][1]) for tensor in header.values()), default=0)
        metadata = {str(key): str(value) for key, value in pairs.items()}
    except INVALID as error:
        raise ValueError("not a safetensors file") from error
    if size_bytes < 8 + header_bytes + end:
        raise ValueError("truncated")
    return metadata


def _read_pair(file: BinaryIO, *, end: int) -> tuple[str, str]:
    """Read a `StringStringEntryProto`: field 1 is the key, field 2 the value."""
    texts = {
        field: file.read(length).decode()
        for field, wire_type, length in read_fields(file, end=end)
        if wire_type == LENGTH_DELIMITED
    }
    return texts.get(1, ""), texts.get(2, "")
