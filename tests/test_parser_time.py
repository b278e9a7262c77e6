"""Long runs of equal parts in a file take a parser time in proportion to their length."""

from __future__ import annotations

import time

import pytest

from derain.data.pairs.list_files import is_pair_list, read_pair_list
from derain.errors import DataError
from derain.pictures.regions import crop_regions, turn_regions
from derain.pictures.trailing_data import find_jpeg_end
from derain.pictures.xmp import referenced_parts, remove_references

BYTES = 100_000
LIMIT_S = 3.0
"""Time of the processor; a parser that took the square of the length would need minutes."""
NAMESPACES = (
    b'<x xmlns:p="http://ns.adobe.com/xap/1.0/" xmlns:g="http://ns.adobe.com/hdr-gain-map/1.0/" '
    b'xmlns:r="http://www.metadataworkinggroup.com/schemas/regions/" '
    b'xmlns:d="http://ns.adobe.com/xap/1.0/sType/Dimensions#" '
    b'xmlns:a="http://ns.adobe.com/xmp/sType/Area#" '
    b'xmlns:m="http://ns.microsoft.com/photo/1.2/t/Region#">'
    b'<r:AppliedToDimensions d:w="400" d:h="300"/>'
)


def repeat(part: bytes) -> bytes:
    return part * (BYTES // len(part))


@pytest.fixture(autouse=True)
def _time_limit():
    start = time.process_time()
    yield
    assert time.process_time() - start < LIMIT_S


@pytest.mark.parametrize("part", [b"\xff", b"\xff\0", b"\xff\xd0", b"\xff\x01", b"\xff\xe0\0\2"])
def test_jpeg(part):
    jpeg = b"\xff\xd8" + repeat(part)
    assert find_jpeg_end(jpeg + b"\0") == len(jpeg) + 1
    assert find_jpeg_end(jpeg + b"\0\xff\xd9more") == len(jpeg) + 3


@pytest.mark.parametrize(
    "part",
    [
        b" ",
        b"\n",
        b"<p:Thumbnails>",
        b"<p:Thumbnails ",
        b"<p:Thumbnails/>",
        b"</p:Thumbnails>",
        b"<g:a><g:b>",
        b'<g:a b=">',
        b" g:a='",
        b"g:",
        b"<r:AppliedToDimensions>",
        b"<r:AppliedToDimensions ",
        b'<r:AppliedToDimensions d:w="400" d:h="300"/>',
        b'<r:Area a:x="0.2" a:y="0.3" a:w="0.1" a:h="0.1"/>',
        b'<b m:Rectangle="0.1, 0.1, 0.2, 0.2"/>',
    ],
)
def test_xmp(part):
    xmp = NAMESPACES + repeat(part) + b"</x>"
    list(referenced_parts(remove_references(xmp)))
    turn_regions(xmp, 6)
    crop_regions(xmp, (400, 300), (slice(0, 100), slice(50, 200)))


@pytest.mark.parametrize("namespace", [b"xap/1.0/", b"xmp/sType/Area#"])
def test_xmp_with_thousands_of_prefixes_of_one_namespace(namespace):
    names = (b'xmlns:p%d="http://ns.adobe.com/%s" ' % (i, namespace) for i in range(5000))
    xmp = NAMESPACES + b"<y " + b"".join(names) + b"/></x>"
    assert remove_references(xmp) == xmp
    turn_regions(xmp, 6)


@pytest.mark.parametrize("part", [" ", ",", ".png", ".png ", "a.png b.txt "])
def test_list(part, tmp_path):
    line = part * (BYTES // len(part))
    path = tmp_path / "list.txt"
    path.write_text(f"a.png b.png\na.png {line} b.pn\n")
    assert is_pair_list(path)
    with pytest.raises(DataError, match="line 2 does not name"):
        list(read_pair_list(path, root=tmp_path))
