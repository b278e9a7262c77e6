"""Chunks of a PNG, segments of a JPEG and the XMP of a GIF: kept, or reported as dropped."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.round_trip import round_trip
from PIL import Image

from derain import pictures
from derain.pictures.gif import MAGIC_TRAILER, XMP_NAME, read_gif_xmp

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a b="a rain"/></x:xmpmeta>'


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def read_chunks(path: Path) -> dict[bytes, bytes]:
    data, chunks, at = path.read_bytes(), {}, 8
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        chunks[name] = data[at + 8 : at + 8 + size]
        at += 12 + size
    return chunks


def save_png(
    path: Path, image: Image.Image, *chunks: tuple[bytes, bytes], **options: object
) -> Path:
    """Save a PNG with chunks before the pixels."""
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    data = file.getvalue()
    at = data.index(b"IDAT") - 4
    path.write_bytes(data[:at] + b"".join(chunk(*pair) for pair in chunks) + data[at:])
    return path


def indexed(*, transparent: bool = False) -> Image.Image:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    if transparent:
        image.info["transparency"] = 0
    return image


@pytest.mark.parametrize(
    ("image", "before", "after"),
    [
        (Image.new("RGB", (8, 8)), b"\0\1\0\2\0\3", b"\0\1\0\2\0\3"),
        (Image.new("RGBA", (8, 8)), b"\0\1\0\2\0\3", b"\0\1\0\2\0\3"),
        (Image.new("L", (8, 8)), b"\0\x90", b"\0\x90"),
        (Image.new("1", (8, 8)), b"\0\1", b"\0\xff"),
        (indexed(), b"\1", b"\0\x0a\0\x14\0\x1e"),
        (indexed(), b"\x09", None),
        (Image.new("RGB", (8, 8)), b"\1", None),
    ],
)
def test_background_of_a_png(image, before, after, tmp_path):
    source = save_png(tmp_path / "in.png", image, (b"bKGD", before))
    assert read_chunks(round_trip(source)).get(b"bKGD") == after


@pytest.mark.parametrize(
    ("image", "before", "after"),
    [
        (Image.new("RGB", (8, 8)), b"\5\6\5", b"\5\6\5"),
        (Image.new("LA", (8, 8)), b"\5\1", b"\5\1"),
        (indexed(), b"\5\6\5", b"\5\6\5"),
        (indexed(transparent=True), b"\5\6\5", b"\5\6\5\x08"),
        (Image.new("RGB", (8, 8)), b"\5", None),
    ],
)
def test_significant_bits_of_a_png(image, before, after, tmp_path):
    source = save_png(tmp_path / "in.png", image, (b"sBIT", before))
    assert read_chunks(round_trip(source)).get(b"sBIT") == after


def test_background_of_a_sixteen_bit_png(tmp_path):
    source = save_png(tmp_path / "in.png", Image.new("I;16", (8, 8), 5), (b"bKGD", b"\x12\x34"))
    assert read_chunks(round_trip(source))[b"bKGD"] == b"\x12\x34"


@pytest.mark.parametrize("name", [b"mDCV", b"cLLI", b"prIv"])
def test_chunk_that_is_safe_to_copy_is_kept(name, tmp_path):
    source = save_png(tmp_path / "in.png", Image.new("RGB", (8, 8)), (name, bytes(24)))
    assert read_chunks(round_trip(source))[name] == bytes(24)


def test_chunk_with_a_damaged_name_is_dropped(tmp_path):
    source = save_png(tmp_path / "in.png", Image.new("RGB", (8, 8)), (b"be:n", bytes(24)))
    pixels = source.read_bytes()
    at = pixels.index(b"be:n") - 4  # Pillow stops reading there, so that it must be behind pixels
    chunk = pixels[at : at + 36]
    source.write_bytes(pixels.replace(chunk, b"")[:-12] + chunk + pixels[-12:])
    assert b"be:n" not in round_trip(source).read_bytes()


def test_animated_png_keeps_its_background(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    options = {"save_all": True, "append_images": frames[1:]}
    source = save_png(tmp_path / "in.png", frames[0], (b"bKGD", b"\0\1\0\2\0\3"), **options)
    assert read_chunks(round_trip(source))[b"bKGD"] == b"\0\1\0\2\0\3"


@pytest.mark.parametrize(
    ("name", "message"), [(b"prIV", "its PNG chunk prIV"), (b"caBX", "its content credentials")]
)
def test_chunk_about_the_old_pixels_is_dropped(name, message, tmp_path):
    source = save_png(tmp_path / "in.png", Image.new("RGB", (8, 8)), (name, bytes(24)))
    assert pictures.read(source).omissions[0].startswith(message)
    assert name not in round_trip(source).read_bytes()


@pytest.mark.parametrize("name", [b"iDOT", b"hIST"])
def test_chunk_about_the_storage_is_not_reported(name, tmp_path):
    source = save_png(tmp_path / "in.png", Image.new("RGB", (8, 8)), (name, bytes(24)))
    assert pictures.read(source).omissions == ()


@pytest.mark.parametrize(
    ("name", "data", "dropped"),
    [
        (b"bKGD", b"\0\1\0\2\0\3", "background colour"),
        (b"sBIT", b"\5\6\5", "significant bits"),
        (b"prIv", b"data", "further PNG chunks"),
    ],
)
def test_png_chunks_dropped_by_other_formats_are_reported(name, data, dropped, tmp_path):
    source = save_png(tmp_path / "in.png", Image.new("RGB", (8, 8)), (name, data))
    rainy = pictures.read(source)
    assert pictures.omissions_when_writing(rainy, Path("a.tif")) == (
        f"dropped, because a .tif cannot store it: {dropped}",
    )


def save_jpeg(path: Path, *segments: tuple[int, bytes]) -> Path:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    added = b"".join(
        b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body
        for marker, body in segments
    )
    path.write_bytes(file.getvalue()[:20] + added + file.getvalue()[20:])
    return path


@pytest.mark.parametrize(
    ("marker", "body", "description"),
    [
        (0xE1, b"FLIR\0\1\0\0" + bytes(50), "its thermal picture (FLIR)"),
        (0xE6, b"GoPro\0DEVC" + bytes(20), "its telemetry of a GoPro"),
        (0xE2, b"FPXR\0" + bytes(20), "its FlashPix data"),
        (0xE2, b"urn:iso:std:iso:ts:21496:-1\0", "its HDR gain map"),
        (0xEB, b"JP\0\1" + bytes(20) + b"jumdc2pa", "its content credentials (C2PA)"),
        (0xE3, b"Meta\0\0" + bytes(20), "its segment APP3 (Meta)"),
        (0xE9, bytes(20), "its segment APP9"),
    ],
)
def test_dropped_segment_is_reported(marker, body, description, tmp_path):
    rainy = pictures.read(save_jpeg(tmp_path / "in.jpg", (marker, body), (marker, body)))
    assert rainy.omissions == (f"{description} is dropped: only the picture is kept",)


@pytest.mark.parametrize(
    ("marker", "body"),
    [(0xE0, b"JFXX\0" + bytes(20)), (0xEC, b"Ducky\0\1"), (0xEE, b"Adobe\0\x64\0\0\0\0\1")],
)
def test_segment_of_the_coding_is_not_reported(marker, body, tmp_path):
    assert pictures.read(save_jpeg(tmp_path / "in.jpg", (marker, body))).omissions == ()


@pytest.mark.parametrize(
    ("name", "description"),
    [(b"C2PA", "its content credentials (C2PA)"), (b"odd ", "its WebP chunk odd")],
)
def test_dropped_webp_chunk_is_reported(name, description, tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "WEBP", exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0")
    data = file.getvalue() + name + struct.pack("<I", 3) + b"abc\0"
    data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    (tmp_path / "in.webp").write_bytes(data)
    assert pictures.read(tmp_path / "in.webp").omissions == (
        f"{description} is dropped: only the picture is kept",
    )


def save_gif(path: Path, packet: bytes, *, frames: int = 1, at_end: bool = False) -> Path:
    file = io.BytesIO()
    images = [Image.linear_gradient("L").resize((16, 16)).rotate(90 * turn) for turn in range(4)]
    images[0].save(file, "GIF", save_all=True, append_images=images[1:frames])
    data = file.getvalue()
    at = len(data) - 1 if at_end else 13 + 3 * 2 ** ((data[10] & 7) + 1)
    path.write_bytes(data[:at] + b"\x21\xff\x0b" + XMP_NAME + packet + data[at:])
    return path


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("at_end", [False, True])
def test_gif_keeps_its_xmp(at_end, frames, tmp_path):
    packet = XMP + MAGIC_TRAILER
    source = save_gif(tmp_path / "in.gif", packet, frames=frames, at_end=at_end)
    out = round_trip(source)
    assert packet in out.read_bytes()
    with Image.open(out) as after:
        assert after.n_frames == frames


def test_gif_with_xmp_in_ordinary_blocks(tmp_path):
    source = save_gif(tmp_path / "in.gif", bytes([len(XMP)]) + XMP + b"\0")
    with source.open("rb") as file:
        assert read_gif_xmp(file) == XMP


def test_truncated_gif_has_no_xmp():
    assert read_gif_xmp(io.BytesIO(b"GIF89a")) is None


def test_xmp_of_a_gif_becomes_that_of_a_jpeg(tmp_path):
    source = save_gif(tmp_path / "in.gif", XMP + MAGIC_TRAILER)
    assert XMP in round_trip(source, ".jpg").read_bytes()


@pytest.mark.parametrize("key", ["exif", "xmp"])
def test_metadata_too_long_for_a_jpeg_is_dropped(key, tmp_path):
    metadata = pictures.Metadata(**{key: b"II*\0\x08\0\0\0\0\0\0\0\0\0".ljust(70_000, b"\0")})
    picture = pictures.Picture(np.zeros((8, 8, 3), np.uint8), metadata=metadata)
    assert pictures.omissions_when_writing(picture, Path("a.jpg")) == (
        f"dropped, because it is too long for a JPEG: {key.upper()}",
    )
    pictures.write(picture, tmp_path / "out.jpg")
    assert (tmp_path / "out.jpg").stat().st_size < 10_000
