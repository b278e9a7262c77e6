"""Data after the end of a JPEG or PNG, such as the video of a motion photo, which is not written.

Specification: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from derain.pictures.png_chunks import read_png_chunks

NEXT_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
"""The end of a scan: a marker that neither stands for a byte of data nor restarts the decoder.

Any number of fill bytes, which are 0xFF too, may precede it.
"""
END_OF_IMAGE = 0xD9
WITHOUT_LENGTH = {0x01, *range(0xD0, 0xDA)}
"""Markers without data."""
PADDING = b"\0\xff \r\n\t"


def describe_trailing_data(format_name: str, file: BinaryIO) -> str | None:
    """Return a description of the data after a JPEG or PNG; None without it. Moves in `file`."""
    if format_name == "PNG":
        read_png_chunks(file)
        data = file.read()
    elif format_name == "JPEG":
        file.seek(0)
        jpeg = file.read()
        data = jpeg[find_jpeg_end(jpeg) :]
    else:
        return None
    if not data.strip(PADDING):
        return None
    if data[4:8] == b"ftyp":
        return "the video after its end"
    return f"the data after its end ({len(data)} bytes)"


def find_jpeg_end(jpeg: bytes) -> int:
    """Return the position after the first picture; the length if its end is missing."""
    position = 2
    while match := NEXT_MARKER.search(jpeg, position):
        marker, position = match[1][0], match.end()
        if marker == END_OF_IMAGE:
            return position
        if marker not in WITHOUT_LENGTH:
            position += int.from_bytes(jpeg[position : position + 2], "big")
    return len(jpeg)
