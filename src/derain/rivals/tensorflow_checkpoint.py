"""A reader of TensorFlow's checkpoints (format V2) without TensorFlow.

`NAME.index` is a table in the format of LevelDB (its `doc/table_format.md`): blocks of sorted keys,
then an index block, then a footer of 48 bytes. A key is the name of a variable, its value a
`BundleEntryProto` (tensor_bundle.proto) that says where its numbers lie in `NAME.data-*`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from derain.errors import WeightsError

FOOTER_BYTES = 48
MAGIC = bytes.fromhex("57fb808b247547db")
FLOAT32 = 1
"""`DT_FLOAT` of types.proto."""
DTYPE, SHAPE, SHARD, OFFSET, SIZE = 1, 2, 3, 4, 5
"""Fields of a `BundleEntryProto`."""
SHARDS = 1
"""Field of the `BundleHeaderProto`, which has the empty name."""
VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5
"""Wire types of Protocol Buffers."""


def read_tensorflow(index: Path) -> dict[str, Tensor]:
    """Return the float32 variables of a checkpoint, given its .index file.

    Kernels of convolutions, (height, width, in, out), are transposed to PyTorch's (out, in, height,
    width). Raises WeightsError for a damaged or incomplete checkpoint.
    """
    prefix = index.with_suffix("")
    try:
        entries = dict(_read_table(index.read_bytes()))
        header = _read_message(entries.pop(""))
        shards = int(header.get(SHARDS, 1))
        tensors = {}
        for name, value in entries.items():
            entry = _read_message(value)
            if entry.get(DTYPE) == FLOAT32:
                shard = int(entry.get(SHARD, 0))
                data = prefix.with_name(f"{prefix.name}.data-{shard:05}-of-{shards:05}")
                tensors[name] = _read_tensor(data, entry)
    except OSError as error:
        raise WeightsError(
            f"{error.filename}: cannot be read ({error.strerror}); a checkpoint of TensorFlow "
            f"needs {prefix.name}.index and its .data files in one folder"
        ) from error
    except (ValueError, KeyError, IndexError, TypeError, struct.error) as error:
        raise WeightsError(
            f"{index}: is not the index of a TensorFlow checkpoint, or is damaged ({error}); "
            "download it again"
        ) from error
    return tensors


def _read_tensor(data: Path, entry: dict[int, int | bytes]) -> Tensor:
    shape = [int(_read_message(size).get(1, 0)) for size in _repeated(entry.get(SHAPE, b""), 2)]
    with data.open("rb") as file:
        file.seek(int(entry.get(OFFSET, 0)))
        values = np.frombuffer(file.read(int(entry[SIZE])), "<f4")
    if values.size != math.prod(shape):
        raise ValueError(f"{data.name} is truncated")
    tensor = torch.from_numpy(values.reshape(shape).copy())
    return tensor.permute(3, 2, 0, 1).contiguous() if tensor.ndim == 4 else tensor


def _read_table(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the (key, value) pairs of a table."""
    footer = content[-FOOTER_BYTES:]
    if footer[-8:] != MAGIC:
        raise ValueError("wrong magic number")
    _, position = _read_handle(footer, 0)  # of the metadata, which is empty here
    index, _ = _read_handle(footer, position)
    for _, value in _read_block(content, index):
        handle, _ = _read_handle(value, 0)
        for key, entry in _read_block(content, handle):
            yield key.decode(), entry


def _read_handle(content: bytes, position: int) -> tuple[tuple[int, int], int]:
    """Read the (offset, size) of a block; return it and the position after it."""
    offset, position = _read_varint(content, position)
    size, position = _read_varint(content, position)
    return (offset, size), position


def _read_block(content: bytes, handle: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the pairs of a block. Each key stores only what differs from the key before it."""
    offset, size = handle
    if content[offset + size]:
        raise ValueError("compressed blocks are not supported")
    block = content[offset : offset + size]
    (restarts,) = struct.unpack("<I", block[-4:])
    end, position, key = size - 4 - 4 * restarts, 0, b""
    while position < end:
        shared, position = _read_varint(block, position)
        rest, position = _read_varint(block, position)
        length, position = _read_varint(block, position)
        key = key[:shared] + block[position : position + rest]
        position += rest
        yield key, block[position : position + length]
        position += length


def _read_message(message: int | bytes) -> dict[int, int | bytes]:
    """Return the fields of a message by number; of a repeated field, the last one."""
    return dict(_fields(message))


def _repeated(message: int | bytes, field: int) -> list[int | bytes]:
    return [value for number, value in _fields(message) if number == field]


def _fields(message: int | bytes) -> Iterator[tuple[int, int | bytes]]:
    if isinstance(message, int):
        raise TypeError("a number where a message was expected")
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        field, wire_type = divmod(tag, 8)
        if wire_type == VARINT:
            value, position = _read_varint(message, position)
            yield field, value
            continue
        if wire_type == LENGTH_DELIMITED:
            length, position = _read_varint(message, position)
        else:
            length = {FIXED64: 8, FIXED32: 4}[wire_type]
        yield field, message[position : position + length]
        position += length


def _read_varint(content: bytes, position: int) -> tuple[int, int]:
    """Read a number in groups of seven bits, lowest first; return it and the position after it."""
    value = shift = 0
    while True:
        byte = content[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position
