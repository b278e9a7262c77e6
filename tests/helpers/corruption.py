"""Three kinds of corruption, drawn from a seeded generator."""

from __future__ import annotations

import struct
import zlib

import numpy as np

MAX_SECONDS = 10
"""Time limit for a file; most take a hundredth of a second."""


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the data without its end."""
    return data[: int(len(data) * rng.uniform(0, 0.98))]


def flip_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the data with up to eight changed bytes."""
    damaged = np.frombuffer(data, np.uint8).copy()
    damaged[rng.integers(0, len(data), 8)] ^= rng.integers(1, 256, 8).astype(np.uint8)
    return damaged.tobytes()


def corrupt_header(data: bytes, rng: np.random.Generator, *, head_bytes: int = 96) -> bytes:
    """Return the data with an extreme number among the sizes and counts of its header.

    The checksum of a PNG header is updated.
    """
    damaged = bytearray(data)
    position = int(rng.integers(8, head_bytes))
    damaged[position : position + 4] = rng.choice(
        [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\xff\xff"]
    )
    if data.startswith(b"\x89PNG"):
        damaged[29:33] = struct.pack(">I", zlib.crc32(damaged[12:29]))
    return bytes(damaged)
