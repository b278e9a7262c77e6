"""Picture files as bytes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image


def encode(image: np.ndarray, kind: str, **options: Any) -> bytes:
    """Return the bytes of a picture file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def decode(data: bytes) -> np.ndarray:
    """Return the pixels of a picture file."""
    return np.asarray(Image.open(io.BytesIO(data)))
