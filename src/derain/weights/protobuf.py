"""The parts of Protocol Buffers that an ONNX file needs: numbers, and fields with a length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

VARINT, LENGTH_DELIMITED = 0, 2
"""Wire types: the value of a field is a number; or it has that many bytes."""


def read_fields(file: BinaryIO, *, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (field, wire type, value) of the message from here to the position `end`.

    The value of a LENGTH_DELIMITED field is its number of bytes, which follow at the position of
    the file. The next field is found wherever the caller leaves that position. Raises ValueError
    for a field that exceeds the message, or has another wire type.
    """
    while file.tell() < end:
        field, wire_type = divmod(read_varint(file), 8)
        if wire_type not in {VARINT, LENGTH_DELIMITED}:
            raise ValueError("not an ONNX file")
        value = read_varint(file)
        stop = file.tell() + (value if wire_type == LENGTH_DELIMITED else 0)
        if stop > end:
            raise ValueError("truncated, or not an ONNX file")
        yield field, wire_type, value
        file.seek(stop)


def read_varint(file: BinaryIO) -> int:
    """Read a number in groups of seven bits, lowest first; the eighth bit marks a continuation."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError("truncated, or not an ONNX file")
