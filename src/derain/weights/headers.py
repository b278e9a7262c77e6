"""Read the notes that a weights file carries, without the libraries that wrote it.

Both readers look at a few kilobytes, and find out on the way whether the file is complete.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO

METADATA_PROPS = 14
"""The field of an ONNX `ModelProto` that holds (key, value) pairs of text (onnx.proto)."""
MAX_HEADER_BYTES = 100_000_000
"""The bound that the safetensors format sets itself."""


def onnx_notes(path: Path) -> dict[str, str]:
    """`metadata_props` of an ONNX file. Raises ValueError for what is no ONNX file or is cut short, OSError from the disk."""
    notes = {}
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() < size_bytes:
            field, kind = divmod(_varint(file), 8)
            if kind == 0:
                _varint(file)
            elif kind == 2:
                length = _varint(file)
                if field == 0 or file.tell() + length > size_bytes:
                    raise ValueError("it is cut short or is no ONNX file")
                if field == METADATA_PROPS:
                    key, value = _pair(file, end=file.tell() + length)
                    notes[key] = value
                else:
                    file.seek(length, 1)
            else:  # a ModelProto has numbers and nested messages only
                raise ValueError("it is no ONNX file")
    return notes


def safetensors_notes(path: Path) -> dict[str, str]:
    """`__metadata__` of a safetensors file. Raises ValueError for what is none or is cut short, OSError from the disk."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        if not 2 <= header_bytes <= min(MAX_HEADER_BYTES, size_bytes - 8):
            raise ValueError("it is cut short or is no safetensors file")
        text = file.read(header_bytes)
    try:
        header = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is no safetensors file") from error
    if not isinstance(header, dict):
        raise ValueError("it is no safetensors file")
    notes = header.pop("__metadata__", {})
    try:
        end = max((int(tensor["data_offsets"][1]) for tensor in header.values()), default=0)
        kept = {str(key): str(value) for key, value in notes.items()}
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise ValueError("it is no safetensors file") from error
    if size_bytes < 8 + header_bytes + end:
        raise ValueError("it is cut short")
    return kept


def _pair(file: BinaryIO, *, end: int) -> tuple[str, str]:
    """A `StringStringEntryProto`: field 1 is the key, field 2 the value, both of them bytes with a length before."""
    texts = {}
    while file.tell() < end:
        field = _varint(file) // 8
        length = _varint(file)
        if file.tell() + length > end:
            raise ValueError("it is cut short or is no ONNX file")
        texts[field] = file.read(length).decode()
    return texts.get(1, ""), texts.get(2, "")


def _varint(file: BinaryIO) -> int:
    """A number in groups of seven bits, the lowest first; the eighth bit says that another group follows."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError("it is cut short or is no ONNX file")
