"""Regions in the XMP, such as faces, which turn with the picture.

Their coordinates are parts of the width and height before the orientation is applied.
Specifications: Guidelines for Handling Image Metadata 2.0 (mwg-rs); Microsoft's people tags (MP).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from derain.pictures.orientation import SIDEWAYS
from derain.pictures.xmp import find_elements, find_prefixes

AREA = b"http://ns.adobe.com/xmp/sType/Area#"
DIMENSIONS = b"http://ns.adobe.com/xap/1.0/sType/Dimensions#"
MWG_REGIONS = b"http://www.metadataworkinggroup.com/schemas/regions/"
MICROSOFT_REGION = b"http://ns.microsoft.com/photo/1.2/t/Region#"

Replacement = tuple[tuple[int, int], bytes]
"""(start, stop) of bytes in the XMP, and the bytes in their place."""


def turn_regions(xmp: bytes, orientation: int) -> bytes:
    """Return the XMP with its regions turned from `orientation`.

    Raises ValueError for regions that are incomplete or not numbers.
    """
    if not 2 <= orientation <= 8:
        return xmp
    replacements = [*_areas(xmp, orientation), *_rectangles(xmp, orientation)]
    if orientation in SIDEWAYS:
        for width, height in _dimensions(xmp):
            replacements += [(width[0], height[1]), (height[0], width[1])]
    return _replace(xmp, replacements)


def crop_regions(xmp: bytes, size: tuple[int, int], crop: tuple[slice, slice]) -> bytes:
    """Return the XMP with its regions relative to the visible rows and columns of a picture.

    `size` is (width, height) of the whole picture. Regions that name another size already refer to
    the visible part, and those without a size may do so; both are unchanged. Raises ValueError.
    """
    dimensions = list(_dimensions(xmp))
    if not any((float(width[1]), float(height[1])) == size for width, height in dimensions):
        return xmp
    rows, columns = crop
    across, down = _Axis.of(columns, size[0]), _Axis.of(rows, size[1])
    replacements: list[Replacement] = []
    for width, height in dimensions:
        replacements.append((width[0], _number(across.visible)))
        replacements.append((height[0], _number(down.visible)))
    for prefix in find_prefixes(xmp, AREA):
        for axis, centre, side in ((across, b"x", b"w"), (down, b"y", b"h")):
            centres, lengths = (list(_values(xmp, prefix, name)) for name in (centre, side))
            if lengths and len(lengths) != len(centres):
                raise ValueError("an area is incomplete")
            for index, match in enumerate(centres):
                length = float(lengths[index][1]) if lengths else 0.0
                first, last = axis.crop(float(match[1]) - length / 2, length)
                replacements.append((match.span(1), _number((first + last) / 2)))
                if lengths:
                    replacements.append((lengths[index].span(1), _number(last - first)))
    for match, sides in _parse_rectangles(xmp):
        (x, right), (y, bottom) = across.crop(*sides[::2]), down.crop(*sides[1::2])
        numbers = (x, y, right - x, bottom - y)
        replacements.append((match.span(1), b", ".join(map(_number, numbers))))
    return _replace(xmp, replacements)


@dataclass(frozen=True)
class _Axis:
    """One side of a picture that is cropped, in pixels."""

    size: int
    start: int
    visible: int

    @classmethod
    def of(cls, visible: slice, size: int) -> _Axis:
        return cls(size, visible.start, visible.stop - visible.start)

    def crop(self, first: float, length: float) -> tuple[float, float]:
        """Return the ends of a part of the whole side as parts of the visible one, 0 to 1."""
        ends = (first, first + length)
        first, last = ((end * self.size - self.start) / self.visible for end in ends)
        return min(max(first, 0.0), 1.0), min(max(last, 0.0), 1.0)


def _replace(xmp: bytes, replacements: list[Replacement]) -> bytes:
    position, parts = 0, []
    for (start, stop), text in sorted(replacements):
        if start >= position:  # one prefix can stand for two namespaces
            parts += [xmp[position:start], text]
            position = stop
    return b"".join([*parts, xmp[position:]])


def _areas(xmp: bytes, orientation: int) -> Iterator[Replacement]:
    """Yield replacements for the centres and sizes of the areas of mwg-rs."""
    for prefix in find_prefixes(xmp, AREA):
        for x, y in _pairs(xmp, prefix, b"x", b"y"):
            centre = _turn(float(x[1]), float(y[1]), orientation)
            yield x.span(1), _number(centre[0])
            yield y.span(1), _number(centre[1])
        if orientation in SIDEWAYS:
            for width, height in _pairs(xmp, prefix, b"w", b"h"):
                yield width.span(1), height[1]
                yield height.span(1), width[1]


def _dimensions(xmp: bytes) -> Iterator[tuple[Replacement, Replacement]]:
    """Yield positions and numbers of width and height of the picture that the areas refer to."""
    prefixes = find_prefixes(xmp, DIMENSIONS)
    for regions in find_prefixes(xmp, MWG_REGIONS):
        for at, stop in find_elements(xmp, regions + b":AppliedToDimensions"):
            for prefix in prefixes:
                for pair in _pairs(xmp[at:stop], prefix, b"w", b"h"):
                    width, height = (((at + m.start(1), at + m.end(1)), m[1]) for m in pair)
                    yield width, height


def _rectangles(xmp: bytes, orientation: int) -> Iterator[Replacement]:
    """Yield replacements for Microsoft's rectangles."""
    for match, (left, top, width, height) in _parse_rectangles(xmp):
        x, y = _turn(left + width / 2, top + height / 2, orientation)
        if orientation in SIDEWAYS:
            width, height = height, width
        numbers = (x - width / 2, y - height / 2, width, height)
        yield match.span(1), b", ".join(map(_number, numbers))


def _parse_rectangles(
    xmp: bytes,
) -> Iterator[tuple[re.Match[bytes], tuple[float, float, float, float]]]:
    """Yield Microsoft's rectangles: left, top, width, height."""
    for prefix in find_prefixes(xmp, MICROSOFT_REGION):
        for match in _values(xmp, prefix, b"Rectangle"):
            left, top, width, height = (float(number) for number in match[1].split(b","))
            yield match, (left, top, width, height)


def _turn(x: float, y: float, orientation: int) -> tuple[float, float]:
    """Return a point of the upright picture; both sides are 1."""
    if orientation in SIDEWAYS:
        x, y = y, x
    if orientation in {3, 4, 7, 8}:
        y = 1 - y
    if orientation in {2, 3, 6, 7}:
        x = 1 - x
    return x, y


def _pairs(
    xmp: bytes, prefix: bytes, name: bytes, other: bytes
) -> list[tuple[re.Match[bytes], re.Match[bytes]]]:
    """Return the values of two properties that occur together. Raises ValueError."""
    return list(zip(_values(xmp, prefix, name), _values(xmp, prefix, other), strict=True))


def _values(xmp: bytes, prefix: bytes, name: bytes) -> Iterator[re.Match[bytes]]:
    """Yield matches whose group 1 is the value of a property, an attribute or an element."""
    pattern = rb"(?<![/\w.-])" + prefix + b":" + name + rb"""\s*(?:=\s*["']|>)\s*([^"'<]*)"""
    return re.finditer(pattern, xmp)


def _number(value: float) -> bytes:
    return f"{value:.9f}".rstrip("0").rstrip(".").encode()
