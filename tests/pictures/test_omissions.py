"""Dropped parts are reported, and the result does not refer to them."""

from __future__ import annotations

import struct
import xml.dom.minidom
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers.round_trip import round_trip
from PIL import Image

from derain import pictures
from derain.pictures.picture import Metadata
from derain.pictures.xmp import referenced_parts, remove_references

MOTION = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 <rdf:Description xmlns:Cam="http://ns.google.com/photos/1.0/camera/"
 xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmlns:dc="d"
 Cam:MotionPhoto="1" Cam:MotionPhotoPresentationTimestampUs='500000' dc:title="a rain"
 xmpNote:HasExtendedXMP="0123456789ABCDEF0123456789ABCDEF"/></rdf:RDF></x:xmpmeta>"""
GAIN_MAP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 <rdf:Description xmlns:Container="http://ns.google.com/photos/1.0/container/"
 xmlns:Item="http://ns.google.com/photos/1.0/container/item/"
 xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"
 xmlns:Cam="http://ns.google.com/photos/1.0/camera/" xmlns:dc="d"
 hdrgm:Version="1.0"><Cam:MotionPhoto>0</Cam:MotionPhoto><Container:Directory><rdf:Seq>
 <rdf:li rdf:parseType="Resource">
 <Container:Item Item:Semantic="Primary" Item:Mime="image/jpeg"/></rdf:li>
 <rdf:li rdf:parseType="Resource">
 <Container:Item Item:Semantic="GainMap" Item:Length="1234"/></rdf:li>
 </rdf:Seq></Container:Directory><dc:title>a rain</dc:title>
 </rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(
        np.arange(48 * 64 * 3, dtype=np.uint16).reshape(48, 64, 3).astype(np.uint8)
    )


def resource(number: int) -> bytes:
    """Return a Photoshop resource without a name and with two bytes of data."""
    return b"8BIM" + struct.pack(">HHI", number, 0, 2) + b"ab"


def read_omissions(path: Path) -> tuple[str, ...]:
    return next(pictures.read_frames(path)).omissions


def test_other_pictures_of_an_mpo(photo, tmp_path):
    photo.save(tmp_path / "in.mpo", save_all=True, append_images=[photo.resize((32, 24))])
    assert read_omissions(tmp_path / "in.mpo") == (
        "contains 2 pictures; only the first one is restored and kept",
    )


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_video_of_a_motion_photo(suffix, photo, tmp_path):
    photo.save(tmp_path / f"in{suffix}", xmp=MOTION)
    assert pictures.read(tmp_path / f"in{suffix}").omissions == (
        "the video of its motion photo is dropped: only the picture is kept",
        "its extended XMP is dropped: only the picture is kept",
    )


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_result_does_not_refer_to_the_video(suffix, photo, tmp_path):
    photo.save(tmp_path / f"in{suffix}", xmp=MOTION)
    result = pictures.read(round_trip(tmp_path / f"in{suffix}"))
    assert b"Photo=" not in result.metadata.xmp
    assert b"a rain" in result.metadata.xmp
    assert result.omissions == ()


def test_gain_map(photo, tmp_path):
    photo.save(tmp_path / "in.jpg", xmp=GAIN_MAP)
    rainy = pictures.read(tmp_path / "in.jpg")
    assert rainy.omissions == ("its HDR gain map is dropped: only the picture is kept",)
    for reference in (b"hdrgm:Version", b"GainMap", b":MotionPhoto"):
        assert reference not in rainy.metadata.xmp


@pytest.mark.parametrize("xmp", [MOTION, GAIN_MAP])
def test_xmp_without_references_is_valid(xmp):
    shorter = remove_references(xmp)
    assert "a rain" in xml.dom.minidom.parseString(shorter).toxml()
    assert list(referenced_parts(shorter)) == []


def test_xmp_of_other_namespaces_is_unchanged():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a b:MotionPhoto="1" xmlns:b="mine"/></x:xmpmeta>'
    assert remove_references(xmp) == xmp
    assert list(referenced_parts(xmp)) == []


def test_sixteen_bits_of_an_animated_png(rng, tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "in.png"), "w", format="apng") as container:
        stream = container.add_stream("apng", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb48be"
        for index in range(2):
            samples = rng.integers(0, 65536, (48, 64, 3)).astype(np.uint16)
            frame = av.VideoFrame.from_ndarray(samples, format="rgb48le").reformat(format="rgb48be")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    omission = read_omissions(tmp_path / "in.png")[0]
    assert omission.startswith("its 16 bits per sample are written as 8")


@pytest.mark.parametrize(
    ("kind", "description"),
    [
        (b"urn:mpeg:hevc:2015:auxid:2", "its depth map"),
        (b"urn:maker:hdrgainmap:0000:", "its HDR gain map"),
        (b"urn:maker:skinmatte:00000:", "its auxiliary picture urn:maker:skinmatte:00000:"),
    ],
)
def test_auxiliary_pictures_of_a_heic(kind, description, photo, tmp_path):
    """The alpha of a HEIC is renamed to another auxiliary picture."""
    pytest.importorskip("pillow_heif").register_heif_opener()
    photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    photo.save(tmp_path / "in.heic", "HEIF")
    assert read_omissions(tmp_path / "in.heic") == ()
    data = (tmp_path / "in.heic").read_bytes()
    alpha = next(
        name
        for name in (b"urn:mpeg:hevc:2015:auxid:1", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha")
        if name in data
    )
    (tmp_path / "in.heic").write_bytes(
        data.replace(alpha, kind.ljust(len(alpha), b"0")[: len(alpha)])
    )
    assert read_omissions(tmp_path / "in.heic")[0].startswith(description)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_rounding_to_eight_bits(suffix):
    deep = pictures.Picture(np.zeros((4, 4, 3), np.uint16))
    expected = (f"its 16 bits per sample are written as 8 in a {suffix}",)
    assert pictures.omissions_when_writing(deep, Path(f"a{suffix}")) == expected


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        (".png", np.uint16),
        (".tif", np.uint16),
        (".jpg", np.uint8),
        (".webp", np.uint8),
        (".png", np.uint8),
        (".tif", np.uint8),
    ],
)
def test_kept_bits_are_not_reported(suffix, dtype):
    picture = pictures.Picture(np.zeros((4, 4, 3), dtype))
    assert pictures.omissions_when_writing(picture, Path(f"a{suffix}")) == ()


@pytest.mark.parametrize(
    ("suffix", "dropped"),
    [
        (".webp", "captions (IPTC), comments"),
        (".bmp", "EXIF, XMP, colour profile, captions (IPTC), comments"),
        (".gif", "EXIF, colour profile, captions (IPTC)"),
        (".tif", "comments"),
        (".png", "captions (IPTC), comments"),
    ],
)
def test_unsupported_metadata(suffix, dropped):
    metadata = Metadata(
        exif=b"e", xmp=b"x", icc=b"i", photoshop=resource(1028), comments=(b"c",), dpi=(72, 72)
    )
    jpeg = pictures.Picture(np.zeros((4, 4, 3), np.uint8), format="JPEG", metadata=metadata)
    assert pictures.omissions_when_writing(jpeg, Path(f"a{suffix}")) == (
        f"dropped, because a {suffix} cannot store it: {dropped}",
    )
    assert pictures.omissions_when_writing(jpeg, Path("a.jpeg")) == ()


def test_photoshop_settings_are_not_captions():
    metadata = Metadata(photoshop=resource(1005))
    jpeg = pictures.Picture(np.zeros((4, 4, 3), np.uint8), format="JPEG", metadata=metadata)
    assert pictures.omissions_when_writing(jpeg, Path("a.png")) == ()


@pytest.mark.parametrize(
    ("chunks", "dropped"),
    [
        ({b"tEXt": b"1"}, "texts"),
        ({b"gAMA": (45455).to_bytes(4, "big")}, None),
        ({b"gAMA": (100_000).to_bytes(4, "big")}, "gamma"),
        ({b"gAMA": (100_000).to_bytes(4, "big"), b"sRGB": b"\0"}, None),
        ({b"tIME": b"1"}, None),
    ],
)
def test_png_texts_and_gamma(chunks, dropped):
    png = pictures.Picture(
        np.zeros((4, 4, 3), np.uint8), metadata=Metadata(png_chunks=tuple(chunks.items()))
    )
    assert pictures.omissions_when_writing(png, Path("a.jpg")) == (
        () if dropped is None else (f"dropped, because a .jpg cannot store it: {dropped}",)
    )


def test_webp_drops_a_grey_profile(tmp_path):
    profile = bytes(16) + b"GRAY" + bytes(200)
    grey = pictures.Picture(
        np.zeros((4, 4, 3), np.uint8), grey=True, format="JPEG", metadata=Metadata(icc=profile)
    )
    pictures.write(grey, tmp_path / "a.webp")
    assert "icc_profile" not in Image.open(tmp_path / "a.webp").info
    assert pictures.omissions_when_writing(grey, Path("a.webp")) == (
        "dropped, because a .webp cannot store it: colour profile",
    )
    assert pictures.omissions_when_writing(grey, Path("a.png")) == ()


def test_xmp_thumbnails_are_dropped():
    xmp = (
        b'<r:D xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        b'xmlns:g="http://ns.adobe.com/xap/1.0/g/img/" xmp:Rating="5">'
        b"<xmp:Thumbnails><r:Alt><r:li><g:image>RAINY</g:image></r:li></r:Alt></xmp:Thumbnails></r:D>"
    )
    assert remove_references(xmp) == xmp[: xmp.index(b"<xmp:Thumbnails>")] + b"</r:D>"
    assert list(referenced_parts(xmp)) == []


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_transparent_grey_of_a_png_with_few_bits(bits, tmp_path):
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    row = bytes(
        [0, *np.packbits(np.unpackbits(np.array([[1], [0]], np.uint8), axis=1)[:, -bits:].ravel())]
    )
    head = struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0)
    parts = (
        chunk(b"IHDR", head)
        + chunk(b"tRNS", struct.pack(">H", 1))
        + chunk(b"IDAT", zlib.compress(row))
        + chunk(b"IEND", b"")
    )
    (tmp_path / "in.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    assert pictures.read(tmp_path / "in.png").alpha.tolist() == [[0, 255]]
