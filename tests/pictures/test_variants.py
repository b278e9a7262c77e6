"""Unusual variants of common formats: TIFF channels and colour maps, BMP, JPEG, APNG, AVIF."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.lossless_jpeg import encode_lossless_jpeg
from helpers.reference_readers import jpeg_segments
from helpers.round_trip import round_trip
from helpers.tiffs import grey_tags, make_tiff
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from derain import pictures
from derain.errors import PictureError
from derain.pictures import open_image

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def omissions(path: Path, target: str) -> tuple[str, ...]:
    """Return all omissions of a round trip to a target."""
    rainy = next(pictures.read_frames(path))
    return rainy.omissions + pictures.omissions_when_writing(rainy, Path(target))


@pytest.mark.parametrize(
    ("photometric", "kind", "bits", "message"),
    [
        ("rgb", "unspecified", 8, "1 further channel of the TIFF"),
        ("rgb", "unspecified", 16, "1 further channel of the TIFF"),
        ("separated", "unspecified", 8, "1 further channel of the TIFF"),
        ("rgb", "unassalpha", 8, ""),
        ("rgb", "unassalpha", 16, ""),
        ("minisblack", "unassalpha", 8, ""),
    ],
)
def test_further_tiff_channels_are_reported(photometric, kind, bits, message, rng, tmp_path):
    channels = {"rgb": 4, "minisblack": 2, "separated": 5}[photometric]
    samples = rng.integers(0, 2**bits, (8, 9, channels)).astype(f"u{bits // 8}")
    path = tmp_path / "in.tif"
    tifffile.imwrite(path, samples, photometric=photometric, extrasamples=[kind], metadata=None)
    reported = " ".join(omissions(path, "a.tif"))
    assert reported.startswith(message)
    assert bool(reported) == bool(message)


@pytest.mark.parametrize("bits", [8, 16])
def test_further_channel_does_not_become_alpha(bits, rng, tmp_path):
    samples = rng.integers(0, 2**bits, (8, 9, 4)).astype(f"u{bits // 8}")
    path = tmp_path / "in.tif"
    tifffile.imwrite(path, samples, photometric="rgb", extrasamples=["unspecified"])
    rainy = pictures.read(path)
    assert rainy.alpha is None
    np.testing.assert_array_equal(rainy.pixels, samples[..., :3])


@pytest.mark.parametrize("step", [1, 257])
def test_tiff_colour_map(step, tmp_path):
    """Scanners write colours of 8 bits into a map for 16 bits."""
    levels = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 90)])
    colour_map = (levels * step).astype("<u2").tobytes()
    tags = {**grey_tags(16, 16), 262: (3, b"\3\0"), 320: (3, colour_map)}
    (tmp_path / "in.tif").write_bytes(make_tiff(tags, RAMP.tobytes()))
    pixels = pictures.read(tmp_path / "in.tif").pixels
    np.testing.assert_array_equal(pixels, levels.T[RAMP])


@pytest.mark.parametrize(
    ("masks", "shifts"),
    [((0xF800, 0x07E0, 0x001F), (11, 5, 0)), ((0x7C00, 0x03E0, 0x001F), (10, 5, 0))],
    ids=["565", "555"],
)
def test_bmp_with_sixteen_bits_per_pixel(masks, shifts, tmp_path):
    levels = [np.full((16, 32), 31), np.arange(32)[None].repeat(16, 0) // 2, np.full((16, 32), 7)]
    pixels = sum(level << shift for level, shift in zip(levels, shifts, strict=True)).astype("<u2")
    info = struct.pack("<IiiHHIIiiII", 40, 32, 16, 1, 16, 3, 1024, 2835, 2835, 0, 0)
    data = info + struct.pack("<3I", *masks) + pixels.tobytes()
    (tmp_path / "in.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 14 + len(data), 0, 0, 66) + data)
    read = pictures.read(tmp_path / "in.bmp").pixels
    steps = [
        255 * level / (mask >> shift)
        for level, mask, shift in zip(levels, masks, shifts, strict=True)
    ]
    assert np.abs(read - np.dstack(steps)).max() < 5


def test_unsupported_bmp_is_not_damaged(tmp_path):
    info = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 16, 3, 128, 2835, 2835, 0, 0)
    data = info + struct.pack("<3I", 0x0F00, 0x00F0, 0x000F) + bytes(128)
    (tmp_path / "in.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 14 + len(data), 0, 0, 66) + data)
    with pytest.raises(PictureError, match="is a variant of its format that Pillow does not"):
        pictures.read(tmp_path / "in.bmp")


@pytest.fixture
def with_still(tmp_path) -> Path:
    """An animated PNG with a separate still for viewers without animation."""
    frames = [Image.new("RGB", (32, 24), colour) for colour in ("white", "red", "blue")]
    path = tmp_path / "in.png"
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=[100, 200], default_image=True
    )
    return path


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".avif"])
def test_still_of_an_apng_is_not_a_frame(suffix, with_still):
    with Image.open(round_trip(with_still, suffix)) as after:
        assert after.n_frames == 2
        red, _, blue = after.convert("RGB").getpixel((9, 9))
    assert red > 200 > blue


def test_still_of_an_apng_stays_in_a_png(with_still):
    with Image.open(round_trip(with_still)) as after:
        assert after.info["default_image"]
        assert after.n_frames == 3


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".avif"])
def test_dropped_still_is_reported(suffix, with_still):
    assert omissions(with_still, f"a{suffix}") == (
        "its still for viewers without animation is dropped",
    )


@pytest.mark.parametrize(
    ("level", "expected"),
    [(0, ()), (100, ("its partial transparency becomes full or none in a GIF",)), (255, ())],
)
def test_partial_transparency_in_a_gif_is_reported(level, expected):
    alpha = np.full((8, 8), level, np.uint8)
    picture = pictures.Picture(np.zeros((8, 8, 3), np.uint8), alpha=alpha)
    assert pictures.omissions_when_writing(picture, Path("a.gif")) == expected


def test_dropped_frame_times_are_reported(with_still):
    assert omissions(with_still, "a.tif") == (
        "dropped, because a .tif cannot store it: frame times",
    )


@pytest.fixture
def lossless_jpeg(tmp_path) -> Path:
    (tmp_path / "in.jpg").write_bytes(encode_lossless_jpeg(RAMP // 2))
    return tmp_path / "in.jpg"


def test_lossless_jpeg_is_written_with_the_finest_quantisation(lossless_jpeg):
    with Image.open(round_trip(lossless_jpeg)) as after:
        assert after.quantization == {0: [1] * 64}
        assert np.abs(np.asarray(after).astype(int) - RAMP // 2).max() <= 1


def test_lost_lossless_coding_is_reported(lossless_jpeg):
    assert "lossless" in omissions(lossless_jpeg, "a.jpg")[0]
    assert omissions(lossless_jpeg, "a.png") == ()


def test_coarse_quantisation_tables_cause_no_message(tmp_path, capfd):
    coding = pictures.JpegCoding(((1000,) * 64, (300,) * 64), subsampling=0, progressive=False)
    picture = pictures.Picture(
        np.zeros((8, 8, 3), np.uint8), metadata=pictures.Metadata(jpeg=coding)
    )
    pictures.write(picture, tmp_path / "out.jpg")
    assert capfd.readouterr().err == ""
    tables = [
        body for body in jpeg_segments((tmp_path / "out.jpg").read_bytes()) if len(body) == 65
    ]
    assert {max(table[1:]) for table in tables} == {255}


def test_too_large_avif_is_rejected_for_its_size(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (64, 48)).save(file, "AVIF")
    sides = struct.pack(">II", 64, 48)
    (tmp_path / "in.avif").write_bytes(
        file.getvalue().replace(b"ispe\0\0\0\0" + sides, b"ispe\0\0\0\0" + b"\0\0\x42\x68" * 2)
    )
    with pytest.raises(PictureError, match="more than the 178 megapixels"):
        pictures.read(tmp_path / "in.avif")


def test_damaged_avif_is_named_so(tmp_path):
    (tmp_path / "in.avif").write_bytes(struct.pack(">I", 20) + b"ftypavif\0\0\0\0mif1" + bytes(40))
    with pytest.raises(PictureError, match="is a damaged or unsupported AVIF"):
        pictures.read(tmp_path / "in.avif")


def test_tiff_with_webp_names_its_compression(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "WEBP", lossless=True)
    size = struct.pack("<I", len(file.getvalue()))
    tags = {258: (3, b"\x08\0" * 3), 262: (3, b"\2\0"), 277: (3, b"\3\0"), 279: (4, size)}
    tags[259] = (3, struct.pack("<H", 50001))
    (tmp_path / "in.tif").write_bytes(make_tiff({**grey_tags(8, 8), **tags}, file.getvalue()))
    try:
        is_supported = bool(open_image._libraries().TIFFIsCODECConfigured(50001))
    except AttributeError:
        pytest.skip("this build of Pillow hides the functions of its libraries")
    if is_supported:
        assert pictures.read(tmp_path / "in.tif").pixels[0, 0].tolist() == [255, 0, 0]
    else:
        with pytest.raises(PictureError, match="its compression webp is not supported"):
            pictures.read(tmp_path / "in.tif")


XMP_FORMS = [
    b"""<a tiff:Orientation="6"/>""",
    b"""<a tiff:Orientation = '6'/>""",
    b"""<a><tiff:Orientation> 6 </tiff:Orientation></a>""",
]


def save_with_xmp(path: Path, xmp: bytes) -> Path:
    image = Image.fromarray(np.dstack([RAMP, RAMP.T, RAMP // 2])[:12])
    options = {"xmp": xmp}
    if path.suffix == ".png":
        options = {"pnginfo": PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    if path.suffix == ".tif":
        options = {"tiffinfo": {700: xmp}}
    image.save(path, **options)
    return path


@pytest.mark.parametrize("form", XMP_FORMS)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_orientation_in_the_xmp_alone_is_applied(suffix, form, tmp_path):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + form + b"</x:xmpmeta>"
    source = save_with_xmp(tmp_path / f"in{suffix}", xmp)
    rainy = pictures.read(source)
    with Image.open(source) as before:
        before.info.pop("xmp")
        turned = np.rot90(np.asarray(before.convert("RGB"), int), -1)
    assert rainy.pixels.shape == (16, 12, 3)
    assert np.abs(rainy.pixels - turned).mean() < 1


@pytest.mark.parametrize("form", XMP_FORMS)
def test_avif_ignores_the_orientation_in_its_xmp(form, tmp_path):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + form + b"</x:xmpmeta>"
    rainy = pictures.read(save_with_xmp(tmp_path / "in.avif", xmp))
    assert rainy.pixels.shape == (12, 16, 3)
    assert re.search(rb"Orientation[\s=\"'>]+1", rainy.metadata.xmp)


def test_resolution_of_a_sideways_tiff_is_turned(tmp_path):
    image = Image.fromarray(RAMP[:12])
    image.save(tmp_path / "in.tif", dpi=(300, 150), tiffinfo={274: 6})
    rainy = pictures.read(tmp_path / "in.tif")
    assert rainy.pixels.shape == (16, 12, 3)
    assert rainy.metadata.dpi == (150, 300)
