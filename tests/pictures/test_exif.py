"""EXIF is copied byte for byte: texts in any encoding, maker notes at their position, captions."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.reference_readers import read_block, read_exif_tag
from helpers.round_trip import round_trip
from helpers.tiffs import grey_tags, make_tiff
from PIL import Image

from derain import pictures
from derain.pictures import Metadata, Picture
from derain.pictures.exif import MOVED_NOTE, without_orientation
from derain.pictures.orientation import upright_exif

ARTIST = 315
NAME = "© José Müller".encode()
CAPTION = b"\x1c\x02\x78\0\x0fRain at market."
NOTE = b"a maker note " * 20


def short(value: int, order: str = "<") -> tuple[int, bytes]:
    return 3, struct.pack(order + "H", value)


def with_note(order: str = "<", *, gap: int = 100) -> bytes:
    """Return EXIF with an orientation, a name and a maker note after `gap` bytes."""
    camera_at = 200
    exif = make_tiff(
        {
            274: short(6, order),
            ARTIST: (2, NAME + b"\0"),
            34665: (4, struct.pack(order + "I", camera_at)),
        },
        order=order,
    ).ljust(camera_at, b"\0")
    note_at = camera_at + 18 + gap
    note = struct.pack(order + "HHHII", 1, 37500, 7, len(NOTE), note_at) + bytes(4)
    return (exif + note).ljust(note_at, b"\0") + NOTE


def save(path: Path, exif: bytes) -> Path:
    prefix = b"Exif\0\0" if path.suffix == ".jpg" else b""
    Image.new("RGB", (32, 24), "teal").save(path, exif=prefix + exif)
    return path


def save_tiff(path: Path, tags: dict[int, tuple[int, bytes]], *, order: str = "<") -> Path:
    path.write_bytes(make_tiff({**grey_tags(8, 8, order=order), **tags}, bytes(64), order=order))
    return path


@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".png", ".webp", ".avif"])
def test_name_of_a_tiff_keeps_its_bytes(suffix, tmp_path):
    source = save_tiff(tmp_path / "in.tif", {ARTIST: (2, NAME + b"\0")})
    exif = read_block(round_trip(source, suffix), "exif")
    assert read_exif_tag(exif, ARTIST) == NAME


@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".png", ".webp", ".avif", ".heic"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_name_of_a_jpeg_keeps_its_bytes(order, suffix, tmp_path):
    exif = read_block(round_trip(save(tmp_path / "in.jpg", with_note(order)), suffix), "exif")
    assert read_exif_tag(exif, ARTIST) == NAME


@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".avif", ".heic"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_maker_note_keeps_its_position(order, suffix, tmp_path):
    exif = with_note(order)
    written = read_block(round_trip(save(tmp_path / "in.jpg", exif), suffix), "exif")
    assert written.index(NOTE) == exif.index(NOTE)


@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_maker_note_of_a_tiff_keeps_its_position(suffix, tmp_path):
    source = round_trip(save(tmp_path / "in.jpg", with_note(gap=1000)), ".tif")
    source = source.rename(tmp_path / "in.tif")
    exif = read_block(round_trip(source, suffix), "exif")
    assert exif.index(NOTE) == with_note(gap=1000).index(NOTE)


def test_maker_note_far_from_the_start_is_reported(tmp_path):
    exif = with_note(gap=70_000)
    tags = grey_tags(8, 8)
    data = bytearray(make_tiff({**tags, 34665: (4, struct.pack("<I", 200))}, bytes(64)))
    (tmp_path / "in.tif").write_bytes(data.ljust(200, b"\0") + exif[200:])
    assert "maker note" in pictures.read(tmp_path / "in.tif").omissions[0]


def test_maker_note_of_an_avif_with_orientation_keeps_its_position(tmp_path):
    """The source has its orientation in a box, and again in its EXIF."""
    source = save(tmp_path / "in.avif", without_orientation(with_note()))
    data = source.read_bytes()
    plain, turned = without_orientation(with_note()), with_note()
    source.write_bytes(data.replace(plain, turned))
    rainy = pictures.read(source)
    assert rainy.metadata.exif.index(NOTE) == with_note().index(NOTE)


@pytest.mark.parametrize("order", ["<", ">"])
def test_removed_orientation_moves_nothing_else(order):
    exif = without_orientation(with_note(order))
    assert read_exif_tag(exif, 274) is None
    assert read_exif_tag(exif, ARTIST) == NAME
    assert exif.index(NOTE) == with_note(order).index(NOTE)


@pytest.mark.parametrize("noise", [b"", b"II*\0", b"II*\0\xff\0\0\0", b"II*\0\x08\0\0\0\xff\xff"])
def test_orientation_of_damaged_exif(noise):
    assert without_orientation(noise) == noise


def with_subject(orientation: int, subject: tuple[int, ...]) -> bytes:
    """Return EXIF with a subject in its camera directory, and its value at byte 100."""
    exif = make_tiff({274: short(orientation), 34665: (4, struct.pack("<I", 60))}).ljust(60, b"\0")
    value = struct.pack(f"<{len(subject)}H", *subject)
    field, elsewhere = (value, b"") if len(value) == 4 else (struct.pack("<I", 100), value)
    entry = struct.pack("<HHHI", 1, 0x9214, 3, len(subject)) + field + bytes(4)
    return (exif + entry).ljust(100, b"\0") + elsewhere


@pytest.mark.parametrize(
    ("orientation", "subject", "turned"),
    [
        (1, (5, 2), (5, 2)),
        (3, (5, 2), (26, 21)),
        (6, (5, 2), (21, 5)),
        (8, (5, 2), (2, 26)),
        (6, (5, 2, 4), (21, 5, 4)),
        (6, (5, 2, 4, 3), (21, 5, 3, 4)),
        (6, (5, 99), (5, 99)),
    ],
)
def test_subject_turns_with_the_picture(orientation, subject, turned, tmp_path):
    source = save(tmp_path / "in.jpg", with_subject(orientation, subject))
    exif = pictures.read(source).metadata.exif
    assert exif == with_subject(1, turned)


def test_orientation_is_reset_in_damaged_exif(tmp_path):
    exif = bytearray(with_subject(6, (5, 2)))
    struct.pack_into("<I", exif, exif.index(struct.pack("<HHI", 34665, 4, 1)) + 8, 60_000)
    rainy = pictures.read(save(tmp_path / "in.jpg", bytes(exif)))
    assert rainy.pixels.shape == (32, 24, 3)
    assert read_exif_tag(rainy.metadata.exif, 274) == 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [1, 4, 7])
def test_captions_of_a_tiff_keep_their_type(kind, order, tmp_path):
    source = save_tiff(tmp_path / "in.tif", {33723: (kind, CAPTION)}, order=order)
    with tifffile.TiffFile(round_trip(source)) as file:
        tag = file.pages[0].tags[33723]
        assert tag.dtype == kind
    assert CAPTION in (tmp_path / "out.tif").read_bytes()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
def test_pixels_have_the_byte_order_of_the_exif(bits, order, rng, tmp_path):
    samples = rng.integers(0, 2**bits, (300, 20, 3)).astype(f"u{bits // 8}")
    metadata = pictures.Metadata(exif=with_note(order))
    pictures.write(pictures.Picture(samples, metadata=metadata), tmp_path / "out.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), samples)


def test_later_pages_have_their_own_exif(tmp_path):
    pages = [
        pictures.Picture(
            np.full((8, 8, 3), 90, np.uint8),
            format="TIFF",
            metadata=pictures.Metadata(
                exif=make_tiff({ARTIST: (2, name + b"\0"), 18246: short(5, order)}, order=order)
            ),
        )
        for name, order in ((b"the first", "<"), (b"the second", ">"))
    ]
    pictures.write_frames(pages, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        names = [page.tags[ARTIST].value for page in file.pages]
        ratings = [page.tags[18246].value for page in file.pages]
    assert names == ["the first", "the second"]
    assert ratings == [5, 5]


def test_exif_of_a_bigtiff_is_kept(tmp_path):
    tifffile.imwrite(
        tmp_path / "in.tif", np.zeros((8, 8), np.uint8), bigtiff=True, software="a camera"
    )
    with tifffile.TiffFile(round_trip(tmp_path / "in.tif")) as file:
        assert file.pages[0].tags[305].value == "a camera"


def test_values_beyond_the_end_of_the_file_are_dropped(tmp_path):
    exif = bytearray(make_tiff({ARTIST: (2, NAME + b"\0"), 271: (2, b"Maker of cameras\0")}))
    struct.pack_into("<I", exif, exif.index(struct.pack("<HH", ARTIST, 2)) + 8, 10**6)
    picture = pictures.Picture(
        np.zeros((8, 8, 3), np.uint8), metadata=pictures.Metadata(exif=bytes(exif))
    )
    pictures.write(picture, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert ARTIST not in file.pages[0].tags
        assert file.pages[0].tags[271].value == "Maker of cameras"


def test_sides_beyond_the_end_are_unchanged():
    """The second of the swapped entries is truncated."""
    sides = {40962: short(40), 40963: short(30)}
    exif = make_tiff({34665: (4, struct.pack("<I", 26))}) + make_tiff(sides)[8:-8]
    assert len(upright_exif(exif, 6)) == len(exif)


def test_moved_note_of_a_later_page_is_reported():
    picture = Picture(np.zeros((8, 8, 3), np.uint8), metadata=Metadata(exif=with_note()))
    first, later = (
        pictures.omissions_when_writing(picture, Path("out.tif"), is_first=is_first)
        for is_first in (True, False)
    )
    assert first == ()
    assert later == (MOVED_NOTE,)


def test_page_name_keeps_its_bytes(tmp_path):
    source = save_tiff(tmp_path / "in.tif", {285: (2, NAME + b"\0")})
    assert NAME in round_trip(source).read_bytes()
