"""Independent readers of picture files: by hand, tifffile and FFmpeg, without Pillow or derain."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

JPEG_PREFIXES = {
    "exif": b"Exif\0\0",
    "xmp": b"http://ns.adobe.com/xap/1.0/\0",
    "icc": b"ICC_PROFILE\0\x01\x01",
}


def read_block(path: Path, name: str) -> bytes | None:
    """Return `exif` (from II or MM on), `xmp` or `icc` of a PNG, JPEG, WebP, TIFF, AVIF or HEIC."""
    data = path.read_bytes()
    if data.startswith(b"\x89PNG"):
        return _png_block(data, name)
    if data.startswith(b"\xff\xd8"):
        prefix = JPEG_PREFIXES[name]
        blocks = (body for body in jpeg_segments(data) if body.startswith(prefix))
        return next((body.removeprefix(prefix) for body in blocks), None)
    if data.startswith(b"RIFF"):
        return dict(_riff_chunks(data)).get({"exif": b"EXIF", "xmp": b"XMP ", "icc": b"ICCP"}[name])
    if data[:4] in {b"II*\0", b"MM\0*"}:
        return data if name == "exif" else _tiff_block(path, {"xmp": 700, "icc": 34675}[name])
    return _heif_block(data, name)


def read_exif_tag(exif: bytes, tag: int) -> bytes | int | None:
    """Return the value of a text or a short in the first directory."""
    order = "<" if exif[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", exif, 4)
    (count,) = struct.unpack_from(order + "H", exif, start)
    for index in range(count):
        entry_tag, kind, size = struct.unpack_from(order + "HHI", exif, start + 2 + 12 * index)
        at = start + 2 + 12 * index + 8
        if entry_tag == tag and kind == 3:
            return int(struct.unpack_from(order + "H", exif, at)[0])
        if entry_tag == tag and kind == 2:
            at = at if size <= 4 else struct.unpack_from(order + "I", exif, at)[0]
            return exif[at : at + size].rstrip(b"\0")
    return None


def read_dpi(path: Path) -> tuple[float, float]:
    """Return the dots per inch of a PNG, JPEG, TIFF or BMP."""
    data = path.read_bytes()
    if data.startswith(b"\x89PNG"):
        horizontal, vertical, _ = struct.unpack(">IIB", dict(_png_chunks(data))[b"pHYs"])
        return horizontal * 0.0254, vertical * 0.0254
    if data.startswith(b"\xff\xd8"):
        unit, horizontal, vertical = struct.unpack(">BHH", next(jpeg_segments(data))[7:12])
        return horizontal * [0, 1, 2.54][unit], vertical * [0, 1, 2.54][unit]
    if data.startswith(b"BM"):
        horizontal, vertical = struct.unpack_from("<ii", data, 38)
        return horizontal * 0.0254, vertical * 0.0254
    with tifffile.TiffFile(path) as file:
        horizontal, vertical = (file.pages[0].tags[tag].value for tag in (282, 283))
    return horizontal[0] / horizontal[1], vertical[0] / vertical[1]


def decode(path: Path, layout: str) -> np.ndarray:
    """Return the first frame, decoded by FFmpeg to a pixel format: rgb24, rgba, rgb48le, ..."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format=layout)


def jpeg_segments(data: bytes) -> Iterator[bytes]:
    """Yield the segments before the pixels, without marker and length."""
    position = 2
    while data[position + 1] != 0xDA:
        (size,) = struct.unpack_from(">H", data, position + 2)
        yield data[position + 4 : position + 2 + size]
        position += 2 + size


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    while position < len(data):
        size, name = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + size]
        assert struct.unpack_from(">I", data, position + 8 + size)[0] == zlib.crc32(name + body)
        yield name, body
        position += 12 + size


def _png_block(data: bytes, name: str) -> bytes | None:
    chunks = list(_png_chunks(data))
    if name == "xmp":
        texts = [body for chunk_name, body in chunks if chunk_name == b"iTXt"]
        packets = [body for body in texts if body.startswith(b"XML:com.adobe.xmp\0")]
        return packets[0].removeprefix(b"XML:com.adobe.xmp\0\0\0\0\0") if packets else None
    body = dict(chunks).get({"exif": b"eXIf", "icc": b"iCCP"}[name])
    return zlib.decompress(body[body.index(b"\0") + 2 :]) if body and name == "icc" else body


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    while position < len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        yield name, data[position + 8 : position + 8 + size].removeprefix(b"Exif\0\0")
        position += 8 + size + size % 2


def _tiff_block(path: Path, number: int) -> bytes | None:
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags.get(number)
        return None if tag is None else bytes(tag.value)


def _heif_block(data: bytes, name: str) -> bytes | None:
    # the boxes of ISO 23008-12 contain offsets; the content is recognised by its first bytes
    if name == "exif":
        start = max(data.find(mark) for mark in (b"MM\0*", b"II*\0"))
        return data[start:] if start >= 0 else None
    if name == "xmp":
        start = data.find(b"<x:xmpmeta")
        return data[start : data.find(b"</x:xmpmeta>") + 12] if start >= 0 else None
    start = data.find(b"colrprof")
    if start < 0:
        return None
    (size,) = struct.unpack_from(">I", data, start - 4)
    return data[start + 8 : start + size - 4]
