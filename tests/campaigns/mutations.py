"""Seeded damage to files: random changes of bytes, and hostile structures of single formats."""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable

Damage = Callable[[bytes, random.Random], bytes]
EXTREMES = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
DEEP = 20_000
"""Levels of nesting."""
LONG_BYTES = 60_000
"""Length of a run of equal parts; a parser that takes its square needs seconds."""
MANY_FRAMES = 500
"""Frames of a GIF; each takes a few milliseconds."""
BOMB_BYTES = 40_000_000
"""Size of a compressed block once it is decompressed."""
PNG_HEAD = 33
"""Length of the signature and the header chunk."""


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.choice([1, 2, 8])):
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def flip_header_bits(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.choice([1, 4])):
        damaged[rng.randrange(min(len(data), 256))] ^= 1 << rng.randrange(8)
    return _with_checksum(bytes(damaged))


def lie(data: bytes, rng: random.Random) -> bytes:
    """Replace a number, wherever it may be, by an extreme one."""
    size = rng.choice([1, 2, 4, 8])
    number = rng.choice(EXTREMES) & ((1 << 8 * size) - 1)
    head = min(len(data), rng.choice([64, 512, len(data)]))
    start = rng.randrange(max(head - size, 1))
    value = number.to_bytes(size, rng.choice(["big", "little"]))
    return _with_checksum(data[:start] + value + data[start + size :])


def repeat_block(data: bytes, rng: random.Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:stop] + data[start:stop] * rng.choice([1, 2, 200]) + data[stop:]


