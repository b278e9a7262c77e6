"""Regions in the XMP, such as faces, which turn with the picture.

Their coordinates are parts of the width and height before the orientation is applied.
Specifications: Guidelines for Handling Image Metadata 2.0 (mwg-rs); Microsoft's people tags (MP).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from derain.pictures.orientation import SIDEWAYS

AREA = b"http://ns.adobe.com/xmp/sType/Area#"
DIMENSIONS = b"http://ns.adobe.com/xap/1.0/sType/Dimensions#"
MWG_REGIONS = b"http://www.metadataworkinggroup.com/schemas/regions/"
MICROSOFT_REGION = b"http://ns.microsoft.com/photo/1.2/t/Region#"

Replacement = tuple[tuple[int, int], bytes]
"""(start, stop) of bytes in the XMP, and the bytes in their place."""


def upright_regions(xmp: bytes, orientation: int) -> bytes:
    """Return the XMP with its regions turned from `orientation`.

    Raises ValueError for regions that are incomplete or not numbers.
    """
    if not 2 <= orientation <= 8:
        return xmp
    replacements = [*_areas(xmp, orientation), *_rectangles(xmp, orientation)]
    if orientation in SIDEWAYS:
        replacements += _dimensions(xmp)
    for (start, stop), text in sorted(replacements, reverse=True):
        xmp = xmp[:start] + text + xmp[stop:]
    return xmp


def _areas(xmp: bytes, orientation: int) -> Iterator[Replacement]:
    """Yield replacements for the centres and sizes of the areas of mwg-rs."""
    for prefix in _prefixes(xmp, AREA):
        for x, y in _pairs(xmp, prefix, b"x", b"y"):
            centre = _turn(float(x[1]), float(y[1]), orientation)
            yield x.span(1), _number(centre[0])
            yield y.span(1), _number(centre[1])
        if orientation in SIDEWAYS:
            for width, height in _pairs(xmp, prefix, b"w", b"h"):
                yield width.span(1), height[1]
                yield height.span(1), width[1]


def _dimensions(xmp: bytes) -> Iterator[Replacement]:
    """Yield replacements for the size of the picture that the areas refer to."""
    for regions in _prefixes(xmp, MWG_REGIONS):
        name = regions + b":AppliedToDimensions"
        pattern = rb"<" + name + rb"\b(?:[^>]*/>|.*?</" + name + rb"\s*>)"
        for element in re.finditer(pattern, xmp, re.DOTALL):
            for prefix in _prefixes(xmp, DIMENSIONS):
                for width, height in _pairs(element[0], prefix, b"w", b"h"):
                    at = element.start()
                    yield (at + width.start(1), at + width.end(1)), height[1]
                    yield (at + height.start(1), at + height.end(1)), width[1]


def _rectangles(xmp: bytes, orientation: int) -> Iterator[Replacement]:
    """Yield replacements for Microsoft's rectangles: left, top, width, height."""
    for prefix in _prefixes(xmp, MICROSOFT_REGION):
        for match in _values(xmp, prefix, b"Rectangle"):
            left, top, width, height = (float(number) for number in match[1].split(b","))
            x, y = _turn(left + width / 2, top + height / 2, orientation)
            if orientation in SIDEWAYS:
                width, height = height, width
            numbers = (x - width / 2, y - height / 2, width, height)
            yield match.span(1), b", ".join(map(_number, numbers))


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


def _prefixes(xmp: bytes, namespace: bytes) -> set[bytes]:
    binding = rb"""xmlns:([\w.-]+)\s*=\s*["']""" + re.escape(namespace) + rb"""["']"""
    return {re.escape(prefix) for prefix in re.findall(binding, xmp)}


def _number(value: float) -> bytes:
    return f"{value:.9f}".rstrip("0").rstrip(".").encode()
