"""References of the XMP to parts of the file that derain does not write.

They are removed, because they would be false in the result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


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
            attribute = rb"\s+" + name + rb"""\s*=\s*(?:"[^"]*"|'[^']*')"""
            element = rb"<(" + name + rb")(?:\s[^>]*)?(?:/>|(?<!/)>.*?</\1\s*>)"
            xmp = re.sub(attribute, b"", xmp)
            xmp = re.sub(element, b"", xmp, flags=re.DOTALL)
    return xmp


def referenced_parts(xmp: bytes) -> Iterator[str]:
    """Yield the parts of the file that its XMP refers to."""
    for reference in REFERENCES:
        for name in _name_patterns(xmp, reference.namespace, reference.evidence):
            values = re.findall(rb"(?<!/)\b" + name + rb"""\s*(?:=\s*["']|>)\s*([^"'<]*)""", xmp)
            if reference.part is not None and any(value != b"0" for value in values):
                yield reference.part


def _name_patterns(xmp: bytes, namespace: bytes, names: bytes) -> Iterator[bytes]:
    """Yield a pattern of `names` for each prefix that is bound to their namespace."""
    binding = rb"""xmlns:([\w.-]+)\s*=\s*["']""" + re.escape(namespace) + rb"""["']"""
    for prefix in set(re.findall(binding, xmp)):
        yield re.escape(prefix) + b":(?:" + names + b")"
