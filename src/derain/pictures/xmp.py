"""What XMP says of other parts of a file, which derain does not write: it would lie of the file that is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class XmpReference:
    """A property of XMP that is true only beside a part of the file that is not the picture."""

    namespace: bytes
    names: bytes
    """A pattern of the properties."""
    loss: str | None
    """What of the file is missing, if it is said that this is there; None where another claim goes with it."""
    proof: bytes = rb"\w+"
    """A pattern of the properties that say so, by any value but 0."""


CLAIMS = (
    XmpReference(
        b"http://ns.google.com/photos/1.0/camera/",
        rb"(?:MotionPhoto|MicroVideo)\w*",
        "the film of its motion photo",
        rb"(?:MotionPhoto|MicroVideo)",
    ),
    XmpReference(
        b"http://ns.adobe.com/hdr-gain-map/1.0/", rb"\w+", "its gain map for bright screens"
    ),
    XmpReference(b"http://ns.google.com/photos/1.0/depthmap/", rb"\w+", "its depth map"),
    XmpReference(
        b"http://ns.google.com/photos/dd/1.0/device/",
        rb"\w+",
        "its depth map and the pictures of its other cameras",
    ),
    XmpReference(
        b"http://ns.google.com/photos/1.0/image/",
        rb"\w+",
        "the picture before editing that lies in its XMP",
    ),
    XmpReference(b"http://ns.google.com/photos/1.0/container/", rb"\w+", None),
    XmpReference(b"http://ns.adobe.com/xap/1.0/", rb"Thumbnails", None),  # which show the rain
    XmpReference(
        b"http://ns.adobe.com/xmp/note/",
        rb"HasExtendedXMP",
        "the XMP that lies outside of its first packet",
    ),
)


def remove_references(xmp: bytes) -> bytes:
    """The same XMP without what it says of parts that are not written."""
    for claim in CLAIMS:
        for name in _names(xmp, claim.namespace, claim.names):
            xmp = re.sub(rb"\s+" + name + rb"""\s*=\s*(?:"[^"]*"|'[^']*')""", b"", xmp)
            xmp = re.sub(
                rb"<(" + name + rb")(?:\s[^>]*)?(?:/>|(?<!/)>.*?</\1\s*>)",
                b"",
                xmp,
                flags=re.DOTALL,
            )
    return xmp


def referenced_parts(xmp: bytes) -> Iterator[str]:
    """The parts of the file of which its XMP says that they are there."""
    for claim in CLAIMS:
        for name in _names(xmp, claim.namespace, claim.proof):
            values = re.findall(rb"(?<!/)\b" + name + rb"""\s*(?:=\s*["']|>)\s*([^"'<]*)""", xmp)
            if claim.loss is not None and any(value != b"0" for value in values):
                yield claim.loss


def _names(xmp: bytes, namespace: bytes, names: bytes) -> Iterator[bytes]:
    """A pattern of properties with each prefix that stands for their namespace."""
    for prefix in set(
        re.findall(rb"""xmlns:([\w.-]+)\s*=\s*["']""" + re.escape(namespace) + rb"""["']""", xmp)
    ):
        yield re.escape(prefix) + b":(?:" + names + b")"
