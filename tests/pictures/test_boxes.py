"""Boxes of an AVIF: those of the main picture count, in any order, and its crop is applied."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from helpers.round_trip import round_trip
from PIL import Image

from derain import pictures
from derain.pictures.boxes import read_meta
from derain.pictures.heif import read_avif_boxes
from derain.pictures.heif_parts import CREDENTIALS_ID
from derain.pictures.metadata import upright_regions

WIDTH, HEIGHT = 96, 64


@pytest.fixture
def samples() -> np.ndarray:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.dstack([x * 2, y * 3, 255 - x * 2, np.full_like(x, 200)]).astype(np.uint8)


def encode_avif(samples: np.ndarray, *, frames: int = 1, **options: object) -> bytearray:
    file = io.BytesIO()
    image = Image.fromarray(samples)
    image.save(file, "AVIF", save_all=True, append_images=[image] * (frames - 1), **options)
    return bytearray(file.getvalue())


def find_box(data: bytes, name: bytes, start: int = 0) -> tuple[int, int]:
    """Return position and size of the first box of a name."""
    position = data.index(name, start) - 4
    return position, struct.unpack_from(">I", data, position)[0]


def insert(data: bytearray, position: int, added: bytes, parents: list[bytes]) -> None:
    """Insert bytes before the only item, and update the sizes of the boxes around them."""
    old = struct.pack(">I", data.index(b"mdat") + 4)
    for name in parents:
        start, size = find_box(data, name)
        struct.pack_into(">I", data, start, size + len(added))
    data[position:position] = added
    start, _ = find_box(data, b"iloc")
    struct.pack_into(">I", data, data.index(old, start), data.index(b"mdat") + 4)


def with_property(data: bytearray, box: bytes) -> bytearray:
    """Return an AVIF without alpha whose main picture has another property."""
    start, size = find_box(data, b"ipco")
    properties = data[start + 8 : start + size]
    count = at = 0
    while at < len(properties):
        at += struct.unpack_from(">I", properties, at)[0]
        count += 1
    association, association_bytes = find_box(data, b"ipma")
    assert data[association + 12 : association + 18] == b"\0\0\0\1\0\1"
    data[association + 18] += 1
    end = association + association_bytes
    insert(data, end, bytes([0x80 | count + 1]), [b"ipma", b"iprp", b"meta"])
    insert(data, start + size, box, [b"ipco", b"iprp", b"meta"])
    return data


def clean_aperture(width: int, height: int, right: int, down: int) -> bytes:
    return struct.pack(">I4s4i4i", 40, b"clap", width, 1, height, 1, right, 1, down, 1)


def save_cropped(path: Path, samples: np.ndarray, crop: tuple[int, int, int, int]) -> Path:
    data = encode_avif(samples[..., :3], quality=95, subsampling="4:4:4")
    path.write_bytes(with_property(data, clean_aperture(*crop)))
    return path


def swap_alpha_first(data: bytearray) -> bytearray:
    """Return an AVIF whose alpha is described before its colours, as MP4Box writes it."""
    start, size = find_box(data, b"ipco")
    boxes, at = [], start + 8
    while at < start + size:
        length = struct.unpack_from(">I", data, at)[0]
        boxes.append(bytes(data[at : at + length]))
        at += length
    colour, alpha = (index for index, box in enumerate(boxes) if box[4:8] == b"av1C")
    boxes[colour], boxes[alpha] = boxes[alpha], boxes[colour]
    data[start + 8 : start + size] = b"".join(boxes)
    numbers = {colour + 1: alpha + 1, alpha + 1: colour + 1}
    at = find_box(data, b"ipma")[0] + 12
    (items,) = struct.unpack_from(">I", data, at)
    at += 4
    for _ in range(items):
        for index in range(at + 3, at + 3 + data[at + 2]):
            number = data[index] & 0x7F
            data[index] = data[index] & 0x80 | numbers.get(number, number)
        at += 3 + data[at + 2]
    return data


def test_alpha_before_colours(samples, tmp_path):
    data = swap_alpha_first(encode_avif(samples, subsampling="4:2:0"))
    assert read_avif_boxes(io.BytesIO(data)).chroma == "4:2:0"


def test_colours_survive_alpha_before_them(samples, tmp_path):
    source = tmp_path / "in.avif"
    source.write_bytes(swap_alpha_first(encode_avif(samples, quality=95, subsampling="4:2:0")))
    with Image.open(round_trip(source)) as after:
        assert np.abs(np.asarray(after).astype(int) - samples).mean() < 4


@pytest.mark.parametrize(
    ("crop", "rows", "columns"),
    [
        ((48, 64, -24, 0), slice(None), slice(0, 48)),
        ((48, 32, 24, -16), slice(0, 32), slice(48, 96)),
        ((96, 64, 0, 0), slice(None), slice(None)),
    ],
)
def test_crop_is_applied(crop, rows, columns, samples, tmp_path):
    rainy = pictures.read(save_cropped(tmp_path / "in.avif", samples, crop))
    expected = samples[rows, columns, :3].astype(int)
    assert rainy.pixels.shape == expected.shape
    assert np.abs(rainy.pixels.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("crop", [(48, 64, 60, 0), (0, 64, 0, 0), (200, 64, 0, 0)])
def test_crop_outside_of_the_picture_is_ignored(crop, samples, tmp_path):
    rainy = pictures.read(save_cropped(tmp_path / "in.avif", samples, crop))
    assert rainy.pixels.shape == (HEIGHT, WIDTH, 3)


def test_crop_precedes_the_rotation(samples, tmp_path):
    data = with_property(encode_avif(samples[..., :3], quality=95), clean_aperture(48, 64, -24, 0))
    rotation = struct.pack(">I4sB", 9, b"irot", 1)  # a quarter turn anticlockwise
    (tmp_path / "in.avif").write_bytes(with_property(data, rotation))
    rainy = pictures.read(tmp_path / "in.avif")
    expected = np.rot90(samples[:, :48, :3]).astype(int)
    assert rainy.pixels.shape == expected.shape
    assert np.abs(rainy.pixels.astype(int) - expected).mean() < 6


def test_result_of_a_cropped_avif_has_no_crop(samples, tmp_path):
    out = round_trip(save_cropped(tmp_path / "in.avif", samples, (48, 64, -24, 0)))
    assert b"clap" not in out.read_bytes()
    assert Image.open(out).size == (48, 64)


def test_heic_crop_is_applied(samples, tmp_path):
    pytest.importorskip("pillow_heif").register_heif_opener()
    file = io.BytesIO()
    Image.fromarray(samples[..., :3]).save(file, "HEIF", quality=95)
    data = with_property(bytearray(file.getvalue()), clean_aperture(48, 64, -24, 0))
    (tmp_path / "in.heic").write_bytes(data)
    assert pictures.read(tmp_path / "in.heic").pixels.shape == (64, 48, 3)


FACE = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a xmlns:A="http://ns.adobe.com/xmp/sType/Area#" '
    b'xmlns:R="http://www.metadataworkinggroup.com/schemas/regions/" '
    b'xmlns:D="http://ns.adobe.com/xap/1.0/sType/Dimensions#">'
    b'<R:AppliedToDimensions D:w="96" D:h="64"/><R:Area A:x="0.25" A:y="0.25" A:w="0.1" A:h="0.1"/>'
    b"</a></x:xmpmeta>"
)


def test_face_of_a_cropped_avif_is_shifted(samples, tmp_path):
    path = save_cropped(tmp_path / "in.avif", samples, (48, 64, -24, 0))
    with path.open("rb") as file, Image.open(file) as image:
        xmp = upright_regions(FACE, image, file, orientation=1)
    assert b'<R:Area A:x="0.5" A:y="0.25" A:w="0.2" A:h="0.1"/>' in xmp


@pytest.mark.parametrize(
    ("angle", "place"), [(1, 'x="0.25" A:y="0.75"'), (2, 'x="0.75" A:y="0.75"')]
)
def test_face_of_a_rotated_heic_is_turned(angle, place, samples):
    pytest.importorskip("pillow_heif").register_heif_opener()
    file = io.BytesIO()
    Image.fromarray(samples[..., :3]).save(file, "HEIF")
    rotation = struct.pack(">I4sB", 9, b"irot", angle)  # quarter turns anticlockwise
    file = io.BytesIO(with_property(bytearray(file.getvalue()), rotation))
    with Image.open(file) as image:
        xmp = upright_regions(FACE, image, file, orientation=1)
    assert f"<R:Area A:{place}".encode() in xmp


@pytest.mark.parametrize(
    ("box", "description"),
    [
        (b"uuid" + CREDENTIALS_ID, "its content credentials (C2PA)"),
        (b"mpvd" + bytes(20), "the video of its motion photo"),
        (b"abcd", "its box abcd"),
    ],
)
@pytest.mark.parametrize("suffix", [".avif", ".heic"])
def test_further_boxes_are_reported(suffix, box, description, samples, tmp_path):
    pytest.importorskip("pillow_heif").register_heif_opener()
    path = tmp_path / f"in{suffix}"
    Image.fromarray(samples[..., :3]).save(path)
    assert pictures.read(path).omissions == ()
    with path.open("ab") as file:
        file.write(struct.pack(">I", 4 + len(box)) + box)
    expected = f"{description} is dropped: only the picture is kept"
    assert pictures.read(path).omissions == (expected,)


def test_animation_is_described_by_its_track(samples):
    data = encode_avif(samples[..., :3], frames=2, subsampling="4:2:2")
    boxes = read_avif_boxes(
        io.BytesIO(data[: data.index(b"meta") - 4] + data[data.index(b"moov") - 4 :])
    )
    assert boxes.chroma == "4:2:2"
    assert boxes.size == (WIDTH, HEIGHT)


def test_grid_has_the_properties_of_its_parts(samples):
    meta = read_meta(io.BytesIO(encode_avif(samples[..., :3])))
    part = meta.item(meta.primary)
    meta.primary, meta.item(9).sources = 9, [meta.primary]
    assert meta.primary_properties() == part.properties


def test_item_with_too_many_parts_is_invalid(samples):
    data = encode_avif(samples)
    start, _ = find_box(data, b"iloc")
    data[start + 12 : start + 14] = b"\0\0"  # sizes of zero bytes
    data[start + 20 : start + 30] = b"\xff" * 10
    assert read_meta(io.BytesIO(data)) is None


@pytest.mark.parametrize("seed", range(20))
def test_damaged_boxes_are_ignored(seed, samples):
    rng = np.random.default_rng(seed)
    data = encode_avif(samples)
    for position in rng.integers(8, data.index(b"mdat"), 12):
        data[position] = rng.choice([0, 1, 127, 255])
    read_avif_boxes(io.BytesIO(data))
