"""What cannot be kept is told, and the file that is written does not claim that it is there."""

from __future__ import annotations

import struct
import xml.dom.minidom
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derain import pictures
from derain.pictures.picture import Metadata
from derain.pictures.xmp import referenced_parts, remove_references

MOTION = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:Cam="http://ns.google.com/photos/1.0/camera/" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmlns:dc="d"
 Cam:MotionPhoto="1" Cam:MotionPhotoPresentationTimestampUs='500000' dc:title="a rain"
 xmpNote:HasExtendedXMP="0123456789ABCDEF0123456789ABCDEF"/></rdf:RDF></x:xmpmeta>"""
GAIN_MAP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:Container="http://ns.google.com/photos/1.0/container/" xmlns:Item="http://ns.google.com/photos/1.0/container/item/"
 xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:Cam="http://ns.google.com/photos/1.0/camera/" xmlns:dc="d"
 hdrgm:Version="1.0"><Cam:MotionPhoto>0</Cam:MotionPhoto><Container:Directory><rdf:Seq>
 <rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Primary" Item:Mime="image/jpeg"/></rdf:li>
 <rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap" Item:Length="1234"/></rdf:li>
 </rdf:Seq></Container:Directory><dc:title>a rain</dc:title></rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(
        np.arange(48 * 64 * 3, dtype=np.uint16).reshape(48, 64, 3).astype(np.uint8)
    )


def resource(number: int) -> bytes:
    """One of Photoshop's image resources, without a name and with two bytes of data."""
    return b"8BIM" + struct.pack(">HHI", number, 0, 2) + b"ab"


def omissions_of(path: Path) -> tuple[str, ...]:
    return next(pictures.read_frames(path)).omissions


def test_an_mpo_tells_of_its_other_pictures(photo, tmp_path):
    photo.save(tmp_path / "in.mpo", save_all=True, append_images=[photo.resize((32, 24))])
    assert omissions_of(tmp_path / "in.mpo") == (
        "it holds 2 pictures, and the first one alone is restored and kept",
    )


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_a_motion_photo_tells_of_its_film_and_no_longer_claims_it(suffix, photo, tmp_path):
    photo.save(tmp_path / f"in{suffix}", xmp=MOTION)
    rainy = pictures.read(tmp_path / f"in{suffix}")
    assert rainy.omissions == (
        "the film of its motion photo is left out: the result holds one picture",
        "the XMP that lies outside of its first packet is left out: the result holds one picture",
    )
    pictures.write(rainy, tmp_path / f"out{suffix}")
    written = pictures.read(tmp_path / f"out{suffix}")
    assert (
        b"Photo=" in written.metadata.xmp,
        b"a rain" in written.metadata.xmp,
        written.omissions,
    ) == (False, True, ())


def test_a_photo_for_bright_screens_tells_of_its_gain_map_and_no_longer_claims_it(photo, tmp_path):
    photo.save(tmp_path / "in.jpg", xmp=GAIN_MAP)
    rainy = pictures.read(tmp_path / "in.jpg")
    assert rainy.omissions == (
        "its gain map for bright screens is left out: the result holds one picture",
    )
    assert not any(
        word in rainy.metadata.xmp for word in (b"hdrgm:Version", b"GainMap", b":MotionPhoto")
    )


@pytest.mark.parametrize("xmp", [MOTION, GAIN_MAP])
def test_xmp_without_its_claims_is_whole(xmp):
    shorter = remove_references(xmp)
    assert "a rain" in xml.dom.minidom.parseString(shorter).toxml()
    assert list(referenced_parts(shorter)) == []


def test_xmp_without_claims_stays_as_it_is():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a b:MotionPhoto="1" xmlns:b="mine"/></x:xmpmeta>'
    assert (remove_references(xmp), list(referenced_parts(xmp))) == (xmp, [])


