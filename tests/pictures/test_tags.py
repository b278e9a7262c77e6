"""TIFF tags, Photoshop resources and comments that are kept, read by tifffile and by hand."""

from __future__ import annotations

import io
import itertools
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.reference_readers import jpeg_segments as read_segments
from helpers.reference_readers import read_exif_tag
from helpers.round_trip import round_trip
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import AppendingTiffWriter, ImageFileDirectory_v2

from derain import pictures
from derain.errors import PictureError
from derain.pictures.orientation import upright_xmp
from derain.pictures.photoshop import SIGNATURE, jpeg_segments, read_resources, without_copies

CAPTION = b"\x1c\x02\x78\0\x06a rain"


@pytest.fixture
def photo() -> Image.Image:
    return Image.linear_gradient("L").resize((64, 48)).convert("RGB")


def resource(number: int, data: bytes, name: bytes = b"") -> bytes:
    pascal_name = bytes([len(name)]) + name
    head = b"8BIM" + struct.pack(">H", number) + pascal_name + bytes(len(pascal_name) % 2)
    return head + struct.pack(">I", len(data)) + data + bytes(len(data) % 2)


@pytest.fixture
def exif() -> bytes:
    tags = Image.Exif()
    tags[271] = "Maker"
    tags[34665] = {33434: 0.004, 40965: {1: "R98", 2: b"0100"}}
    tags[34853] = {1: "N", 29: "2024:01:02"}
    return tags.tobytes()


def interoperability(path: Path) -> bytes | int | None:
    """Return the first tag of the interoperability directory of a TIFF, None without one."""
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].tags[34665].value.get("InteroperabilityTag")
    data = path.read_bytes()
    if offset is None:
        return None
    order = "<" if data[:2] == b"II" else ">"
    return read_exif_tag(data[:4] + struct.pack(order + "I", offset) + data[8:], 1)


def test_interoperability_directory_is_kept(exif, photo, tmp_path):
    photo.save(tmp_path / "in.jpg", exif=exif)
    first = round_trip(tmp_path / "in.jpg", ".tif").rename(tmp_path / "first.tif")
    assert interoperability(first) == b"R98"
    assert interoperability(round_trip(first)) == b"R98"


@pytest.mark.filterwarnings("ignore:Tag data larger:UserWarning")
def test_stale_interoperability_offset_is_dropped(exif, photo, tmp_path):
    photo.save(tmp_path / "in.tif", exif=exif)  # Pillow copies the offset in the EXIF of a JPEG
    with tifffile.TiffFile(tmp_path / "in.tif") as file:
        assert file.pages[0].tags[34665].value["InteroperabilityTag"]
    assert interoperability(round_trip(tmp_path / "in.tif")) is None


def save_with_text_altitude(photo: Image.Image, path: Path) -> Path:
    """Save a photo with a text as its GPS altitude, which should be a fraction."""
    tags = Image.Exif()
    tags[271], tags[34853] = "Maker", {1: "N", 6: 2.0}
    exif = tags.tobytes()
    order = ">" if b"MM" in exif[6:8] else "<"
    entry = exif.index(struct.pack(order + "HHI", 6, 5, 1))
    text = struct.pack(order + "HHI", 6, 2, 4) + b"2.5\0"
    exif = exif[:entry] + text + exif[entry + len(text) :]
    photo.save(path, exif=exif)
    return path


@pytest.mark.parametrize("suffix", [".tif", ".avif"])
def test_exif_values_of_the_wrong_type_are_kept(suffix, photo, tmp_path):
    source = save_with_text_altitude(photo, tmp_path / "photo.jpg")
    with Image.open(round_trip(source, suffix)) as after:
        exif = after.getexif()
        assert exif[271] == "Maker"
        assert exif.get_ifd(34853)[6] == "2.5"


def test_kept_exif_values_are_not_reported(photo, tmp_path):
    rainy = pictures.read(save_with_text_altitude(photo, tmp_path / "photo.jpg"))
    assert pictures.omissions_when_writing(rainy, Path("a.tif")) == ()


