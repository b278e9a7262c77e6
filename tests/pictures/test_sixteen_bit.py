"""16-bit samples, checked by libraries other than Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import imageio.v3 as imageio
import numpy as np
import PIL
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


def with_metadata(samples: np.ndarray, alpha: np.ndarray | None = None) -> Picture:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    metadata = Metadata(
        icc=profile, dpi=(300, 300), exif=exif.tobytes().removeprefix(b"Exif\0\0"), xmp=b"<x/>"
    )
    return Picture(as_colour(samples), alpha=alpha, grey=samples.ndim == 2, metadata=metadata)


@contextmanager
def pillow_assumption(what: str) -> Iterator[None]:
    """Fail with a message about Pillow, whatever goes wrong in the block."""
    try:
        yield
    except Exception as error:
        pytest.fail(
            f"Pillow {PIL.__version__} no longer decodes with {what} that is set after opening "
            f"({type(error).__name__}). derain/pictures/sixteen_bit.py depends on this private "
            "behaviour: adapt that module, or require an older Pillow."
        )


@pytest.mark.parametrize(("rawmode", "expected"), [("RGB;16L", 0x12), ("RGB;16B", 0x34)])
def test_pillow_takes_the_raw_mode_from_the_tile(rawmode, expected, tmp_path):
    """Private behaviour of Pillow that the decoding of 16-bit colour depends on."""
    pixels = np.full((2, 2, 3), 0x1234, np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", pixels, photometric="rgb", byteorder="<")
    with Image.open(tmp_path / "deep.tif") as image, pillow_assumption("a raw mode (`tile`)"):
        (tile,) = image.tile
        image.tile = [tile._replace(args=(rawmode, *tile.args[1:]))]
        np.testing.assert_array_equal(image, np.full((2, 2, 3), expected))


def test_pillow_takes_the_mode_from_a_private_attribute(tmp_path):
    """Private behaviour of Pillow that the decoding of 16-bit grey with alpha depends on."""
    grey = Picture(
        as_colour(np.full((2, 2), 0x1234, np.uint16)),
        alpha=np.full((2, 2), 0x5678, np.uint16),
        grey=True,
    )
    pictures.write(grey, tmp_path / "deep.png")
    with Image.open(tmp_path / "deep.png") as image, pillow_assumption("a mode (`_mode`)"):
        (tile,) = image.tile
        image._mode = "RGBA"
        image.tile = [tile._replace(args="RGBA")]
        np.testing.assert_array_equal(image, np.full((2, 2, 4), [0x12, 0x34, 0x56, 0x78]))


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        ("grey", ".png"),
        ("grey", ".tif"),
        ("colour", ".png"),
        ("colour", ".tif"),
        ("grey and alpha", ".png"),  # Pillow does not open such a TIFF
        ("colour and alpha", ".png"),
        ("colour and alpha", ".tif"),
    ],
)
def test_round_trip(kind, suffix, samples, tmp_path):
    source = Picture(
        as_colour(samples[..., 0]) if "grey" in kind else samples,
        alpha=samples[..., 1] if "alpha" in kind else None,
        grey="grey" in kind,
    )
    pictures.write(source, tmp_path / f"deep{suffix}")
    result = pictures.read(tmp_path / f"deep{suffix}")
    np.testing.assert_array_equal(result.as_array(), source.as_array())


@pytest.mark.parametrize("alpha", [False, True])
def test_tifffile_reads_our_tiff(alpha, samples, tmp_path):
    rainy = with_metadata(samples, samples[..., 1] if alpha else None)
    pictures.write(rainy, tmp_path / "deep.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "deep.tif"), rainy.as_array())


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("byteorder", "<>")
def test_tiff_of_tifffile_is_read_exactly(compression, byteorder, samples, tmp_path):
    options = {
        "photometric": "rgb",
        "compression": compression,
        "predictor": bool(compression),
        "byteorder": byteorder,
    }
    tifffile.imwrite(tmp_path / "deep.tif", samples, **options)
    np.testing.assert_array_equal(pictures.read(tmp_path / "deep.tif").pixels, samples)


def test_imageio_reads_our_png(samples, tmp_path):
    pictures.write(with_metadata(samples), tmp_path / "deep.png")
    np.testing.assert_array_equal(imageio.imread(tmp_path / "deep.png"), samples >> 8)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_metadata_is_kept(suffix, samples, tmp_path):
    rainy = with_metadata(samples)
    pictures.write(rainy, tmp_path / f"deep{suffix}")
    with Image.open(tmp_path / f"deep{suffix}") as after:
        assert after.info["icc_profile"] == rainy.metadata.icc
        assert after.info["xmp"] == b"<x/>"
        assert after.getexif()[0x010F] == "Maker"
        assert round(float(after.info["dpi"][0])) == 300


def test_transparent_colour_of_a_png_becomes_alpha(tmp_path):
    grey = np.array([[5, 6], [6, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / "deep.png", transparency=6)
    assert pictures.read(tmp_path / "deep.png").alpha.tolist() == [[65535, 0], [0, 65535]]


def test_orientation_is_applied(samples, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = Picture(samples, metadata=Metadata(exif=exif.tobytes().removeprefix(b"Exif\0\0")))
    pictures.write(sideways, tmp_path / "deep.png")
    upright = pictures.read(tmp_path / "deep.png").pixels
    np.testing.assert_array_equal(upright, np.rot90(samples, -1))


@pytest.mark.parametrize("tile", [None, (32, 32)])
@pytest.mark.parametrize("byteorder", "<>")
def test_planar_tiff_is_read_exactly(byteorder, tile, samples, tmp_path):
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
def test_premultiplied_alpha_is_divided_out(compression, planarconfig, rng, tmp_path):
    colours = rng.integers(0, 65536, (30, 21, 3)).astype(np.uint16)
    alpha = rng.integers(20000, 65536, (30, 21, 1)).astype(np.uint16)
    samples = np.dstack([(colours.astype(np.uint32) * alpha // 65535).astype(np.uint16), alpha])
    options = {
        "photometric": "rgb",
        "extrasamples": ["assocalpha"],
        "planarconfig": planarconfig,
        "compression": compression,
    }
    stored = np.moveaxis(samples, -1, 0) if planarconfig == "separate" else samples
    tifffile.imwrite(tmp_path / "deep.tif", stored, **options)
    rainy = pictures.read(tmp_path / "deep.tif")
    np.testing.assert_array_equal(rainy.alpha, samples[..., 3])
    assert np.abs(rainy.pixels.astype(int) - colours).max() <= 4


def test_compressed_planar_tiff_is_rejected(samples, tmp_path):
    """Pillow can decode only the high bytes."""
    planes = {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"}
    tifffile.imwrite(tmp_path / "deep.tif", np.moveaxis(samples, -1, 0), **planes)
    with pytest.raises(PictureError, match="are stored separately and compressed; save it inter"):
        pictures.read(tmp_path / "deep.tif")


def test_tiff_with_white_as_zero_is_inverted(samples, tmp_path):
    tifffile.imwrite(tmp_path / "deep.tif", 65535 - samples[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(pictures.read(tmp_path / "deep.tif").image, samples[..., 0])
