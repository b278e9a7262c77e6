"""Strength, mask, rain layer and transparent pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from derain import Restorer, pictures
from derain.errors import PictureError
from derain.inference.blending import blend, rain_layer, read_mask
from derain.pictures import Picture
from derain.pictures.picture import Metadata

WHITE = np.full((300, 8, 3), 200, np.uint8)
BLACK = np.zeros_like(WHITE)


@pytest.mark.parametrize(("strength", "value"), [(0, 200), (0.25, 150), (0.5, 100), (1, 0)])
def test_strength_is_the_removed_share(strength, value):
    assert (blend(WHITE, BLACK, strength=strength) == value).all()


def test_full_strength_without_a_mask_makes_no_copy():
    assert blend(WHITE, BLACK) is BLACK


@pytest.mark.parametrize(
    "options", [{"strength": 0}, {"mask": np.zeros((300, 8), np.float32)}], ids=["strength", "mask"]
)
@pytest.mark.parametrize("dtype", ["uint16", "float32", "float64"])
def test_what_is_not_restored_keeps_its_values(options, dtype, rng):
    rainy = (rng.random((300, 8, 3)) * (60000 if dtype == "uint16" else 1.0005)).astype(dtype)
    blended = blend(rainy, np.zeros_like(rainy), **options)
    assert blended is not rainy
    np.testing.assert_array_equal(blended, rainy)


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_invalid_strength_is_rejected(strength):
    with pytest.raises(PictureError, match="is out of range; choose one from 0 to 1"):
        blend(WHITE, BLACK, strength=strength)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_masks_have_soft_edges(dtype):
    white = np.iinfo(dtype).max
    mask = np.zeros((300, 8), dtype)
    mask[:, 2:4], mask[:, 4:] = white // 2 + 1, white
    blended = blend(WHITE, BLACK, mask=mask)
    assert np.unique(blended).tolist() == [0, 100, 200]
    assert blended[299, :, 0].tolist() == [200, 200, 100, 100, 0, 0, 0, 0]


def test_mask_of_another_size_is_rejected():
    with pytest.raises(PictureError, match="the mask has 4x3 pixels, but the picture has 8x300"):
        blend(WHITE, BLACK, mask=np.zeros((3, 4), np.uint8))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((300, 8, 3), np.uint8), r"shape \(300, 8, 3\) cannot be a mask"),
        (np.zeros((300, 8, 1), np.uint8), r"shape \(300, 8, 1\) cannot be a mask"),
        (np.zeros((300, 8), np.int64), "array of int64 cannot be a mask"),
        (np.full((300, 8), 255.0), "floats outside of 0..1"),
        (np.full((300, 8), np.nan), "floats outside of 0..1"),
    ],
)
def test_invalid_mask_is_rejected(mask, message):
    with pytest.raises(PictureError, match=message):
        blend(WHITE, BLACK, mask=mask)


@pytest.mark.parametrize("white", [True, np.float32(1), 1.0])
def test_mask_of_bools_or_floats(white):
    mask = np.zeros((300, 8), np.asarray(white).dtype)
    mask[:, 4:] = white
    assert blend(WHITE, BLACK, mask=mask)[299, :, 0].tolist() == [200] * 4 + [0] * 4


def test_strength_and_mask_multiply():
    assert (blend(WHITE, BLACK, strength=0.5, mask=np.full((300, 8), 255, np.uint8)) == 100).all()


def test_brightness_of_a_coloured_mask_counts(tmp_path):
    Image.new("RGB", (5, 4), (0, 255, 0)).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png").tolist() == [[round(0.587 * 255)] * 5] * 4


def test_rain_layer_and_restored_add_up_to_rainy(rng):
    restored = rng.integers(0, 100, (20, 30, 3), dtype=np.uint8)
    rainy = restored + rng.integers(0, 100, (20, 30, 3), dtype=np.uint8)
    layer = rain_layer(Picture(rainy), Picture(restored))
    np.testing.assert_array_equal(layer.pixels + restored, rainy)


def test_brightened_pixels_are_black_in_the_rain_layer():
    assert rain_layer(Picture(BLACK), Picture(WHITE)).pixels.max() == 0


def test_rain_layer_of_a_grey_picture_is_grey():
    grey = Picture(pictures.picture.as_colour(WHITE[..., 0]), grey=True)
    assert rain_layer(grey, grey).grey


def test_rain_layer_keeps_colour_metadata_only():
    metadata = Metadata(
        exif=b"e",
        icc=b"i",
        colour_codes=(12, 13),
        png_chunks=((b"cICP", b"1"), (b"tEXt", b"2")),
        comments=(b"c",),
    )
    photo = Picture(WHITE, metadata=metadata)
    assert rain_layer(photo, photo).metadata == Metadata(
        icc=b"i", colour_codes=(12, 13), png_chunks=((b"cICP", b"1"),)
    )


@pytest.fixture(scope="module")
def blur(networks) -> Restorer:
    return Restorer(networks / "blurring.onnx", precision="float32")


def test_transparent_colours_do_not_bleed(blur):
    rainy = np.full((40, 40, 3), 180, np.uint8)
    alpha = np.full((40, 40), 255, np.uint8)
    rainy[:, 20:], alpha[:, 20:] = 0, 0
    restored = blur.restore_picture(Picture(rainy, alpha=alpha)).pixels
    assert set(restored[8:32, 8:20].ravel().tolist()) == {180}


def test_transparent_colours_are_unchanged(blur, rng):
    rainy = rng.integers(0, 256, (40, 40, 4), dtype=np.uint8)
    rainy[10:20, 5:30, 3] = 0
    np.testing.assert_array_equal(blur(rainy)[10:20, 5:30], rainy[10:20, 5:30])


def test_fully_transparent_picture_is_unchanged(blur):
    rainy = np.zeros((7, 5, 4), np.uint8)
    np.testing.assert_array_equal(blur(rainy), rainy)
