"""Pictures in linear light are recognised by their colour description."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from helpers.icc_profiles import exponent_curve, make_profile

from derain.pictures.linear_light import is_linear_light, is_linear_profile
from derain.pictures.picture import Metadata


def sampled_curve(values: np.ndarray) -> bytes:
    points = np.rint(values * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(points)) + points.tobytes()


def parametric_curve(exponent: float) -> bytes:
    return b"para\0\0\0\0\0\0\0\0" + struct.pack(">i", round(exponent * 65536))


RAMP = np.linspace(0, 1, 256)


@pytest.mark.parametrize(
    "curve",
    [
        b"curv" + bytes(8),
        exponent_curve(1),
        sampled_curve(RAMP),
        parametric_curve(1),
    ],
)
def test_straight_curves_are_linear_light(curve):
    assert is_linear_profile(make_profile("Adobe RGB", curve))


@pytest.mark.parametrize(
    "curve",
    [
        exponent_curve(1.8),
        sampled_curve(RAMP**2.2),
        parametric_curve(2.2),
        b"none" + bytes(8),
        b"curv\0\0\0\0\0\0\0\xff\0",
        b"curv\0\0\0\0\xff\xff\xff\xff",
    ],
)
def test_other_curves_are_not_linear_light(curve):
    assert not is_linear_profile(make_profile("Adobe RGB", curve))


@pytest.mark.parametrize("size", [0, 100, 131, 140, 300])
def test_truncated_profile_is_not_linear_light(size):
    assert not is_linear_profile(make_profile("Adobe RGB", exponent_curve(1))[:size])


GAMMA_1 = (b"gAMA", struct.pack(">I", 100_000))


@pytest.mark.parametrize(
    ("metadata", "is_linear"),
    [
        (Metadata(), False),
        (Metadata(png_chunks=(GAMMA_1,)), True),
        (Metadata(png_chunks=((b"gAMA", struct.pack(">I", 45_455)),)), False),
        (Metadata(png_chunks=(GAMMA_1, (b"sRGB", b"\0"))), False),
        (Metadata(png_chunks=(GAMMA_1, (b"cICP", bytes([1, 13, 0, 1])))), False),
        (Metadata(png_chunks=(GAMMA_1,), icc=make_profile("Adobe RGB")), False),
        (Metadata(colour_codes=(9, 8)), True),
        (Metadata(colour_codes=(9, 16)), False),
    ],
)
def test_codes_override_a_profile_and_that_the_gamma(metadata, is_linear):
    assert is_linear_light(metadata) == is_linear