def long_run(data: bytes, rng: random.Random) -> bytes:
    """Repeat a character or a short block until it is long; drop what follows it, at times."""
    start, stop = rng.randrange(len(data)), rng.choice([1, 2, 3, 4, 8, 12, 20, 40, 100])
    part = rng.choice([data[start : start + stop], data[start : start + stop] + b" "])
    if rng.random() < 0.4:
        part = bytes([rng.choice(b' \n\t\0\xffa1<>"[{=,./')])
    at = rng.choice([len(data), rng.randrange(len(data))])
    rest = data[at:] if rng.random() < 0.7 else b""
    return data[:at] + part * (LONG_BYTES // len(part)) + rest


def drop_block(data: bytes, rng: random.Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + data[stop:]


def clear_block(data: bytes, rng: random.Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + bytes([rng.choice([0, 255])]) * (stop - start) + data[stop:]


def swap_blocks(data: bytes, rng: random.Random) -> bytes:
    (first, second), (third, fourth) = sorted([_span(data, rng), _span(data, rng)])
    third, fourth = max(third, second), max(fourth, second)
    parts = data[:first], data[third:fourth], data[second:third], data[first:second], data[fourth:]
    return b"".join(parts)


def insert_noise(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.choice([1, 3, 300])) + data[at:]


RANDOM: tuple[Damage, ...] = (
    truncate,
    flip_bits,
    flip_bits,
    flip_header_bits,
    flip_header_bits,
    lie,
    lie,
    repeat_block,
    drop_block,
    clear_block,
    swap_blocks,
    insert_noise,
)


def png_size(data: bytes, rng: random.Random) -> bytes:
    sides = rng.choice([(30_000, 30_000), (2**31 - 1, 1), (0, 5), (1, 2**32 - 1), (5000, 5000)])
    return _with_checksum(data[:16] + struct.pack(">II", *sides) + data[24:])


def png_bomb(data: bytes, rng: random.Random) -> bytes:
    name, head = rng.choice(
        [
            (b"zTXt", b"Comment\0\0"),
            (b"iCCP", b"profile\0\0"),
            (b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0"),
            (b"IDAT", b""),
        ]
    )
    bomb = head + zlib.compress(bytes(BOMB_BYTES), 9)
    return data[:PNG_HEAD] + _png_chunk(name, bomb) + data[PNG_HEAD:]


def png_chunks(data: bytes, rng: random.Random) -> bytes:
    name = rng.choice([b"tEXt", b"IDAT", b"fcTL", b"gAMA", b"abCd", b"IHDR", b"PLTE", b"eXIf"])
    return data[:PNG_HEAD] + _png_chunk(name, b"a\0b") * DEEP + data[PNG_HEAD:]


def jpeg_segments(data: bytes, rng: random.Random) -> bytes:
    mark = rng.choice([0xE1, 0xE2, 0xED, 0xFE, 0xDB, 0xC4, 0xC0, 0xDA, 0xEB])
    heads = (
        b"Exif\0\0",
        b"ICC_PROFILE\0\1\2",
        b"Photoshop 3.0\0",
        b"http://ns.adobe.com/xap/1.0/\0",
    )
    body = rng.choice(heads) + rng.randbytes(rng.choice([0, 20]))
    segment = bytes([0xFF, mark]) + struct.pack(">H", len(body) + 2) + body
    return data[:2] + segment * rng.choice([1, 300, 3000]) + data[2:]


def jpeg_size(data: bytes, rng: random.Random) -> bytes:
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 5
    sides = rng.choice([(65500, 65500), (0, 9), (9, 0), (1, 65535), (4000, 4000)])
    return data[:at] + struct.pack(">HH", *sides) + data[at + 4 :]


def tiff_directories(data: bytes, rng: random.Random) -> bytes:
    """Link directories to themselves, to each other, or to values that overlap."""
    order = "<" if data[:2] == b"II" else ">"
    if data[2 if order == "<" else 3] == 43:  # BigTIFF
        return lie(data, rng)
    (first,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, first)
    damaged = bytearray(data)
    match rng.randrange(4):
        case 0:  # the next page is this one
            struct.pack_into(order + "I", damaged, first + 2 + 12 * count, first)
        case 1:  # a tag leads to its own directory
            entry = first + 2 + 12 * rng.randrange(count)
            tag = rng.choice([330, 34665, 34853, 40965])
            struct.pack_into(order + "HHII", damaged, entry, tag, 4, 1, first)
        case 2:  # a tag has as many values as the file has bytes
            entry = first + 2 + 12 * rng.randrange(count)
            struct.pack_into(order + "HI", damaged, entry + 2, rng.choice([1, 2, 7]), len(data))
            struct.pack_into(order + "I", damaged, entry + 8, 0)
        case _:
            struct.pack_into(order + "H", damaged, first, 65535)
    return bytes(damaged)


def box_nesting(data: bytes, rng: random.Random) -> bytes:
    """Put boxes into boxes, DEEP times, at the start of another box."""
    name = rng.choice([b"meta", b"moov", b"ipco", b"iprp", b"trak", b"free"])
    nested = b"".join(struct.pack(">I4s", 8 * (DEEP - i), name) for i in range(DEEP))
    end = struct.unpack_from(">I", data)[0]
    return data[:end] + nested + data[end:]


def box_sizes(data: bytes, rng: random.Random) -> bytes:
    name = rng.choice([b"ispe", b"iloc", b"ipma", b"iinf", b"av1C", b"hvcC", b"stsz", b"stsc"])
    at = data.find(name)
    if at < 0:
        return lie(data, rng)
    value = struct.pack(">I", rng.choice([20_000, 0, 2**31, 2**32 - 1]))
    at += rng.choice([-4, 8, 12])
    return data[:at] + value + data[at + 4 :]


def gif_frames(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return data[:6] + struct.pack("<HH", *rng.choice([(65535, 65535), (0, 0)])) + data[10:]
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return data[:-1] + frame * rng.choice([100, MANY_FRAMES]) + b";"


def bmp_size(data: bytes, rng: random.Random) -> bytes:
    sides = rng.choice([(30_000, 30_000), (-9, 9), (9, -9), (2**31 - 1, 1), (0, 0)])
    return data[:18] + struct.pack("<ii", *sides) + data[26:]


def webp_chunks(data: bytes, rng: random.Random) -> bytes:
    name = rng.choice([b"VP8X", b"ANMF", b"EXIF", b"ICCP", b"ALPH", b"abcd"])
    body = rng.randbytes(rng.choice([0, 10, 24]))
    chunk = name + struct.pack("<I", len(body)) + body
    added = chunk * rng.choice([1, 2, 3000])
    size = struct.unpack_from("<I", data, 4)[0] + len(added)
    at = rng.choice([12, 30, len(data)])
    return data[:4] + struct.pack("<I", size) + data[8:at] + added + data[at:]


def nest_text(data: bytes, rng: random.Random) -> bytes:
    """Nest lists and tables in a text, such as JSON or TOML."""
    opening, closing = rng.choice([(b"[", b"]"), (b'{"a":', b"}"), (b"{a=", b"}")])
    nested = opening * DEEP + b"1" + closing * rng.choice([0, DEEP])
    places = [match.end() for match in re.finditer(rb"[=:]\s*", data)] or [0]
    at = rng.choice(places)
    return data[:at] + nested + data[at:]


def long_number(data: bytes, rng: random.Random) -> bytes:
    numbers = list(re.finditer(rb"\d+", data))
    if not numbers:
        return data + b"9" * DEEP
    match = rng.choice(numbers)
    number = rng.choice([b"9" * DEEP, b"-1", b"1e999", b"nan", b"0.5", b"1_000", b"0xFF"])
    return data[: match.start()] + number + data[match.end() :]


def long_line(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.choice([b"a" * 1_000_000, b"\n" * 1_000, b"\0", b"\xff\xfe"]) + data[at:]


def protobuf_nesting(data: bytes, rng: random.Random) -> bytes:
    """Append messages in messages (field 7, the graph; field 14, the metadata)."""
    body = b""
    for _ in range(2000):
        body = bytes([rng.choice([7, 14]) << 3 | 2]) + _varint(len(body)) + body
    return data + body


def safetensors_header(data: bytes, rng: random.Random) -> bytes:
    size = int.from_bytes(data[:8], "little")
    header = rng.choice([nest_text, long_number, flip_bits, lie])(data[8 : 8 + size], rng)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


TEXT: tuple[Damage, ...] = (nest_text, long_number, long_number, long_line)
HOSTILE: dict[str, tuple[Damage, ...]] = {
    ".png": (png_size, png_bomb, png_chunks),
    ".jpg": (jpeg_segments, jpeg_size),
    ".webp": (webp_chunks,),
    ".tif": (tiff_directories,),
    ".bmp": (bmp_size,),
    ".gif": (gif_frames,),
    ".avif": (box_nesting, box_sizes),
    ".heic": (box_nesting, box_sizes),
    ".mp4": (box_nesting, box_sizes),
    ".mkv": (lie,),
    ".avi": (lie,),
    ".y4m": (long_number, long_line),
    ".onnx": (protobuf_nesting,),
    ".safetensors": (safetensors_header,),
    ".toml": TEXT,
    ".jsonl": TEXT,
    ".json": TEXT,
    ".txt": (long_line, nest_text),
    ".ckpt": (lie,),
}
"""Structures of single formats, by suffix."""
HOSTILE_SHARE = 0.25


def damage(data: bytes, suffix: str, rng: random.Random) -> tuple[str, bytes]:
    """Return the name of the damage, and the damaged file."""
    is_hostile = rng.random() < HOSTILE_SHARE
    function = rng.choice(HOSTILE[suffix] if is_hostile else RANDOM)
    return function.__name__, function(data, rng)


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data))
    return start, min(start + rng.choice([1, 4, 12, 64, 512]), len(data))


def _with_checksum(data: bytes) -> bytes:
    """Return the data; if it is a PNG, with the checksum of its header."""
    if not data.startswith(b"\x89PNG") or len(data) < PNG_HEAD:
        return data
    return data[:29] + struct.pack(">I", zlib.crc32(data[12:29])) + data[PNG_HEAD:]


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _varint(number: int) -> bytes:
    groups = []
    while True:
        number, low = number >> 7, number & 127
        groups.append(low | (128 if number else 0))
        if not number:
            return bytes(groups)
