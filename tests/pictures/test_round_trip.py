"""Files that are read and written again, checked with Pillow."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.round_trip import round_trip
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps, JpegImagePlugin
from PIL.PngImagePlugin import PngInfo

from derain import pictures
from derain.errors import PictureError
from derain.pictures import Picture

LOSSLESS = [".png", ".tif", ".bmp"]


@pytest.fixture
def photo(rng: np.random.Generator) -> np.ndarray:
    """Return a picture smooth enough for JPEG, (48, 64, 3) uint8."""
    x, y = np.meshgrid(np.linspace(0, 6, 64), np.linspace(0, 6, 48))
    waves = np.stack([np.sin(x), np.cos(y), np.sin(x + y)], -1)
    return (127 + 100 * waves + rng.normal(0, 4, waves.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lossless_formats_keep_every_sample(photo, mode, suffix, tmp_path):
    source = tmp_path / f"in{suffix}"
    Image.fromarray(photo).convert(mode).save(source)
    with Image.open(source) as before, Image.open(round_trip(source)) as after:
        assert after.mode == mode
        np.testing.assert_array_equal(np.asarray(after), np.asarray(before))


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG", ".webp", ".png", ".tiff", ".bmp"])
def test_format_is_kept(photo, suffix, tmp_path):
    source = tmp_path / f"in{suffix}"
    Image.fromarray(photo).save(source)
    with Image.open(source) as before, Image.open(round_trip(source)) as after:
        assert after.format == before.format


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_transparency_is_kept(photo, suffix, tmp_path, rng):
    source = tmp_path / f"in{suffix}"
    alpha = rng.integers(0, 256, (48, 64, 1), dtype=np.uint8)
    Image.fromarray(np.dstack([photo, alpha])).save(source, lossless=True)
    with Image.open(round_trip(source)) as after:
        np.testing.assert_array_equal(np.asarray(after)[..., 3:], alpha)


def test_transparent_palette_entry_becomes_alpha(tmp_path):
    source = tmp_path / "in.png"
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((0, 0), 0)
    image.save(source, transparency=0)
    assert pictures.read(source).alpha.tolist() == [[0, 255, 255, 255], *[[255] * 4] * 3]


def test_palette_becomes_rgb(tmp_path):
    source = tmp_path / "in.png"
    image = Image.new("P", (2, 1), 1)
    image.putpalette([255, 0, 0, 0, 128, 7])
    image.save(source)
    assert pictures.read(source).pixels[0, 0].tolist() == [0, 128, 7]


def test_cmyk_becomes_rgb(tmp_path):
    source = tmp_path / "in.jpg"
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(source)
    with Image.open(round_trip(source)) as after:
        red, green, blue = after.getpixel((8, 8))
    assert after.mode == "RGB"
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize("quality", [40, 90])
def test_cmyk_jpeg_keeps_its_quality(quality, photo, tmp_path):
    source = tmp_path / "in.jpg"
    Image.fromarray(photo).convert("CMYK").save(source, quality=quality)
    with Image.open(source) as before, Image.open(round_trip(source)) as after:
        assert set(map(tuple, after.quantization.values())) == set(
            map(tuple, before.quantization.values())
        )


def test_jpeg_rejects_transparency(photo, tmp_path):
    rainy = Picture(photo, alpha=photo[..., 0])
    with pytest.raises(PictureError, match=r"out\.jpg: JPEG does not support transparency"):
        pictures.write(rainy, tmp_path / "out.jpg")


def test_sixteen_bits_are_rounded_to_eight(tmp_path):
    samples = np.array([[0, 128, 129, 257, 65535 - 128, 65535]], np.uint16)
    pictures.write(Picture(pictures.picture.as_colour(samples), grey=True), tmp_path / "out.bmp")
    with Image.open(tmp_path / "out.bmp") as after:
        assert np.asarray(after).tolist() == [[0, 0, 1, 1, 255, 255]]


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_opaque_alpha_is_dropped(photo, suffix, tmp_path):
    pictures.write(
        Picture(photo, alpha=np.full(photo.shape[:2], 255, np.uint8)), tmp_path / f"out{suffix}"
    )
    assert pictures.read(tmp_path / f"out{suffix}").alpha is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_matches_pillow(orientation, photo, tmp_path):
    source = tmp_path / "in.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photo).save(source, exif=exif)
    with Image.open(source) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(pictures.read(source).pixels, expected)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_orientation_is_applied_once(suffix, tmp_path):
    source = tmp_path / f"in{suffix}"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 24)).save(source, exif=exif)
    with Image.open(round_trip(round_trip(source))) as after:
        after.load()
        assert after.size == (24, 40)
        assert after.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize(("orientation", "sides"), [(3, (40, 24)), (6, (24, 40))])
def test_sides_in_exif_match_the_upright_picture(orientation, sides, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x8769] = {0xA002: 40, 0xA003: 24}
    Image.new("RGB", (40, 24)).save(tmp_path / "in.jpg", exif=exif)
    with Image.open(round_trip(tmp_path / "in.jpg")) as after:
        directory = after.getexif().get_ifd(0x8769)
        assert (directory[0xA002], directory[0xA003]) == sides
        assert after.size == sides


def test_orientation_in_the_text_of_an_old_png(tmp_path):
    exif, info = Image.Exif(), PngInfo()
    exif[0x010F], exif[0x0112] = "Maker", 6
    info.add_text(
        "Raw profile type exif",
        f"\nexif\n      {len(exif.tobytes())}\n{exif.tobytes().hex()}\n",
        zip=True,
    )
    Image.new("RGB", (40, 24)).save(tmp_path / "in.png", pnginfo=info)
    with Image.open(round_trip(round_trip(tmp_path / "in.png"))) as after:
        after.load()
        assert after.size == (24, 40)
        assert after.getexif()[0x010F] == "Maker"
        assert after.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("text", ["zzzz", "414", b"garbage garbage".hex(), b"II*\0".hex()])
def test_corrupt_exif_in_the_text_of_an_old_png(text, photo, tmp_path):
    info = PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n      {len(text)}\n{text}\n", zip=True)
    Image.fromarray(photo).save(tmp_path / "in.png", pnginfo=info)
    np.testing.assert_array_equal(pictures.read(tmp_path / "in.png").pixels, photo)


@pytest.mark.parametrize("suffix", [".avif", ".jpg", ".png", ".tif", ".webp"])
def test_unreadable_exif_is_ignored(suffix, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "in.jpg", exif=b"Exif\0\0garbage garbage")
    pictures.write(pictures.read(tmp_path / "in.jpg"), tmp_path / f"out{suffix}")
    assert pictures.read(tmp_path / f"out{suffix}").pixels.shape == photo.shape


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_exif_is_kept(suffix, photo, tmp_path):
    source = tmp_path / f"in{suffix}"
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x8769] = {0x829A: 0.004}  # exposure time
    Image.fromarray(photo).save(source, exif=exif.tobytes())
    with Image.open(round_trip(source)) as after:
        assert after.getexif()[0x010F] == "Maker"
        assert float(after.getexif().get_ifd(0x8769)[0x829A]) == 0.004


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_icc_profile_is_kept(suffix, photo, tmp_path):
    source = tmp_path / f"in{suffix}"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(photo).save(source, icc_profile=profile)
    with Image.open(round_trip(source)) as after:
        assert after.info["icc_profile"] == profile


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp"])
def test_dpi_is_kept(suffix, photo, tmp_path):
    source = tmp_path / f"in{suffix}"
    Image.fromarray(photo).save(source, dpi=(300, 300))
    with Image.open(round_trip(source)) as after:
        assert [round(float(value)) for value in after.info["dpi"]] == [300, 300]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_xmp_is_kept_with_orientation_1(suffix, photo, tmp_path):
    description = b'<rdf:Description tiff:Orientation="3" by="me"/>'
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + description + b"</x:xmpmeta>"
    source = tmp_path / f"in{suffix}"
    pictures.write(Picture(photo, metadata=pictures.Metadata(xmp=xmp)), source)
    with Image.open(round_trip(source)) as after:
        written = after.info["xmp"]
    if isinstance(written, str):
        written = written.encode()
    assert written == xmp.replace(b'Orientation="3"', b'Orientation="1"')


def test_png_texts_and_gamma_are_kept(photo, tmp_path):
    info, source = PngInfo(), tmp_path / "in.png"
    info.add_text("Author", "me")
    info.add(b"gAMA", (45455).to_bytes(4, "big"))
    Image.fromarray(photo).save(source, pnginfo=info)
    with Image.open(round_trip(source)) as after:
        assert after.info["Author"] == "me"
        assert round(after.info["gamma"], 5) == 0.45455


def test_subsampling_unknown_to_pillow_becomes_full_chroma(photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "in.jpg", subsampling=1)
    data = bytearray((tmp_path / "in.jpg").read_bytes())
    start = data.index(b"\xff\xc0")
    # the same number of blocks is a picture of 48 x 64 whose luma is 1 x 2 instead of 2 x 1
    data[start + 5 : start + 9], data[start + 11] = b"\0\x40\0\x30", 0x12
    (tmp_path / "in.jpg").write_bytes(data)
    with (
        Image.open(tmp_path / "in.jpg") as before,
        Image.open(round_trip(tmp_path / "in.jpg")) as after,
    ):
        assert JpegImagePlugin.get_sampling(before) == -1
        assert JpegImagePlugin.get_sampling(after) == 0


@pytest.mark.parametrize("quality", [30, 75, 97])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_keeps_its_quality_and_subsampling(quality, subsampling, photo, tmp_path):
    source = tmp_path / "in.jpg"
    Image.fromarray(photo).save(source, quality=quality, subsampling=subsampling)
    with Image.open(source) as before, Image.open(round_trip(source)) as after:
        assert after.quantization == before.quantization
        assert JpegImagePlugin.get_sampling(after) == subsampling


def test_progressive_jpeg_stays_progressive(photo, tmp_path):
    source = tmp_path / "in.jpg"
    Image.fromarray(photo).save(source, progressive=True)
    with Image.open(round_trip(source)) as after:
        assert after.info.get("progressive") == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_progressive_jpeg_of_noise(channels, rng, tmp_path):
    noise = pictures.picture.as_colour(
        rng.integers(0, 2, (400, 400, channels), dtype=np.uint8).squeeze() * np.uint8(255)
    )
    coding = pictures.JpegCoding(tables=((1,) * 64,) * 2, subsampling=0, progressive=True)
    rainy = Picture(noise, grey=channels == 1, metadata=pictures.Metadata(jpeg=coding))
    pictures.write(rainy, tmp_path / "out.jpg")
    assert np.abs(pictures.read(tmp_path / "out.jpg").pixels.astype(int) - noise).mean() < 1


def test_lossless_webp_stays_lossless(photo, tmp_path):
    source = tmp_path / "in.webp"
    Image.fromarray(photo).save(source, lossless=True)
    with Image.open(round_trip(source)) as after:
        np.testing.assert_array_equal(np.asarray(after), photo)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff_compression_is_kept(compression, photo, tmp_path):
    source = tmp_path / "in.tif"
    Image.fromarray(photo).save(source, compression=compression)
    with Image.open(round_trip(source)) as after:
        assert (after.info["compression"] == "raw") == (compression == "raw")


def test_exif_thumbnail_is_unlinked():
    tag = b"\x0f\x01\x02\x00\x02\x00\x00\x00a\x00\x00\x00"
    exif = b"II*\0\x08\0\0\0" + b"\x01\0" + tag + b"\x1a\0\0\0" + b"\0\0\0\0\0\0"
    assert pictures.orientation.upright_exif(exif, 1) == exif[:22] + b"\0\0\0\0" + exif[26:]


@given(st.binary(max_size=80), st.integers(1, 8))
@settings(deadline=None)
def test_any_bytes_are_accepted_as_exif(noise, orientation):
    assert len(pictures.orientation.upright_exif(b"II*\0" + noise, orientation)) == len(noise) + 4
