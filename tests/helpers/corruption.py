"""What happens to files: three ways, each by the draws of a seeded generator."""

from __future__ import annotations

import struct
import zlib

import numpy as np

SECONDS = 10
"""No file is looked at for longer; most take a hundredth of a second."""


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    """Without its end."""
    return data[: int(len(data) * rng.uniform(0, 0.98))]


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """With up to eight other bytes."""
    damaged = np.frombuffer(data, np.uint8).copy()
    damaged[rng.integers(0, len(data), 8)] ^= rng.integers(1, 256, 8).astype(np.uint8)
    return damaged.tobytes()


def lying(data: bytes, rng: np.random.Generator, *, head_bytes: int = 96) -> bytes:
    """With a number at its head, where sizes and counts are, as large as can be; a PNG has its checksum mended."""
    damaged = bytearray(data)
    position = int(rng.integers(8, head_bytes))
    damaged[position : position + 4] = rng.choice(
        [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\xff\xff"]
    )
    if data.startswith(b"\x89PNG"):
        damaged[29:33] = struct.pack(">I", zlib.crc32(damaged[12:29]))
    return bytes(damaged)
