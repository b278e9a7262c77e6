"""Which way up frames are seen and stored."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from derain.pictures.orientation import upright
from derain.video.clip import restore_clip
from derain.video.clip_reader import ClipReader
from derain.video.frames import FrameOptions
from derain.video.rotation import AS_STORED, QUARTERS, orientation_of, turned_back

from .conftest import copying, decoded, light

ONE = 65536
CLOCKWISE = [0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30]
"""A quarter turn, as phones write it."""
UPSIDE_DOWN = [-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30]


def matrix(a: int, b: int, c: int, d: int) -> list[int]:
    return [a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30]


@pytest.mark.parametrize("signs", QUARTERS)
def test_a_pixel_goes_where_the_matrix_says(signs):
    a, b, c, d = signs
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    turned = upright(picture, orientation_of(matrix(*signs)))
    places = {
        (a * x + c * y, b * x + d * y): picture[y, x]
        for x, y in itertools.product(range(4), range(3))
    }
    rows, columns = (sorted({place[axis] for place in places}) for axis in (1, 0))
    np.testing.assert_array_equal(turned, [[places[x, y] for x in columns] for y in rows])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_back_undoes_upright(orientation, rng):
    picture = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(turned_back(upright(picture, orientation), orientation), picture)


@pytest.mark.parametrize(
    "numbers", [None, [46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30], [0] * 9]
)
def test_what_is_no_quarter_turn_is_left_as_stored(numbers):
    assert orientation_of(numbers) == AS_STORED


@pytest.mark.parametrize(("turn", "quarters"), [(CLOCKWISE, -1), (UPSIDE_DOWN, 2)])
def test_the_network_sees_a_clip_as_people_do(turn, quarters, make_clip):
    source = make_clip(matrix=turn)
    seen = []
    restore_clip(source, source.with_name("out.mp4"), lambda rainy: (seen.append(rainy), rainy)[1])
    with ClipReader(make_clip("plain.mp4"), "plain.mp4") as plain:
        stored, _ = next(iter(plain))
    np.testing.assert_array_equal(seen[0], np.rot90(stored, quarters))


@pytest.mark.parametrize("temporal", [False, True])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_frames_stay_stored_as_they_were(suffix, temporal, make_clip):
    source = make_clip(f"clip{suffix}", matrix=CLOCKWISE, options={"crf": "1"})
    out = source.with_stem("out")
    restore_clip(source, out, copying, FrameOptions(temporal=temporal), crf=1)
    before, after = decoded(source), decoded(out)
    assert after[0].rotation == before[0].rotation != 0
    for one, two in zip(before, after, strict=True):
        assert np.abs(light(one) - light(two)).max() < 12


def test_a_mask_is_of_the_size_that_people_see(make_clip):
    source = make_clip(matrix=CLOCKWISE, options={"crf": "1"})
    mask = np.zeros((64, 48), np.uint8)
    mask[:, 24:] = 255  # what is seen on the right is stored at the top
    restore_clip(
        source,
        source.with_name("out.mp4"),
        lambda rainy: rainy // 2,
        FrameOptions(mask=mask),
        crf=1,
    )
    change = light(decoded(source)[0]) - light(decoded(source.with_name("out.mp4"))[0])
    assert np.abs(change[28:]).max() < 6 < change[:20].min()


@pytest.mark.parametrize("suffix", [".avi", ".ts", ".flv"])
def test_a_format_without_rotation_gets_the_frames_upright(suffix, make_clip):
    source = make_clip("clip.mkv", matrix=CLOCKWISE, options={"crf": "1"}, sound=None)
    out = source.with_name(f"out{suffix}")
    restore_clip(source, out, copying, crf=1)
    before, after = decoded(source)[0], decoded(out)[0]
    assert (after.width, after.height) == (48, 64)
    assert np.abs(light(after) - np.rot90(light(before), -1)).mean() < 2
