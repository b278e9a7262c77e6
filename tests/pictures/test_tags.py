"""Tags of a TIFF, Photoshop's resources and comments: what follows the picture, read by tifffile and by hand."""

from __future__ import annotations

import io
import itertools
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.reference_readers import exif_tag
from helpers.reference_readers import jpeg_segments as segments_of
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import AppendingTiffWriter, ImageFileDirectory_v2

from derain import pictures
from derain.errors import PictureError
from derain.pictures.orientation import upright_xmp
from derain.pictures.photoshop import HEAD, jpeg_segments, kept_resources, resources_of

CAPTION = b"\x1c\x02\x78\0\x06a rain"


@pytest.fixture
def photo() -> Image.Image:
    return Image.linear_gradient("L").resize((64, 48)).convert("RGB")


def resource(number: int, data: bytes, name: bytes = b"") -> bytes:
    named = bytes([len(name)]) + name
    return (
        b"8BIM"
        + struct.pack(">H", number)
        + named
        + bytes(len(named) % 2)
        + struct.pack(">I", len(data))
        + data
        + bytes(len(data) % 2)
    )


def through(source: Path, suffix: str | None = None) -> Path:
    target = source.with_name(f"out{suffix or source.suffix}")
    frames = list(pictures.read_frames(source))
    if len(frames) == 1:
        pictures.write(frames[0], target)
    else:
        pictures.write_frames(frames, target)
    return target


@pytest.fixture
def exif() -> bytes:
    tags = Image.Exif()
    tags[271] = "Maker"
    tags[34665] = {33434: 0.004, 40965: {1: "R98", 2: b"0100"}}
    tags[34853] = {1: "N", 29: "2024:01:02"}
    return tags.tobytes()


def interoperability(path: Path) -> bytes | int | None:
    """The first tag of that directory of a TIFF, wherever the EXIF says that it lies; None if it says nothing."""
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].tags[34665].value.get("InteroperabilityTag")
    data = path.read_bytes()
    return None if place is None else exif_tag(data[:4] + struct.pack("<I", place) + data[8:], 1)


def test_the_directory_of_interoperability_goes_with_the_exif_into_a_tiff_and_on(
    exif, photo, tmp_path
):
    photo.save(tmp_path / "in.jpg", exif=exif)
    first = through(tmp_path / "in.jpg", ".tif").rename(tmp_path / "first.tif")
    assert (interoperability(first), interoperability(through(first))) == (b"R98", b"R98")


@pytest.mark.filterwarnings("ignore:Tag data larger:UserWarning")
def test_a_place_of_interoperability_that_another_program_left_behind_is_dropped(
    exif, photo, tmp_path
):
    photo.save(
        tmp_path / "in.tif", exif=exif
    )  # Pillow copies the place where it lay in the EXIF of a JPEG
    with tifffile.TiffFile(tmp_path / "in.tif") as file:
        assert file.pages[0].tags[34665].value["InteroperabilityTag"]
    assert interoperability(through(tmp_path / "in.tif")) is None


def with_a_text_for_a_number(photo: Image.Image, path: Path) -> Path:
    """A photo whose altitude is a text, where GPS wants a fraction."""
    tags = Image.Exif()
    tags[271], tags[34853] = "Maker", {1: "N", 6: 2.0}
    exif = tags.tobytes()
    entry = (
        exif.index(struct.pack(">HHI", 6, 5, 1))
        if b"MM" in exif[6:8]
        else exif.index(struct.pack("<HHI", 6, 5, 1))
    )
    order = ">" if b"MM" in exif[6:8] else "<"
    text = struct.pack(order + "HHI", 6, 2, 4) + b"2.5\0"
    exif = exif[:entry] + text + exif[entry + len(text) :]
    photo.save(path, exif=exif)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_what_a_tiff_cannot_say_because_it_is_of_the_wrong_kind_is_left_out_and_told_of(
    suffix, photo, tmp_path
):
    source = with_a_text_for_a_number(photo, tmp_path / f"photo{suffix}")
    assert pictures.omissions_when_writing(pictures.read(source), Path("a.tif")) == (
        "part of its EXIF has values of the wrong kind and is left out",
    )
    exif = Image.open(through(source, ".tif")).getexif()
    assert (exif[271], dict(exif.get_ifd(34853))) == ("Maker", {1: "N"})
    assert pictures.omissions_when_writing(pictures.read(source), Path(f"a{suffix}")) == ()


def test_a_tiff_whose_exif_is_of_the_wrong_kind_is_read(photo, tmp_path):
    data = bytearray(with_a_text_for_a_number(photo, tmp_path / "photo.jpg").read_bytes())
    exif = pictures.read(tmp_path / "photo.jpg").metadata.exif
    assert exif is not None
    assert data
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
    read = pictures.read(tmp_path / "photo.tif")
    assert (read.pixels == np.asarray(photo)).all()
    assert read.omissions == ("part of its EXIF has values of the wrong kind and is left out",)
    assert pictures.read(through(tmp_path / "photo.tif")).omissions == ()


@pytest.mark.parametrize(
    "said",
    [
        b'tiff:Orientation="6"',
        b"tiff:Orientation = '6'",
        b"<tiff:Orientation> 6 </tiff:Orientation>",
    ],
)
def test_the_orientation_of_the_xmp_is_set_upright_however_it_is_written(said):
    assert upright_xmp(said) == said.replace(b"6", b"1")


