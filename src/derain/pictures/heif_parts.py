"""Parts of an AVIF or HEIC that derain does not write.

Specifications: ISO/IEC 14496-12 and 23008-12; C2PA 2.1, section A.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from PIL import Image

from derain.pictures.boxes import MetaBox, read_meta, top_level_boxes
from derain.pictures.jpeg_segments import CREDENTIALS
from derain.pictures.open_image import HEIF

READ_BOXES = {b"ftyp", b"styp", b"etyp", b"meta", b"mdat", b"idat", b"moov"}
PADDING_BOXES = {b"free", b"skip", b"wide"}
DESCRIPTIONS = {b"mpvd": "the video of its motion photo"}
CREDENTIALS_ID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""Of a `uuid` box."""
ALPHA_PLANES = {
    "urn:mpeg:hevc:2015:auxid:1",
    "urn:mpeg:avc:2015:auxid:1",
    "urn:mpeg:mpegb:cicp:systems:auxiliary:alpha",
}
DEPTH_MAPS = {"urn:mpeg:hevc:2015:auxid:2", "urn:mpeg:mpegb:cicp:systems:auxiliary:depth"}


def dropped_parts(image: Image.Image, file: BinaryIO) -> Iterator[str]:
    """Yield descriptions of the parts of an open AVIF or HEIC that are dropped. Moves in `file`."""
    for name, start, end in list(top_level_boxes(file)):
        file.seek(start)
        if name == b"uuid" and file.read(min(end - start, 16)) == CREDENTIALS_ID:
            yield CREDENTIALS
        elif name == b"moov" and image.format == HEIF:
            yield "its sequence of pictures"
        elif name not in READ_BOXES | PADDING_BOXES:
            printable = re.sub(r"[^!-~]", "", name.decode("latin-1"))
            yield DESCRIPTIONS.get(name, f"its box {printable}")
    meta = read_meta(file) or MetaBox()
    if any(item.kind == b"tmap" for item in meta.items.values()):
        yield "its HDR gain map"
    if image.format == HEIF:
        has_depth = bool(image.info.get("depth_images"))
        yield from _describe(map(str, image.info.get("aux") or ()), has_depth=has_depth)
    else:
        yield from _describe(_auxiliary_kinds(meta))


def _auxiliary_kinds(meta: MetaBox) -> Iterator[str]:
    for item in meta.items.values():
        for name, content in item.properties:
            if name == b"auxC":
                yield content[4:].split(b"\0")[0].decode("latin-1")


def _describe(kinds: Iterable[str], *, has_depth: bool = False) -> Iterator[str]:
    """Yield descriptions of auxiliary pictures; alpha is not one of them."""
    kinds = {kind.lower(): None for kind in kinds}.keys() - ALPHA_PLANES
    if has_depth or kinds & DEPTH_MAPS:
        yield "its depth map"
    if any("gainmap" in kind for kind in kinds):
        yield "its HDR gain map"
    others = sorted(kind for kind in kinds - DEPTH_MAPS if "gainmap" not in kind)
    if others:
        yield f"its auxiliary picture {', '.join(others)}"
