"""EXIF: from a TIFF, to a TIFF, and without its orientation. Values are copied byte for byte.

The maker note of a camera contains offsets from the start of the EXIF, so it keeps its position.
"""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from typing import BinaryIO

from PIL.ExifTags import IFD as SubDirectory
from PIL.ExifTags import Base as Tag
from PIL.ExifTags import Interop as InteropTag

from derain.pictures.directories import (
    ASCII,
    CLASSIC,
    HEADER_BYTES,
    IFD,
    ORDERS,
    Directory,
    DirectoryReader,
    DirectoryWriter,
    Order,
    Value,
    WrittenValue,
)
from derain.pictures.orientation import ORIENTATION

DIRECTORIES = {int(SubDirectory.Exif), int(SubDirectory.GPSInfo)}
"""TIFF tags whose value is a directory."""
WINDOWS_TAGS = {
    Tag.Rating,
    Tag.RatingPercent,
    Tag.XPTitle,
    Tag.XPComment,
    Tag.XPAuthor,
    Tag.XPKeywords,
    Tag.XPSubject,
}
PHOTO_TAGS = {
    Tag.ImageDescription,
    Tag.Make,
    Tag.Model,
    Tag.Software,
    Tag.DateTime,
    Tag.Artist,
    Tag.HostComputer,
    *WINDOWS_TAGS,
    Tag.Copyright,
    Tag.IPTCNAA,
    *DIRECTORIES,
}
"""TIFF tags about the photo. Others describe how the pixels are stored, and must not be copied."""
PAGE_TAGS = {
    Tag.NewSubfileType,
    Tag.SubfileType,
    Tag.DocumentName,
    Tag.PageName,
    Tag.PageNumber,
}
"""TIFF tags about the page; they are copied to another TIFF only."""
STORAGE_TAGS = {
    *range(256, 267),
    *range(273, 285),
    *range(288, 294),
    Tag.ResolutionUnit,
    Tag.Predictor,
    *range(320, 331),
    Tag.InkSet,
    *range(338, 343),
    Tag.JPEGTables,
    *range(512, 522),
    *range(529, 533),
    Tag.XMLPacket,
    Tag.ImageResources,
    Tag.InterColorProfile,
}
"""TIFF tags about the storage of the pixels, and those that are read elsewhere."""
MAKER_NOTE = int(Tag.MakerNote)
MAX_PINNED_BYTES = 65000
"""End of a maker note that keeps its position; a JPEG holds at most 65,527 bytes of EXIF."""
MOVED_NOTE = "the maker note of its EXIF is moved: some of its values may become unreadable"
INVALID = (ValueError, struct.error)
"""Exceptions of `DirectoryReader`."""

PageTags = tuple[tuple[int, Value], ...]
"""(tag, little-endian value) of PAGE_TAGS."""


def read_tiff_exif(file: BinaryIO, start: int) -> tuple[bytes | None, bool]:
    """Return the EXIF of a page of a TIFF, and whether its maker note was moved.

    `start` is the position of the directory of the page. None if the page has no tags about the
    photo. Moves in `file`.
    """
    try:
        reader = DirectoryReader(file)
        directory = _photo_directory(reader, start)
    except INVALID:
        return None, False
    if not directory:
        return None, False
    note = _maker_note(directory)
    first_free = HEADER_BYTES + 2 + 12 * len(directory) + 4
    can_stay = note is not None and first_free <= note.position <= MAX_PINNED_BYTES - len(note.data)
    writer = DirectoryWriter(reader.order, HEADER_BYTES, pinned=note if can_stay else None)
    first = writer.add(directory)
    return header(reader.order, first) + bytes(writer.block), note is not None and not can_stay


def read_page_tags(file: BinaryIO, start: int) -> PageTags:
    """Return the PAGE_TAGS of the page with a directory at `start`. Moves in `file`."""
    try:
        reader = DirectoryReader(file)
        directory = reader.directory(start, tags=PAGE_TAGS)
    except INVALID:
        return ()
    values = {tag: value for tag, value in directory.items() if isinstance(value, Value)}
    return tuple((tag, value.reordered(reader.order, "<")) for tag, value in values.items())


def dropped_tags(file: BinaryIO, start: int) -> list[int]:
    """Return the tags that the result will lack of the page with a directory at `start`.

    Moves in `file`.
    """
    try:
        reader = DirectoryReader(file)
        tags = reader.tags(start)
    except INVALID:
        return []
    return sorted({*tags} - PHOTO_TAGS - PAGE_TAGS - STORAGE_TAGS)


