"""Hooks of schemathesis: what the OpenAPI document calls binary is a valid photo."""

from __future__ import annotations

import numpy as np
import schemathesis
from hypothesis import strategies

from helpers.pictures_in_memory import encode

KINDS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")


def _photo(kind: str, level: int) -> bytes:
    return encode(np.full((12, 16, 3), level, np.uint8), kind)


photos = strategies.builds(_photo, strategies.sampled_from(KINDS), strategies.integers(0, 255))
schemathesis.openapi.format("binary", photos)
for media_type in ("image/*", "application/octet-stream"):
    schemathesis.openapi.media_type(media_type, photos)