def test_tiff_with_exif_of_the_wrong_type_is_read(photo, tmp_path):
    exif = pictures.read(save_with_text_altitude(photo, tmp_path / "photo.jpg")).metadata.exif
    order = "<" if exif[:2] == b"II" else ">"
    strip = np.asarray(photo).tobytes()
    first = struct.unpack(order + "I", exif[4:8])[0]
    count = struct.unpack_from(order + "H", exif, first)[0]
    entries = [exif[first + 2 + 12 * index :][:12] for index in range(count)]
    start = len(exif) + len(exif) % 2
    layout = {
        256: 64,
        257: 48,
        258: 8,
        259: 1,
        262: 2,
        273: start + 400,
        277: 3,
        278: 48,
        279: len(strip),
    }
    entries += [struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in layout.items()]
    entries.sort(key=lambda entry: struct.unpack(order + "H", entry[:2])[0])
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    head = exif[:4] + struct.pack(order + "I", start) + exif[8:]
    (tmp_path / "photo.tif").write_bytes(
        (head.ljust(start, b"\0") + directory).ljust(start + 400, b"\0") + strip
    )
    rainy = pictures.read(tmp_path / "photo.tif")
    np.testing.assert_array_equal(rainy.pixels, photo)
    assert b"2.5\0" in rainy.metadata.exif


@pytest.mark.parametrize(
    "xmp",
    [
        b'tiff:Orientation="6"',
        b"tiff:Orientation = '6'",
        b"<tiff:Orientation> 6 </tiff:Orientation>",
    ],
)
def test_orientation_in_xmp_is_reset(xmp):
    assert upright_xmp(xmp) == xmp.replace(b"6", b"1")


def test_png_with_large_profile_and_texts_is_read(photo, tmp_path):
    info = PngInfo()
    info.add_text("notes", "ab" * 10**6, zip=True)
    photo.save(tmp_path / "a.png", pnginfo=info, icc_profile=bytes(3 * 2**20))
    rainy = pictures.read(tmp_path / "a.png")
    assert rainy.metadata.icc == bytes(3 * 2**20)
    assert [name for name, _ in rainy.metadata.png_chunks] == [b"zTXt"]


def test_planar_grey_with_alpha_is_rejected(rng, tmp_path):
    planes = rng.integers(0, 256, (2, 48, 64), dtype=np.uint8)
    options = {
        "photometric": "minisblack",
        "planarconfig": "separate",
        "extrasamples": ["unassalpha"],
        "compression": "zlib",
    }
    tifffile.imwrite(tmp_path / "a.tif", planes, **options)
    with pytest.raises(PictureError, match="save it interleaved"):
        pictures.read(tmp_path / "a.tif")


def test_page_tags_are_kept(photo, tmp_path):
    with AppendingTiffWriter(str(tmp_path / "in.tif"), True) as file:
        for index, page in enumerate([photo, photo.resize((32, 24))]):
            tags = ImageFileDirectory_v2()
            tags[254], tags[269], tags[285], tags[297] = (
                index,
                "a document",
                f"page {index}",
                (index, 2),
            )
            page.save(file, "TIFF", tiffinfo=tags)
            file.newFrame()
    with tifffile.TiffFile(round_trip(tmp_path / "in.tif")) as file:
        values = [[page.tags[tag].value for tag in (254, 269, 285, 297)] for page in file.pages]
    assert values == [[0, "a document", "page 0", (0, 2)], [1, "a document", "page 1", (1, 2)]]


def test_jpeg_has_no_page_tags(photo, tmp_path):
    photo.save(tmp_path / "in.tif", tiffinfo={254: 1, 285: "page 1"})
    with Image.open(round_trip(tmp_path / "in.tif", ".jpg")) as after:
        assert dict(after.getexif()) == {}


