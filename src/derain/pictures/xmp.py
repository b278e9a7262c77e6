"""References of the XMP to parts of the file that derain does not write.

They are removed, because they would be false in the result.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass

MAX_PREFIXES = 8
"""Prefixes of one namespace that are searched for; a valid file seldom has more than one."""


@dataclass(frozen=True)
class XmpReference:
    """XMP properties that refer to a part of the file other than its picture."""

    namespace: bytes
    names: bytes
    """Pattern of the properties."""
    part: str | None
    """The part of the file, as reported to the user; None if another reference covers it."""
    evidence: bytes = rb"\w+"
    """Pattern of the properties that prove the part's existence by any value but 0."""


REFERENCES = (
    XmpReference(
        b"http://ns.google.com/photos/1.0/camera/",
        rb"(?:MotionPhoto|MicroVideo)\w*",
        "the video of its motion photo",
        rb"(?:MotionPhoto|MicroVideo)",
    ),
    XmpReference(b"http://ns.adobe.com/hdr-gain-map/1.0/", rb"\w+", "its HDR gain map"),
    XmpReference(b"http://ns.google.com/photos/1.0/depthmap/", rb"\w+", "its depth map"),
    XmpReference(
        b"http://ns.google.com/photos/dd/1.0/device/",
        rb"\w+",
        "its depth map and the pictures of its other cameras",
    ),
    XmpReference(
        b"http://ns.google.com/photos/1.0/image/", rb"\w+", "the unedited picture in its XMP"
    ),
    XmpReference(b"http://ns.google.com/photos/1.0/container/", rb"\w+", None),
    XmpReference(b"http://ns.adobe.com/xap/1.0/", rb"Thumbnails", None),  # they show the rain
    XmpReference(b"http://ns.adobe.com/xmp/note/", rb"HasExtendedXMP", "its extended XMP"),
)


def remove_references(xmp: bytes) -> bytes:
    """Return the XMP without references to parts that are not written."""
    for reference in REFERENCES:
        for name in _name_patterns(xmp, reference.namespace, reference.names):
            # a run of spaces has one start: a search at each of them would take its length squared
            attribute = rb"(?<!\s)\s+" + name + rb"""\s*=\s*(?:"[^"]*"|'[^']*')"""
            xmp = re.sub(attribute, b"", xmp)
            position, kept = 0, []
            for start, stop in find_elements(xmp, name):
                kept.append(xmp[position:start])
                position = stop
            xmp = b"".join([*kept, xmp[position:]])
    return xmp


def find_elements(xmp: bytes, name: bytes) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of the outermost elements whose name matches a pattern.

    Elements without an end are skipped. Reads the XMP twice, however many there are.
    """
    ends: dict[bytes, list[tuple[int, int]]] = {}
    for end in re.finditer(rb"</(" + name + rb")\s*>", xmp):
        ends.setdefault(end[1], []).append(end.span())
    stop = close = 0
    for tag in re.finditer(rb"<(" + name + rb")(?=\s|/?>)", xmp):
        if tag.start() < stop:
            continue
        if close < tag.end() and (close := xmp.find(b">", tag.end())) < 0:
            return
        if xmp[close - 1 : close] == b"/":
            stop = close + 1
        else:
            own = ends.get(tag[1], [])
            index = bisect(own, (close, close))
            if index == len(own):
                continue
            stop = own[index][1]
        yield tag.start(), stop


def referenced_parts(xmp: bytes) -> Iterator[str]:
    """Yield the parts of the file that its XMP refers to."""
    for reference in REFERENCES:
        for name in _name_patterns(xmp, reference.namespace, reference.evidence):
            values = re.findall(rb"(?<!/)\b" + name + rb"""\s*(?:=\s*["']|>)\s*([^"'<]*)""", xmp)
            if reference.part is not None and any(value != b"0" for value in values):
                yield reference.part


def find_prefixes(xmp: bytes, namespace: bytes) -> list[bytes]:
    """Return patterns of the prefixes that are bound to a namespace, at most MAX_PREFIXES."""
    binding = rb"""xmlns:([\w.-]+)\s*=\s*["']""" + re.escape(namespace) + rb"""["']"""
    return [re.escape(prefix) for prefix in dict.fromkeys(re.findall(binding, xmp))][:MAX_PREFIXES]


def _name_patterns(xmp: bytes, namespace: bytes, names: bytes) -> Iterator[bytes]:
    """Yield a pattern of `names` for each prefix that is bound to their namespace."""
    for prefix in find_prefixes(xmp, namespace):
        yield prefix + b":(?:" + names + b")"
