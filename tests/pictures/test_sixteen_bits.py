"""16 bits for a sample, checked by libraries that are not Pillow."""

from __future__ import annotations

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from derain import pictures
from derain.errors import PictureError
from derain.pictures import Metadata, Picture
from derain.pictures.picture import as_colour


@pytest.fixture
def samples(rng) -> np.ndarray:
    return rng.integers(0, 65536, (300, 21, 3), dtype=np.uint16)


def described(samples: np.ndarray, alpha: np.ndarray | None = None) -> Picture:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    metadata = Metadata(
        icc=profile, dpi=(300, 300), exif=exif.tobytes().removeprefix(b"Exif\0\0"), xmp=b"<x/>"
    )
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
    pictures.write(source, tmp_path / f"deep{suffix}")
    back = pictures.read(tmp_path / f"deep{suffix}")
    np.testing.assert_array_equal(back.as_array(), source.as_array())


@pytest.mark.parametrize("alpha", [False, True])
def test_another_library_reads_the_tiff_that_we_write(alpha, samples, tmp_path):
    rainy = described(samples, samples[..., 1] if alpha else None)
    pictures.write(rainy, tmp_path / "deep.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "deep.tif"), rainy.as_array())


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("byteorder", "<>")
def test_a_tiff_of_another_library_keeps_every_bit(compression, byteorder, samples, tmp_path):
    options = {
        "photometric": "rgb",
        "compression": compression,
        "predictor": bool(compression),
        "byteorder": byteorder,
    }
    tifffile.imwrite(tmp_path / "deep.tif", samples, **options)
    np.testing.assert_array_equal(pictures.read(tmp_path / "deep.tif").pixels, samples)


def test_pillow_sees_the_high_bytes_of_the_png_that_we_write(samples, tmp_path):
    pictures.write(described(samples), tmp_path / "deep.png")
    np.testing.assert_array_equal(imageio.imread(tmp_path / "deep.png"), samples >> 8)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_metadata_survive_beside_sixteen_bits(suffix, samples, tmp_path):
    rainy = described(samples)
    pictures.write(rainy, tmp_path / f"deep{suffix}")
    with Image.open(tmp_path / f"deep{suffix}") as after:
        found = (
            after.info["icc_profile"],
            after.info["xmp"],
            after.getexif()[0x010F],
            round(float(after.info["dpi"][0])),
        )
    assert found == (rainy.metadata.icc, b"<x/>", "Maker", 300)


def test_the_transparent_colour_of_a_png_becomes_an_alpha(tmp_path):
    grey = np.array([[5, 6], [6, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / "deep.png", transparency=6)
    assert pictures.read(tmp_path / "deep.png").alpha.tolist() == [[65535, 0], [0, 65535]]


def test_a_deep_photo_is_turned_upright(samples, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Picture(samples, metadata=Metadata(exif=exif.tobytes().removeprefix(b"Exif\0\0")))
    pictures.write(turned, tmp_path / "deep.png")
    np.testing.assert_array_equal(
        pictures.read(tmp_path / "deep.png").pixels, np.rot90(samples, -1)
    )


@pytest.mark.parametrize("tile", [None, (32, 32)])
@pytest.mark.parametrize("byteorder", "<>")
def test_a_tiff_of_one_channel_after_the_other_keeps_every_bit(byteorder, tile, samples, tmp_path):
    planes = {
        "photometric": "rgb",
        "planarconfig": "separate",
        "byteorder": byteorder,
        "tile": tile,
    }
    tifffile.imwrite(tmp_path / "deep.tif", np.moveaxis(samples, -1, 0), **planes)
    np.testing.assert_array_equal(pictures.read(tmp_path / "deep.tif").pixels, samples)


@pytest.mark.parametrize(
    ("planarconfig", "compression"), [("contig", None), ("contig", "zlib"), ("separate", None)]
)
def test_colours_that_were_multiplied_with_their_alpha_are_divided(
    compression, planarconfig, rng, tmp_path
):
    colours = rng.integers(0, 65536, (30, 21, 3)).astype(np.uint16)
    alpha = rng.integers(20000, 65536, (30, 21, 1)).astype(np.uint16)
    samples = np.dstack([(colours.astype(np.uint32) * alpha // 65535).astype(np.uint16), alpha])
    options = {
        "photometric": "rgb",
        "extrasamples": ["assocalpha"],
        "planarconfig": planarconfig,
        "compression": compression,
    }
    lying = np.moveaxis(samples, -1, 0) if planarconfig == "separate" else samples
    tifffile.imwrite(tmp_path / "deep.tif", lying, **options)
    rainy = pictures.read(tmp_path / "deep.tif")
    np.testing.assert_array_equal(rainy.alpha, samples[..., 3])
    assert np.abs(rainy.pixels.astype(int) - colours).max() <= 4


def test_channels_that_are_packed_one_after_the_other_are_refused(samples, tmp_path):
    """Only their high bytes could be had."""
    planes = {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"}
    tifffile.imwrite(tmp_path / "deep.tif", np.moveaxis(samples, -1, 0), **planes)
    with pytest.raises(
        PictureError, match="one channel of 16 bits after the other; save it interleaved first"
    ):
        pictures.read(tmp_path / "deep.tif")


def test_a_tiff_in_which_zero_is_white_is_no_negative(samples, tmp_path):
    tifffile.imwrite(tmp_path / "deep.tif", 65535 - samples[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(pictures.read(tmp_path / "deep.tif").image, samples[..., 0])
