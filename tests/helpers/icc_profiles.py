"""Colour profiles of wide spaces, made by hand (ICC.1:2001-04, three primaries and one exponent)."""

from __future__ import annotations

import struct

PRIMARIES = {
    "Display P3": ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)),
    "Adobe RGB": ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)),
}
"""X, Y and Z of red, green and blue under D50."""


def profile(name: str) -> bytes:
    """A display profile with the primaries of a space and a gamma of 2.2."""
    xyz = [
        b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in row))
        for row in PRIMARIES[name]
    ]
    white = b"XYZ \0\0\0\0" + struct.pack(
        ">3i", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249))
    )
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    text = name.encode() + b"\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(79)
    bodies = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), xyz, strict=True)) | {
        b"wtpt": white,
        b"desc": description,
    }
    bodies |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve) | {b"cprt": b"text\0\0\0\0none\0"}
    table, data, start = struct.pack(">I", len(bodies)), b"", 128 + 4 + 12 * len(bodies)
    for tag, body in bodies.items():
        table += tag + struct.pack(">II", start + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    size = start + len(data)
    header = (
        struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
        + bytes(12)
        + b"acsp"
        + bytes(28)
    )
    header += struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return header + table + data
