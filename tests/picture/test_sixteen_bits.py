"""16 bits for a sample, checked by libraries that are not Pillow."""

from __future__ import annotations

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from derain import picture
from derain.picture import Metadata, Picture
from derain.picture.picture import as_colour


@pytest.fixture
def samples(rng) -> np.ndarray:
    return rng.integers(0, 65536, (300, 21, 3), dtype=np.uint16)


def described(samples: np.ndarray, alpha: np.ndarray | None = None) -> Picture:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    metadata = Metadata(icc=profile, dpi=(300, 300), exif=exif.tobytes().removeprefix(b"Exif\0\0"), xmp=b"<x/>")
    return Picture(as_colour(samples), alpha=alpha, grey=samples.ndim == 2, metadata=metadata)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("kind", ["grey", "colour", "grey and alpha", "colour and alpha"])
def test_what_is_written_is_read_again(kind, suffix, samples, tmp_path):
    if (kind, suffix) == ("grey and alpha", ".tif"):
        pytest.skip("Pillow opens no such TIFF")
    source = Picture(
        as_colour(samples[..., 0]) if "grey" in kind else samples,
        alpha=samples[..., 1] if "alpha" in kind else None,
        grey="grey" in kind,
    )
    picture.write(source, tmp_path / f"deep{suffix}")
    back = picture.read(tmp_path / f"deep{suffix}")
    np.testing.assert_array_equal(back.as_array(), source.as_array())


@pytest.mark.parametrize("alpha", [False, True])
def test_another_library_reads_the_tiff_that_we_write(alpha, samples, tmp_path):
    rainy = described(samples, samples[..., 1] if alpha else None)
    picture.write(rainy, tmp_path / "deep.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "deep.tif"), rainy.as_array())


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("byteorder", "<>")
def test_a_tiff_of_another_library_keeps_every_bit(compression, byteorder, samples, tmp_path):
    options = {"photometric": "rgb", "compression": compression, "predictor": bool(compression), "byteorder": byteorder}
    tifffile.imwrite(tmp_path / "deep.tif", samples, **options)
    np.testing.assert_array_equal(picture.read(tmp_path / "deep.tif").pixels, samples)


def test_pillow_sees_the_high_bytes_of_the_png_that_we_write(samples, tmp_path):
    picture.write(described(samples), tmp_path / "deep.png")
    np.testing.assert_array_equal(imageio.imread(tmp_path / "deep.png"), samples >> 8)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_metadata_survive_beside_sixteen_bits(suffix, samples, tmp_path):
    rainy = described(samples)
    picture.write(rainy, tmp_path / f"deep{suffix}")
    with Image.open(tmp_path / f"deep{suffix}") as after:
        found = (after.info["icc_profile"], after.info["xmp"], after.getexif()[0x010F], round(float(after.info["dpi"][0])))
    assert found == (rainy.metadata.icc, b"<x/>", "Maker", 300)


def test_the_transparent_colour_of_a_png_becomes_an_alpha(tmp_path):
    grey = np.array([[5, 6], [6, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / "deep.png", transparency=6)
    assert picture.read(tmp_path / "deep.png").alpha.tolist() == [[65535, 0], [0, 65535]]


def test_a_deep_photo_is_turned_upright(samples, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Picture(samples, metadata=Metadata(exif=exif.tobytes().removeprefix(b"Exif\0\0")))
    picture.write(turned, tmp_path / "deep.png")
    np.testing.assert_array_equal(picture.read(tmp_path / "deep.png").pixels, np.rot90(samples, -1))
