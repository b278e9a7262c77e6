"""Regions in the XMP, such as faces, turn with the picture."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derain import pictures
from derain.pictures.orientation import upright
from derain.pictures.regions import crop_regions, turn_regions

HEAD = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><a xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#" '
    'xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/" '
    'xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#" '
    'xmlns:MPReg="http://ns.microsoft.com/photo/1.2/t/Region#">'
)
SIZE = '<mwg-rs:AppliedToDimensions stDim:w="400" stDim:h="300" stDim:unit="pixel"/>'
ATTRIBUTES = '<mwg-rs:Area stArea:x="0.3" stArea:y="0.1" stArea:w="0.2" stArea:h="0.08"/>'
ELEMENTS = (
    "<mwg-rs:Area><stArea:x>0.3</stArea:x><stArea:y>0.1</stArea:y>"
    "<stArea:w>0.2</stArea:w><stArea:h>0.08</stArea:h></mwg-rs:Area>"
)
RECTANGLE = '<b MPReg:Rectangle="0.2, 0.06, 0.2, 0.08" MPReg:PersonDisplayName="me"/>'


def make_xmp(*parts: str) -> bytes:
    return (HEAD + "".join(parts) + "</a></x:xmpmeta>").encode()


def read_number(xmp: bytes, name: bytes) -> float:
    return float(re.search(name + rb"""(?:="|>)([^"<]*)""", xmp)[1])


def expected_box(orientation: int) -> tuple[float, ...]:
    """Return (left, top, right, bottom) of the face, drawn into a picture that is turned."""
    canvas = np.zeros((500, 500), np.uint8)
    canvas[30:70, 100:200] = 1
    rows, columns = np.nonzero(upright(canvas, orientation))
    sides = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    return tuple(side / 500 for side in sides)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("area", [ATTRIBUTES, ELEMENTS], ids=["attributes", "elements"])
def test_area_is_turned(area, orientation):
    xmp = turn_regions(make_xmp(SIZE, area), orientation)
    x, y, width, height = (read_number(xmp, b"stArea:" + name) for name in (b"x", b"y", b"w", b"h"))
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    assert box == pytest.approx(expected_box(orientation))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rectangle_is_turned(orientation):
    xmp = turn_regions(make_xmp(RECTANGLE), orientation)
    numbers = re.search(rb'Rectangle="([^"]*)"', xmp)[1].split(b",")
    left, top, width, height = map(float, numbers)
    assert (left, top, left + width, top + height) == pytest.approx(expected_box(orientation))


@pytest.mark.parametrize(("orientation", "width"), [(1, 400), (3, 400), (6, 300), (8, 300)])
def test_size_of_the_picture_is_turned(orientation, width):
    xmp = turn_regions(make_xmp(SIZE, ATTRIBUTES), orientation)
    assert read_number(xmp, b"stDim:w") == width


def test_other_sizes_are_unchanged():
    xmp = make_xmp('<xmpTPg:MaxPageSize stDim:w="210" stDim:h="297"/>')
    assert turn_regions(xmp, 6) == xmp


@pytest.mark.parametrize("orientation", range(1, 9))
def test_xmp_without_regions_is_unchanged(orientation):
    assert turn_regions(make_xmp(), orientation) == make_xmp()


@pytest.mark.parametrize(
    "part",
    [
        '<mwg-rs:Area stArea:x="0.3" stArea:w="0.2"/>',
        '<mwg-rs:Area stArea:x="0,3" stArea:y="0,1"/>',
        '<b MPReg:Rectangle="0.2, 0.06"/>',
    ],
)
def test_invalid_regions(part):
    with pytest.raises(ValueError):  # of float or of unpacking
        turn_regions(make_xmp(part), 6)


CROP = slice(20, 140), slice(90, 290)
"""Of 400 x 300 pixels; the face, x 80 to 160 and y 18 to 42, loses its left and its top."""


@pytest.mark.parametrize("area", [ATTRIBUTES, ELEMENTS, RECTANGLE])
def test_region_is_cropped(area):
    xmp = crop_regions(make_xmp(SIZE, area), (400, 300), CROP)
    if area == RECTANGLE:
        numbers = re.search(rb'Rectangle="([^"]*)"', xmp)[1].split(b",")
        left, top, width, height = map(float, numbers)
    else:
        names = (b"x", b"y", b"w", b"h")
        x, y, width, height = (read_number(xmp, b"stArea:" + name) for name in names)
        left, top = x - width / 2, y - height / 2
    box = (left, top, left + width, top + height)
    assert box == pytest.approx((0, 0, (160 - 90) / 200, (42 - 20) / 120), abs=1e-6)


def test_size_becomes_that_of_the_crop():
    xmp = crop_regions(make_xmp(SIZE, ATTRIBUTES), (400, 300), CROP)
    assert (read_number(xmp, b"stDim:w"), read_number(xmp, b"stDim:h")) == (200, 120)


def test_region_outside_of_the_crop_is_empty():
    xmp = crop_regions(make_xmp(SIZE, ATTRIBUTES), (400, 300), (slice(100, 300), slice(0, 400)))
    assert read_number(xmp, b"stArea:h") == 0


@pytest.mark.parametrize("size", [(200, 120), (800, 600)])
def test_regions_of_another_size_are_not_cropped(size):
    xmp = make_xmp(SIZE, ATTRIBUTES)
    assert crop_regions(xmp, size, CROP) == xmp


def save(path: Path, *parts: str) -> Path:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (40, 30)).save(path, exif=exif, xmp=make_xmp(*parts))
    return path


def test_regions_of_a_photo_are_turned(tmp_path):
    rainy = pictures.read(save(tmp_path / "in.jpg", SIZE, ATTRIBUTES))
    assert read_number(rainy.metadata.xmp, b"stArea:x") == pytest.approx(0.9)
    assert rainy.omissions == ()


def test_invalid_regions_are_reported(tmp_path):
    rainy = pictures.read(save(tmp_path / "in.jpg", '<b MPReg:Rectangle="left"/>'))
    assert rainy.omissions[0].startswith("its XMP has invalid regions")
    assert b'"left"' in rainy.metadata.xmp
