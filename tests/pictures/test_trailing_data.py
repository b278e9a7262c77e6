"""Data after the end of a JPEG or PNG is reported, because the result lacks it."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from derain import pictures
from derain.pictures.trailing_data import find_jpeg_end

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(12)


def encode(format_name: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((64, 48), 90).convert("RGB").save(file, format_name, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "part"),
    [(b"SEFT and more", "the data after its end (13 bytes)"), (VIDEO, "the video after its end")],
)
@pytest.mark.parametrize("format_name", ["JPEG", "PNG"])
def test_data_after_the_end_is_reported(format_name, data, part, tmp_path):
    path = tmp_path / "in"
    path.write_bytes(encode(format_name) + data)
    assert pictures.read(path).omissions == (f"{part} is dropped: only the picture is kept",)


@pytest.mark.parametrize("data", [b"", bytes(512), b"\xff\xff\n"])
@pytest.mark.parametrize("format_name", ["JPEG", "PNG"])
def test_padding_is_not_reported(format_name, data, tmp_path):
    path = tmp_path / "in"
    path.write_bytes(encode(format_name) + data)
    assert pictures.read(path).omissions == ()


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 100},
        {"progressive": True},
        {"restart_marker_blocks": 1},
        {"exif": b"Exif\0\0" + b"\xff\xd9" * 20},
    ],
)
def test_end_of_a_jpeg(options):
    jpeg = encode("JPEG", **options)
    assert find_jpeg_end(jpeg + b"\xff\xd9 more") == len(jpeg)


@pytest.mark.parametrize("size", [0, 1, 3, 700])
def test_truncated_jpeg_has_no_further_data(size):
    jpeg = encode("JPEG")[:size]
    assert find_jpeg_end(jpeg) == size
