"""Orientation of frames as seen and as stored."""

from __future__ import annotations

import itertools
from io import BytesIO

import numpy as np
import pytest
from helpers.clips import QUARTER_TURN, decode, halve, luma, restore
from PIL import Image

from derain.pictures.orientation import ORIENTATION, upright
from derain.video.clip_reader import ClipReader
from derain.video.frames import FrameOptions
from derain.video.rotation import (
    AS_STORED,
    ORIENTATIONS,
    orientation_from_matrix,
    undo_upright,
)

ONE = 65536
HALF_TURN = [-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30]


def display_matrix(a: int, b: int, c: int, d: int) -> list[int]:
    return [a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30]


@pytest.mark.parametrize("signs", ORIENTATIONS)
def test_pixels_follow_the_matrix(signs):
    a, b, c, d = signs
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    turned = upright(image, orientation_from_matrix(display_matrix(*signs)))
    places = {
        (a * x + c * y, b * x + d * y): image[y, x]
        for x, y in itertools.product(range(4), range(3))
    }
    rows, columns = (sorted({place[axis] for place in places}) for axis in (1, 0))
    np.testing.assert_array_equal(turned, [[places[x, y] for x in columns] for y in rows])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_undo_upright(orientation, rng):
    image = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(undo_upright(upright(image, orientation), orientation), image)


@pytest.mark.parametrize(
    "matrix", [None, [46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30], [0] * 9]
)
def test_other_angles_are_ignored(matrix):
    assert orientation_from_matrix(matrix) == AS_STORED


@pytest.mark.parametrize(("matrix", "quarters"), [(QUARTER_TURN, -1), (HALF_TURN, 2)])
def test_network_sees_frames_upright(matrix, quarters, make_clip):
    seen = []
    restore(make_clip(matrix=matrix), network=lambda rainy: (seen.append(rainy), rainy)[1])
    with ClipReader(make_clip("plain.mp4"), "plain.mp4") as plain:
        stored, _ = next(iter(plain))
    np.testing.assert_array_equal(seen[0], np.rot90(stored, quarters))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_stored_orientation_is_kept(suffix, make_clip):
    source = make_clip(f"clip{suffix}", matrix=QUARTER_TURN, options={"crf": "1"}, frames=8)
    target, _ = restore(source, crf=1)
    before, after = decode(source), decode(target)
    assert after[0].rotation == before[0].rotation != 0
    for frames in zip(before, after, strict=True):
        assert np.abs(luma(frames[0]) - luma(frames[1])).max() < 12


def test_mask_has_the_size_as_seen(make_clip):
    source = make_clip(matrix=QUARTER_TURN, options={"crf": "1"})
    mask = np.zeros((64, 48), np.uint8)
    mask[:, 24:] = 255  # the right half as seen is the top half as stored
    target, _ = restore(source, network=halve, options=FrameOptions(mask=mask), crf=1)
    change = luma(decode(source)[0]) - luma(decode(target)[0])
    assert np.abs(change[28:]).max() < 6 < change[:20].min()


@pytest.mark.parametrize("suffix", [".avi", ".ts", ".flv"])
def test_format_without_rotation_gets_upright_frames(suffix, make_clip):
    source = make_clip("clip.mkv", matrix=QUARTER_TURN, options={"crf": "1"}, sound=None)
    target, _ = restore(source, f"out{suffix}", crf=1)
    before, after = decode(source)[0], decode(target)[0]
    assert (after.width, after.height) == (48, 64)
    assert np.abs(luma(after) - np.rot90(luma(before), -1)).mean() < 2


def test_photos_with_exif_make_a_clip(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    photo = BytesIO()
    Image.new("RGB", (64, 48), "grey").save(photo, "JPEG", exif=exif)
    source = tmp_path / "camera.mjpeg"
    source.write_bytes(photo.getvalue() * 3)
    target, result = restore(source, "out.avi")
    assert [(frame.width, frame.height) for frame in decode(target)] == [(48, 64)] * 3
    assert "the EXIF of its frames is dropped" in result.notes