def test_strip_drops_page_names_only(photo, tmp_path):
    photo.save(tmp_path / "in.tif", tiffinfo={254: 1, 285: "page 1"})
    rainy = pictures.read(tmp_path / "in.tif")
    pictures.write(replace(rainy, metadata=rainy.metadata.stripped()), tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.pages[0].tags[254].value == 1
        assert 285 not in file.pages[0].tags


@pytest.mark.parametrize(
    ("before", "after"), [*itertools.product([".tif", ".jpg"], repeat=2), (".png", ".tif")]
)
def test_windows_tags_are_kept(before, after, photo, tmp_path):
    exif = Image.Exif()
    author = "author\0".encode("utf-16le")
    exif[18246], exif[40093] = 4, author
    photo.save(tmp_path / f"in{before}", exif=exif)
    with Image.open(round_trip(tmp_path / f"in{before}", after)) as image:
        assert image.getexif()[18246] == 4
        assert image.getexif()[40093] == author


@pytest.mark.parametrize(("before", "after"), itertools.product([".tif", ".jpg"], repeat=2))
def test_captions_are_kept_without_thumbnails(before, after, photo, tmp_path):
    thumbnail, caption = resource(1036, b"\xff\xd8 a thumbnail"), resource(1028, CAPTION, b"odd")
    if before == ".jpg":
        photo.save(tmp_path / "in.jpg", extra=jpeg_segments(thumbnail + caption))
    else:
        photo.save(tmp_path / "in.tif", tiffinfo={34377: thumbnail + caption})
    out = round_trip(tmp_path / f"in{before}", after)
    if after == ".jpg":
        assert SIGNATURE + caption in list(read_segments(out.read_bytes()))
    else:
        with tifffile.TiffFile(out) as file:
            tag = file.pages[0].tags[34377]
        assert out.read_bytes()[tag.valueoffset :][: tag.count] == caption
    assert b"a thumbnail" not in out.read_bytes()


def test_resources_of_several_segments_are_joined():
    resources = resource(1028, CAPTION) + resource(2000, bytes(range(256)) * 600)
    jpeg = b"\xff\xd8" + jpeg_segments(resources) + b"\xff\xda"
    assert read_resources(read_segments(jpeg)) == resources


@pytest.mark.parametrize("size", range(1, 23))
def test_truncated_resource_is_dropped(size):
    assert without_copies(resource(1028, CAPTION)[:size]) is None


def test_all_jpeg_comments_are_kept(photo, tmp_path):
    file = io.BytesIO()
    photo.save(file, "JPEG", comment=b"first")
    second = b"\xff\xfe" + struct.pack(">H", 8) + b"second"
    (tmp_path / "in.jpg").write_bytes(file.getvalue()[:2] + second + file.getvalue()[2:])
    segments = read_segments(round_trip(tmp_path / "in.jpg").read_bytes())
    comments = [body for body in segments if body in {b"first", b"second"}]
    assert comments == [b"second", b"first"]


@pytest.mark.parametrize("count", [1, 2])
def test_gif_comment_is_kept(count, photo, tmp_path):
    others = [photo.rotate(90 * index) for index in range(1, count)]
    photo.save(tmp_path / "in.gif", save_all=True, append_images=others, comment=b"a rain " * 50)
    with Image.open(round_trip(tmp_path / "in.gif")) as after:
        assert after.info["comment"] == b"a rain " * 50


def test_comment_is_kept_from_jpeg_to_gif_and_back(photo, tmp_path):
    photo.save(tmp_path / "in.jpg", comment=b"a rain")
    round_trip(tmp_path / "in.jpg", ".gif").rename(tmp_path / "gif.gif")
    with Image.open(round_trip(tmp_path / "gif.gif", ".jpg")) as after:
        assert after.info["comment"] == b"a rain"


def test_each_page_keeps_its_profile_and_resolution(tmp_path):
    """Pillow passes those of one page on to later pages."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pages = [
        ({"resolution": (300, 300), "resolutionunit": "INCH"}, None),
        ({}, profile),
        ({}, None),
    ]
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        for options, icc in pages:
            file.write(
                np.full((8, 9, 3), 90, np.uint8), photometric="rgb", iccprofile=icc, **options
            )
    pictures.write_frames(pictures.read_frames(tmp_path / "in.tif"), tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert [bool(page.iccprofile) for page in file.pages] == [False, True, False]
        assert [page.get_resolution("inch")[0] == 300 for page in file.pages] == [
            True,
            False,
            False,
        ]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({33550: 1.0}, "its TIFF tag ModelPixelScaleTag is dropped"),
        ({37724: b"layers"}, "its TIFF tag ImageSourceData (Photoshop's layers) is dropped"),
        ({65001: 7, 318: (0.3, 0.3)}, "its TIFF tags WhitePoint, 65001 are dropped"),
        (
            {tag: 7 for tag in range(65001, 65008)},
            "its TIFF tags 65001, 65002, 65003, 65004, 65005 and 2 more are dropped",
        ),
    ],
)
def test_dropped_tiff_tags_are_reported(tags, expected, photo, tmp_path):
    info = ImageFileDirectory_v2()
    for tag, value in tags.items():
        info.tagtype[tag] = 12 if isinstance(value, (float, tuple)) else 3
        if isinstance(value, bytes):
            info.tagtype[tag] = 7
        info[tag] = value
    photo.save(tmp_path / "in.tif", tiffinfo=info)
    assert pictures.read(tmp_path / "in.tif").omissions == (expected,)
