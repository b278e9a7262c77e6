"""Encode a lossless JPEG (SOF3), as medical archives hold them. Pillow only reads these."""

from __future__ import annotations

import struct

import numpy as np

CATEGORIES = 9
"""Bit lengths of differences: 0 to 8. Each has a Huffman code of 4 bits, its own number."""


def encode_lossless_jpeg(grey: np.ndarray) -> bytes:
    """Return a JPEG without quantisation tables, from (H, W) uint8 (ITU-T T.81, annex H)."""
    height, width = grey.shape
    levels = grey.astype(int)
    predicted = np.empty_like(levels)
    predicted[:, 1:] = levels[:, :-1]  # the left neighbour
    predicted[1:, 0] = levels[:-1, 0]
    predicted[0, 0] = 128
    bits = "".join(_code(int(difference)) for difference in (levels - predicted).ravel())
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0"
    table = b"\0" + bytes([0, 0, 0, CATEGORIES]).ljust(16, b"\0") + bytes(range(CATEGORIES))
    head = _segment(0xC3, frame) + _segment(0xC4, table) + _segment(0xDA, b"\1\1\0\1\0\0")
    return b"\xff\xd8" + head + data + b"\xff\xd9"


def _code(difference: int) -> str:
    category = abs(difference).bit_length()
    if category == 0:
        return "0000"
    offset = difference if difference > 0 else difference + (1 << category) - 1
    return f"{category:04b}{offset:0{category}b}"


def _segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body
