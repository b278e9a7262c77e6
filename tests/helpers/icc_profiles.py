"""ICC profiles of wide colour spaces: three primaries and one exponent (ICC.1:2001-04)."""

from __future__ import annotations

import struct

PRIMARIES = {
    "Display P3": ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)),
    "Adobe RGB": ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)),
}
"""X, Y and Z of red, green and blue under D50."""
WHITE = (0.9642, 1.0, 0.8249)


def exponent_curve(exponent: float) -> bytes:
    """Return a tone curve with one exponent."""
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256)) + b"\0\0"


def make_profile(name: str, curve: bytes = exponent_curve(2.2)) -> bytes:
    """Return a display profile with the primaries of a colour space, by default of gamma 2.2."""
    text = name.encode() + b"\0"
    red, green, blue = (_xyz(primary) for primary in PRIMARIES[name])
    bodies = {
        b"rXYZ": red,
        b"gXYZ": green,
        b"bXYZ": blue,
        b"wtpt": _xyz(WHITE),
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(79),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
        b"cprt": b"text\0\0\0\0none\0",
    }
    table, data, start = struct.pack(">I", len(bodies)), b"", 128 + 4 + 12 * len(bodies)
    for tag, body in bodies.items():
        table += tag + struct.pack(">II", start + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    size = start + len(data)
    header = struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return header + table + data


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))