def exif_order(exif: bytes | None) -> Order | None:
    """Return the byte order of EXIF, as in `struct`; None if it is unreadable."""
    return ORDERS.get((exif or b"")[:2]) if exif and tags_in_place(exif) else None


def tags_in_place(exif: bytes) -> Directory:
    """Return the PHOTO_TAGS of EXIF with the positions of their values; {} if it is unreadable."""
    try:
        reader = DirectoryReader(io.BytesIO(exif))
        values = reader.directory(reader.first, tags=PHOTO_TAGS)
    except INVALID:
        return {}
    return {
        tag: value
        if len(value.data) <= 4
        else WrittenValue(value.kind, value.count, value.position)
        for tag, value in values.items()
        if isinstance(value, Value) and value.kind <= IFD
    }


def tags_elsewhere(exif: bytes, order: Order) -> Directory:
    """Return the PHOTO_TAGS of EXIF with all values, in the byte order `order`."""
    try:
        reader = DirectoryReader(io.BytesIO(exif))
        directory = _photo_directory(reader, reader.first)
    except INVALID:
        return {}
    return _reordered(directory, reader.order, order)


def has_maker_note(exif: bytes | None) -> bool:
    """True if EXIF has a note with offsets, which are invalid once it is moved."""
    try:
        reader = DirectoryReader(io.BytesIO(exif or b""))
        return _maker_note(_photo_directory(reader, reader.first)) is not None
    except INVALID:
        return False


def without_orientation(exif: bytes) -> bytes:
    """Return EXIF of the same size without its orientation. Unreadable EXIF is unchanged."""
    data = bytearray(exif)
    try:
        order = ORDERS[exif[:2]]
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for index in reversed(range(count)):
            entry = start + 2 + 12 * index
            end = start + 2 + 12 * count
            if struct.unpack_from(order + "H", data, entry)[0] == ORIENTATION:
                link = data[end : end + 4]
                data[entry : end + 4] = data[entry + 12 : end] + link + bytes(12)
                count -= 1
                struct.pack_into(order + "H", data, start, count)
    except (KeyError, struct.error):
        return exif
    return bytes(data) if len(data) == len(exif) else exif


def header(order: Order, start: int = 0) -> bytes:
    """Return the header of a TIFF; its first directory is at `start`."""
    mark = next(mark for mark, name in ORDERS.items() if name == order)
    return mark + struct.pack(order + "HI", CLASSIC, start)


def _photo_directory(reader: DirectoryReader, start: int) -> Directory:
    """Return the PHOTO_TAGS of a directory; camera, GPS and interoperability as directories."""
    directory = _classic(reader.directory(start, tags=PHOTO_TAGS))
    for tag in DIRECTORIES:
        _expand(directory, tag, reader)
    camera = directory.get(int(SubDirectory.Exif))
    if isinstance(camera, dict):
        _expand(camera, int(SubDirectory.Interop), reader)
        interop = camera.get(int(SubDirectory.Interop))
        index = interop.get(int(InteropTag.InteropIndex)) if isinstance(interop, dict) else None
        # other programs leave stale offsets, which point to something else
        if not (isinstance(index, Value) and index.kind == ASCII):
            camera.pop(int(SubDirectory.Interop), None)
    return directory


def _expand(directory: Directory, tag: int, reader: DirectoryReader) -> None:
    """Replace a pointer by the directory that it points to; remove it if that is unreadable."""
    pointer = directory.pop(tag, None)
    if isinstance(pointer, Value):
        with suppress(*INVALID):
            directory[tag] = _classic(reader.directory(reader.pointer(pointer)))


def _classic(directory: Directory) -> Directory:
    """Return the values that exist outside of BigTIFF too, and all pointers."""
    pointers = {*DIRECTORIES, int(SubDirectory.Interop)}
    return {
        tag: value
        for tag, value in directory.items()
        if tag in pointers or (isinstance(value, Value) and value.kind <= IFD)
    }


def _maker_note(directory: Directory) -> Value | None:
    camera = directory.get(int(SubDirectory.Exif))
    note = camera.get(MAKER_NOTE) if isinstance(camera, dict) else None
    return note if isinstance(note, Value) and len(note.data) > 4 else None


def _reordered(directory: Directory, order: Order, other: Order) -> Directory:
    result: Directory = {}
    for tag, value in directory.items():
        if isinstance(value, dict):
            result[tag] = _reordered(value, order, other)
        elif isinstance(value, Value):
            result[tag] = value.reordered(order, other)
    return result
