"""Recognise pictures whose values are proportional to light, from their colour description."""

from __future__ import annotations

import struct

import numpy as np

from derain.pictures.picture import Metadata

LINEAR_TRANSFER = 8
"""Code of a linear transfer in ITU-T H.273, table 3."""
LINEAR_GAMMA = 100_000
"""As a PNG stores it: 100,000 times 1."""
CURVES = {b"kTRC", b"rTRC", b"gTRC", b"bTRC"}
"""Tags of the tone curves of grey, red, green and blue (ICC.1:2022, section 9.2)."""
TOLERANCE = 0.02
"""By which an exponent may differ from 1, or a sampled curve from the diagonal."""


def is_linear_light(metadata: Metadata) -> bool:
    """True for linear light, such as raw developers write; False if the encoding is unknown.

    Colour codes override a profile, and both override the gamma of a PNG (PNG specification, third
    edition, section 4.3).
    """
    chunks = dict(metadata.png_chunks)
    if metadata.colour_codes is not None:
        return metadata.colour_codes[1] == LINEAR_TRANSFER
    if metadata.icc is not None and b"cICP" not in chunks:
        return is_linear_profile(metadata.icc)
    gamma = int.from_bytes(chunks.get(b"gAMA", b""), "big")
    is_overridden = not chunks.keys().isdisjoint({b"cICP", b"sRGB"})
    return not is_overridden and abs(gamma / LINEAR_GAMMA - 1) < TOLERANCE


def is_linear_profile(profile: bytes) -> bool:
    """True if an ICC profile has tone curves, and all are straight; False if it is damaged."""
    try:
        (count,) = struct.unpack_from(">I", profile, 128)
        curves = [
            profile[start : start + size]
            for name, start, size in struct.iter_unpack(">4sII", profile[132 : 132 + 12 * count])
            if name in CURVES
        ]
        return bool(curves) and all(map(_is_straight, curves))
    except struct.error:
        return False


def _is_straight(curve: bytes) -> bool:
    """True for a tone curve, `curv` or `para`, that returns its input (sections 10.6 and 10.18)."""
    if curve[:4] == b"para":
        kind, exponent = struct.unpack_from(">H2xi", curve, 8)
        return bool(kind == 0 and abs(exponent / 65536 - 1) < TOLERANCE)
    if curve[:4] != b"curv":
        return False
    (count,) = struct.unpack_from(">I", curve, 8)
    if count == 0:
        return True
    if count == 1:
        exponent = int.from_bytes(curve[12:14], "big")
        return abs(exponent / 256 - 1) < TOLERANCE
    points = np.array(struct.unpack_from(f">{count}H", curve, 12)) / 65535
    return bool(np.abs(points - np.linspace(0, 1, count)).max() < TOLERANCE)