def test_a_moving_png_of_sixteen_bits_tells_that_it_will_have_eight(rng, tmp_path):
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
    assert omissions_of(tmp_path / "in.png")[0].startswith(
        "its 16 bits for a sample are written as 8"
    )


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (b"urn:mpeg:hevc:2015:auxid:2", "its depth map"),
        (b"urn:maker:hdrgainmap:0000:", "its gain map for bright screens"),
        (b"urn:maker:skinmatte:00000:", "its auxiliary picture urn:maker:skinmatte:00000:"),
    ],
)
def test_a_heic_tells_of_its_auxiliary_pictures(kind, told, photo, tmp_path):
    """An alpha is one; under another name it is something else."""
    pytest.importorskip("pillow_heif").register_heif_opener()
    photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    photo.save(tmp_path / "in.heic", "HEIF")
    assert omissions_of(tmp_path / "in.heic") == ()
    data = (tmp_path / "in.heic").read_bytes()
    alpha = next(
        name
        for name in (b"urn:mpeg:hevc:2015:auxid:1", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha")
        if name in data
    )
    (tmp_path / "in.heic").write_bytes(
        data.replace(alpha, kind.ljust(len(alpha), b"0")[: len(alpha)])
    )
    assert omissions_of(tmp_path / "in.heic")[0].startswith(told)


@pytest.mark.parametrize(
    ("suffix", "told"), [(".jpg", 8), (".webp", 8), (".png", None), (".tif", None)]
)
def test_sixteen_bits_that_become_eight_are_told_of(suffix, told):
    deep = pictures.Picture(np.zeros((4, 4, 3), np.uint16))
    expected = (
        () if told is None else (f"its 16 bits for a sample are written as {told} in a {suffix}",)
    )
    assert pictures.omissions_when_writing(deep, Path(f"a{suffix}")) == expected
    assert (
        pictures.omissions_when_writing(
            pictures.Picture(np.zeros((4, 4, 3), np.uint8)), Path(f"a{suffix}")
        )
        == ()
    )


@pytest.mark.parametrize(
    ("suffix", "told"),
    [
        (".webp", "captions (IPTC), comments"),
        (".bmp", "EXIF, XMP, the colour profile, captions (IPTC), comments"),
        (".gif", "EXIF, XMP, the colour profile, captions (IPTC)"),
        (".tif", "comments"),
        (".png", "captions (IPTC), comments"),
    ],
)
def test_what_another_kind_of_file_cannot_say_is_told_of(suffix, told):
    said = Metadata(
        exif=b"e", xmp=b"x", icc=b"i", photoshop=resource(1028), comments=(b"c",), dpi=(72, 72)
    )
    jpeg = pictures.Picture(np.zeros((4, 4, 3), np.uint8), format="JPEG", metadata=said)
    assert pictures.omissions_when_writing(jpeg, Path(f"a{suffix}")) == (
        f"what a {suffix} cannot say is left out: {told}",
    )
    assert pictures.omissions_when_writing(jpeg, Path("a.jpeg")) == ()


def test_settings_of_photoshop_are_no_captions():
    said = Metadata(photoshop=resource(1005))
    jpeg = pictures.Picture(np.zeros((4, 4, 3), np.uint8), format="JPEG", metadata=said)
    assert pictures.omissions_when_writing(jpeg, Path("a.png")) == ()


@pytest.mark.parametrize(
    ("chunks", "told"),
    [
        ({b"tEXt": b"1"}, "texts"),
        ({b"gAMA": (45455).to_bytes(4, "big")}, None),
        ({b"gAMA": (100_000).to_bytes(4, "big")}, "the gamma of its colours"),
        ({b"gAMA": (100_000).to_bytes(4, "big"), b"sRGB": b"\0"}, None),
        ({b"tIME": b"1"}, None),
    ],
)
def test_texts_and_a_gamma_of_a_png_are_told_of_and_its_other_chunks_are_not(chunks, told):
    png = pictures.Picture(
        np.zeros((4, 4, 3), np.uint8), metadata=Metadata(png_chunks=tuple(chunks.items()))
    )
    assert pictures.omissions_when_writing(png, Path("a.jpg")) == (
        () if told is None else (f"what a .jpg cannot say is left out: {told}",)
    )


def test_a_profile_of_grey_does_not_go_into_a_webp_which_has_none(tmp_path):
    profile = bytes(16) + b"GRAY" + bytes(200)
    grey = pictures.Picture(
        np.zeros((4, 4, 3), np.uint8), grey=True, format="JPEG", metadata=Metadata(icc=profile)
    )
    pictures.write(grey, tmp_path / "a.webp")
    assert "icc_profile" not in Image.open(tmp_path / "a.webp").info
    assert pictures.omissions_when_writing(grey, Path("a.webp")) == (
        "what a .webp cannot say is left out: the colour profile",
    )
    assert pictures.omissions_when_writing(grey, Path("a.png")) == ()


def test_thumbnails_in_the_xmp_show_the_rain_and_are_left_out():
    xmp = (
        b'<r:D xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:g="http://ns.adobe.com/xap/1.0/g/img/" xmp:Rating="5">'
        b"<xmp:Thumbnails><r:Alt><r:li><g:image>RAINY</g:image></r:li></r:Alt></xmp:Thumbnails></r:D>"
    )
    assert remove_references(xmp) == xmp[: xmp.index(b"<xmp:Thumbnails>")] + b"</r:D>"
    assert list(referenced_parts(xmp)) == []


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_transparent_grey_of_a_png_of_few_bits_stays_transparent(bits, tmp_path):
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
