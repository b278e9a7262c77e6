"""What files say, read by hand, by tifffile and by FFmpeg: nothing here shares code with Pillow or derain."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

BLOCKS = {
    "exif": b"Exif\0\0",
    "xmp": b"http://ns.adobe.com/xap/1.0/\0",
    "icc": b"ICC_PROFILE\0\x01\x01",
}


def block(path: Path, name: str) -> bytes | None:
    """The bytes of `exif` (from II or MM on), `xmp` or `icc` in a PNG, JPEG, WebP, TIFF, AVIF or HEIC."""
    data = path.read_bytes()
    if data.startswith(b"\x89PNG"):
        return _png(data, name)
    if data.startswith(b"\xff\xd8"):
        return next(
            (
                body.removeprefix(BLOCKS[name])
                for body in jpeg_segments(data)
                if body.startswith(BLOCKS[name])
            ),
            None,
        )
    if data.startswith(b"RIFF"):
        return dict(_riff(data)).get({"exif": b"EXIF", "xmp": b"XMP ", "icc": b"ICCP"}[name])
    if data[:4] in {b"II*\0", b"MM\0*"}:
        return data if name == "exif" else _tiff(path, {"xmp": 700, "icc": 34675}[name])
    return _heif(data, name)


def exif_tag(exif: bytes, tag: int) -> bytes | int | None:
    """The value of a text or a short in the first directory."""
    order = "<" if exif[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", exif, 4)
    (count,) = struct.unpack_from(order + "H", exif, start)
    for index in range(count):
        found, kind, size = struct.unpack_from(order + "HHI", exif, start + 2 + 12 * index)
        at = start + 2 + 12 * index + 8
        if found == tag and kind == 3:
            return int(struct.unpack_from(order + "H", exif, at)[0])
        if found == tag and kind == 2:
            at = at if size <= 4 else struct.unpack_from(order + "I", exif, at)[0]
            return exif[at : at + size].rstrip(b"\0")
    return None


def dpi(path: Path) -> tuple[float, float]:
    """Dots per inch of a PNG, JPEG, TIFF or BMP."""
    data = path.read_bytes()
    if data.startswith(b"\x89PNG"):
        across, down, _ = struct.unpack(">IIB", dict(_chunks(data))[b"pHYs"])
        return across * 0.0254, down * 0.0254
    if data.startswith(b"\xff\xd8"):
        unit, across, down = struct.unpack(">BHH", next(jpeg_segments(data))[7:12])
        return across * [0, 1, 2.54][unit], down * [0, 1, 2.54][unit]
    if data.startswith(b"BM"):
        across, down = struct.unpack_from("<ii", data, 38)
        return across * 0.0254, down * 0.0254
    with tifffile.TiffFile(path) as file:
        across, down = (file.pages[0].tags[tag].value for tag in (282, 283))
    return across[0] / across[1], down[0] / down[1]


def pixels(path: Path, layout: str) -> np.ndarray:
    """The first picture as FFmpeg decodes it, in one of its pixel formats: rgb24, rgba, gray, rgb48le, ..."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format=layout)


def jpeg_segments(data: bytes) -> Iterator[bytes]:
    """The bodies of the segments before the picture, without marker and length."""
    position = 2
    while data[position + 1] != 0xDA:
        (size,) = struct.unpack_from(">H", data, position + 2)
        yield data[position + 4 : position + 2 + size]
        position += 2 + size


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    while position < len(data):
        size, name = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + size]
        assert struct.unpack_from(">I", data, position + 8 + size)[0] == zlib.crc32(name + body)
        yield name, body
        position += 12 + size


def _png(data: bytes, name: str) -> bytes | None:
    chunks = list(_chunks(data))
    if name == "xmp":
        bodies = [
            body
            for kind, body in chunks
            if kind == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\0")
        ]
        return bodies[0].removeprefix(b"XML:com.adobe.xmp\0\0\0\0\0") if bodies else None
    body = dict(chunks).get({"exif": b"eXIf", "icc": b"iCCP"}[name])
    return zlib.decompress(body[body.index(b"\0") + 2 :]) if body and name == "icc" else body


def _riff(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    while position < len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        yield name, data[position + 8 : position + 8 + size].removeprefix(b"Exif\0\0")
        position += 8 + size + size % 2


def _tiff(path: Path, tag: int) -> bytes | None:
    with tifffile.TiffFile(path) as file:
        found = file.pages[0].tags.get(tag)
        return None if found is None else bytes(found.value)


def _heif(data: bytes, name: str) -> bytes | None:
    # the boxes of ISO 23008-12 name places in the file; what they hold can be told by how it begins
    if name == "exif":
        starts = [data.find(mark) for mark in (b"MM\0*", b"II*\0")]
        return data[max(starts) :] if max(starts) >= 0 else None
    if name == "xmp":
        start = data.find(b"<x:xmpmeta")
        return data[start : data.find(b"</x:xmpmeta>") + 12] if start >= 0 else None
    start = data.find(b"colrprof")
    return (
        data[start + 8 : start + struct.unpack_from(">I", data, start - 4)[0] - 4]
        if start >= 0
        else None
    )