def test_a_png_with_a_large_profile_and_large_texts_is_read(photo, tmp_path):
    info = PngInfo()
    info.add_text("notes", "ab" * 10**6, zip=True)
    photo.save(tmp_path / "a.png", pnginfo=info, icc_profile=bytes(3 * 2**20))
    read = pictures.read(tmp_path / "a.png")
    assert read.metadata.icc == bytes(3 * 2**20)
    assert [name for name, _ in read.metadata.png_chunks] == [b"zTXt"]


def test_a_tiff_whose_grey_and_alpha_lie_apart_is_refused(tmp_path):
    planes = np.random.default_rng(1).integers(0, 256, (2, 48, 64), dtype=np.uint8)
    options = {
        "photometric": "minisblack",
        "planarconfig": "separate",
        "extrasamples": ["unassalpha"],
        "compression": "zlib",
    }
    tifffile.imwrite(tmp_path / "a.tif", planes, **options)
    with pytest.raises(PictureError, match="save it interleaved"):
        pictures.read(tmp_path / "a.tif")


def test_pages_of_a_tiff_keep_their_kind_their_names_and_their_numbers(photo, tmp_path):
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
    with tifffile.TiffFile(through(tmp_path / "in.tif")) as file:
        told = [[page.tags[tag].value for tag in (254, 269, 285, 297)] for page in file.pages]
    assert told == [[0, "a document", "page 0", (0, 2)], [1, "a document", "page 1", (1, 2)]]


def test_the_tags_of_pages_do_not_follow_the_picture_into_a_jpeg(photo, tmp_path):
    photo.save(tmp_path / "in.tif", tiffinfo={254: 1, 285: "page 1"})
    with Image.open(through(tmp_path / "in.tif", ".jpg")) as after:
        assert dict(after.getexif()) == {}


def test_strip_drops_the_names_of_pages_and_not_their_kind(photo, tmp_path):
    photo.save(tmp_path / "in.tif", tiffinfo={254: 1, 285: "page 1"})
    rainy = pictures.read(tmp_path / "in.tif")
    pictures.write(replace(rainy, metadata=rainy.metadata.stripped()), tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert (file.pages[0].tags[254].value, 285 in file.pages[0].tags) == (1, False)


@pytest.mark.parametrize(
    ("before", "after"), [*itertools.product([".tif", ".jpg"], repeat=2), (".png", ".tif")]
)
def test_what_windows_says_of_a_photo_survives(before, after, photo, tmp_path):
    exif = Image.Exif()
    exif[18246], exif[40093] = 4, "author\0".encode("utf-16le")
    photo.save(tmp_path / f"in{before}", exif=exif)
    with Image.open(through(tmp_path / f"in{before}", after)) as image:
        assert (image.getexif()[18246], image.getexif()[40093]) == (
            4,
            "author\0".encode("utf-16le"),
        )


@pytest.mark.parametrize(("before", "after"), itertools.product([".tif", ".jpg"], repeat=2))
def test_captions_survive_and_thumbnails_of_the_rain_do_not(before, after, photo, tmp_path):
    thumbnail, caption = resource(1036, b"\xff\xd8 a thumbnail"), resource(1028, CAPTION, b"odd")
    if before == ".jpg":
        photo.save(tmp_path / "in.jpg", extra=jpeg_segments(thumbnail + caption))
    else:
        photo.save(tmp_path / "in.tif", tiffinfo={34377: thumbnail + caption})
    out = through(tmp_path / f"in{before}", after)
    if after == ".jpg":
        assert HEAD + caption in list(segments_of(out.read_bytes()))
    else:
        with tifffile.TiffFile(out) as file:
            tag = file.pages[0].tags[34377]
        assert out.read_bytes()[tag.valueoffset :][: tag.count] == caption
    assert b"a thumbnail" not in out.read_bytes()


def test_resources_that_fill_several_segments_come_back_whole():
    resources = resource(1028, CAPTION) + resource(2000, bytes(range(256)) * 600)
    assert (
        resources_of(
            body for body in segments_of(b"\xff\xd8" + jpeg_segments(resources) + b"\xff\xda")
        )
        == resources
    )


@pytest.mark.parametrize("size", range(1, 23))
def test_resources_that_are_cut_short_end_there(size):
    assert kept_resources(resource(1028, CAPTION)[:size]) is None


def test_every_comment_of_a_jpeg_survives(photo, tmp_path):
    file = io.BytesIO()
    photo.save(file, "JPEG", comment=b"first")
    second = b"\xff\xfe" + struct.pack(">H", 8) + b"second"
    (tmp_path / "in.jpg").write_bytes(
        b"".join(part for part in (file.getvalue()[:2], second, file.getvalue()[2:]))
    )
    comments = [
        body
        for body in segments_of(through(tmp_path / "in.jpg").read_bytes())
        if body in {b"first", b"second"}
    ]
    assert comments == [b"second", b"first"]


@pytest.mark.parametrize("count", [1, 2])
def test_the_comment_of_a_gif_survives(count, photo, tmp_path):
    more = [photo.rotate(90 * index) for index in range(1, count)]
    photo.save(tmp_path / "in.gif", save_all=True, append_images=more, comment=b"a rain " * 50)
    with Image.open(through(tmp_path / "in.gif")) as after:
        assert after.info["comment"] == b"a rain " * 50


def test_comments_go_from_a_jpeg_into_a_gif_and_back(photo, tmp_path):
    photo.save(tmp_path / "in.jpg", comment=b"a rain")
    through(tmp_path / "in.jpg", ".gif").rename(tmp_path / "gif.gif")
    with Image.open(through(tmp_path / "gif.gif", ".jpg")) as after:
        assert after.info["comment"] == b"a rain"


def test_each_page_of_a_tiff_keeps_its_own_profile_and_resolution(tmp_path):
    """Pillow hands those of one page on to all others."""
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
