"""The network sees linear light in the encoding of sRGB, and its result comes back linear."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.icc_profiles import exponent_curve, make_profile

import derain
from derain.inference.linear_light import decode_srgb, encode_srgb
from derain.pictures import Metadata, Picture

LINEAR = Metadata(icc=make_profile("Adobe RGB", exponent_curve(1)))


def to_linear(image: np.ndarray) -> np.ndarray:
    light = decode_srgb((image / np.float32(65535)).astype(np.float32))
    return np.rint(light * 65535).astype(np.uint16)


def test_encoding_is_undone_within_a_sixteenth_of_a_16_bit_level():
    light = np.arange(65536, dtype=np.float32) / 65535
    np.testing.assert_allclose(decode_srgb(encode_srgb(light)), light, atol=1 / 16 / 65535)


def test_encoding_of_middle_grey():
    assert encode_srgb(np.float32([0.2140411]))[0] == pytest.approx(0.5, abs=1e-5)


def test_linear_and_encoded_picture_get_the_same_result(networks, rng):
    darken = derain.Restorer(networks / "darkening.onnx", precision="float32")
    encoded = rng.integers(20_000, 65536, (24, 30, 3), dtype=np.uint16)
    restored = darken.restore_picture(Picture(encoded))
    linear = darken.restore_picture(Picture(to_linear(encoded), metadata=LINEAR))
    np.testing.assert_allclose(linear.pixels, to_linear(restored.pixels).astype(int), atol=2)


def test_linear_picture_without_rain_keeps_its_values(networks, rng):
    copy = derain.Restorer(networks / "copying.onnx", precision="float32")
    for dtype in (np.uint8, np.uint16):
        pixels = rng.integers(0, np.iinfo(dtype).max, (9, 14, 3), dtype=dtype, endpoint=True)
        alpha = (rng.integers(0, 2, (9, 14)) * np.iinfo(dtype).max).astype(dtype)
        picture = Picture(pixels, alpha=alpha, metadata=LINEAR)
        np.testing.assert_array_equal(copy.restore_picture(picture).pixels, pixels)
