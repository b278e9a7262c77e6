"""A neighbour, moved into the place of a frame."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.scenes import scene, view

from derain import rain
from derain.motion import Alignment, Frame, align, fill
from derain.motion.alignment import move_frame
from derain.motion.blocks import match_blocks
from derain.motion.camera import estimate_motion, move, phase_shift

BORDER_PX = 24


def inner_difference(first, second):
    """Return the mean difference in levels of 255, away from the border."""
    middle = np.s_[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
    scale = 255 / np.iinfo(first.dtype).max
    return np.abs(first[middle].astype(float) - second[middle]).mean() * scale


def filled(frame, neighbour):
    """Return the neighbour of a frame that has only one, aligned."""
    centre = Frame(frame)
    return fill(align(centre, Frame(neighbour)), Alignment(frame), centre)[0]


@pytest.fixture(scope="module")
def picture():
    return scene()


def test_phase_correlation_finds_a_shift_between_pixels(picture):
    shift = phase_shift(Frame(view(picture)), Frame(view(picture, 7, -5)))
    assert shift == pytest.approx((-3.5, 2.5), abs=0.2)  # at half the size


@pytest.mark.parametrize(
    "camera",
    [
        {"x": 3.3, "y": -1.6},
        {"x": 17.0, "y": 9.0},
        {"turn_deg": 1.5},
        {"zoom": 1.03},
        {"x": -6.0, "y": 2.5, "turn_deg": -1.0, "zoom": 0.98},
    ],
    ids=lambda camera: "-".join(camera),
)
def test_camera_motion_is_undone(picture, camera):
    frame, neighbour = view(picture), view(picture, **camera)
    aligned = align(Frame(frame), Frame(neighbour))
    assert aligned.share > 0.5
    assert inner_difference(aligned.image, frame) < 0.25 * inner_difference(neighbour, frame)


def test_rain_does_not_disturb_the_motion():
    picture, size = scene(size=(480, 400)), (320, 240)
    frames = [view(picture, size=size), view(picture, 4.3, 1.6, size=size)]
    rainy = [rain.render(frame, rain="heavy", seed=i, scale=1) for i, frame in enumerate(frames)]
    motion = estimate_motion(*map(Frame, rainy))
    np.testing.assert_allclose(motion[:, 2], (-4.3, -1.6), atol=0.5)


def test_local_motion_is_undone(picture):
    near, far = view(picture, 60), view(scene(1))
    frame, neighbour = far.copy(), far.copy()
    frame[:, :80] = near[:, :80]
    neighbour[:, :80] = view(picture, 63)[:, :80]
    aligned = align(Frame(frame), Frame(neighbour))
    part = np.s_[24:-24, 24:56]
    before = np.abs(neighbour[part].astype(float) - frame[part]).mean()
    assert np.abs(aligned.image[part].astype(float) - frame[part]).mean() < 0.4 * before


def test_a_fast_object_is_replaced_by_the_frame(picture):
    frame, neighbour = view(picture), view(picture, 2, 0)
    neighbour = neighbour.copy()
    neighbour[40:80, 60:100] = 255 - neighbour[40:80, 60:100]
    assert 0.5 < align(Frame(frame), Frame(neighbour)).share < 1
    image = filled(frame, neighbour)
    assert np.abs(image[48:72, 68:92].astype(int) - frame[48:72, 68:92]).mean() < 1


def test_the_other_neighbour_replaces_what_does_not_match(picture):
    frame, before, after = view(picture), view(picture, -20), view(picture, 20)
    centre = Frame(frame)
    sides = [align(centre, Frame(side)) for side in (before, after)]
    image, _ = fill(*sides, centre)
    border = np.s_[24:-24, -12:]
    assert not np.array_equal(image[border], frame[border])
    assert np.abs(image[border].astype(int) - frame[border]).mean() < 8


@pytest.fixture(scope="module")
def panned():
    """Three rainy views of one place, of a camera that moves to the right."""
    picture, size = scene(size=(480, 400)), (320, 240)
    clean = [view(picture, x, size=size) for x in (-12, 0, 12)]
    return [rain.render(image, rain="moderate", seed=i, scale=1) for i, image in enumerate(clean)]


def sides_of(rainy):
    """Return the frame in the middle and its aligned neighbours."""
    before, centre, after = map(Frame, rainy)
    return centre, [align(centre, side) for side in (before, after)]


def test_an_object_that_only_one_neighbour_shows_is_left_out(panned):
    rainy = [image.copy() for image in panned]
    rainy[2][80:200, -26:-14] = (190, 90, 5)
    post = np.s_[80:200, -14:-2]
    centre, sides = sides_of(rainy)
    assert sides[0].trust[14:33, -2:].max() == 0  # beyond the border
    assert sides[1].trust[14:33, -2:].mean() > 0.2  # as alike as rain permits
    images = [image[post].astype(int) for image in (sides[1].image, *fill(*sides, centre))]
    with_it, *without = (np.abs(image - centre.image[post]).mean() for image in images)
    assert max(without) < 0.1 * with_it


def test_rain_in_one_frame_does_not_hide_its_only_neighbour(panned):
    centre, sides = sides_of(panned)
    border = np.s_[24:-24, -14:-2]
    image, _ = fill(*sides, centre)
    assert (image[border] != centre.image[border]).mean() > 0.8
    aligned = sides[1].image[border].astype(int)
    assert np.abs(image[border] - aligned).mean() < 4


def test_pixels_beyond_the_border_are_those_of_the_frame(picture):
    frame, neighbour = view(picture), view(picture, -20)
    aligned = filled(frame, neighbour)
    assert np.array_equal(aligned[:, -12:], frame[:, -12:])


@pytest.mark.parametrize(("x", "y"), [(0, 7), (-7, 0), (30, -25)])
def test_nothing_is_black_beyond_the_border(picture, x, y):
    frame, neighbour = (view(picture, *shift) // 2 + 100 for shift in ((0, 0), (x, y)))
    aligned = align(Frame(frame), Frame(neighbour))
    assert aligned.image.min() >= 90


def test_a_still_camera_keeps_its_neighbours(picture):
    frame = view(picture)
    aligned = align(Frame(frame), Frame(frame.copy()))
    assert aligned.share == 1
    assert np.array_equal(aligned.image, frame)


@pytest.mark.parametrize("other", ["another scene", "a flash", "another size", "16 bits", "black"])
def test_what_does_not_match_is_replaced_as_a_whole(picture, other):
    frame = view(picture)
    neighbour = {
        "another scene": view(scene(5)),
        "a flash": (frame.astype(int) // 2 + 128).astype(np.uint8),
        "another size": frame[:-8],
        "16 bits": frame.astype(np.uint16) * 257,
        "black": np.zeros_like(frame),
    }[other]
    aligned = align(Frame(frame), Frame(neighbour))
    assert aligned.share == 0
    assert aligned.image is frame


@pytest.mark.parametrize("kind", ["grey", "16 bits", "grey of 16 bits"])
def test_grey_and_deep_frames(picture, kind):
    frame, neighbour = view(picture), view(picture, 3.5, 1.5)
    if "grey" in kind:
        frame, neighbour = frame[..., 1], neighbour[..., 1]
    if "16" in kind:
        frame, neighbour = (image.astype(np.uint16) * 257 for image in (frame, neighbour))
    aligned = filled(frame, neighbour)
    assert aligned.dtype == frame.dtype and aligned.shape == frame.shape
    assert inner_difference(aligned, frame) < 0.2 * inner_difference(neighbour, frame)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (17, 16), (400, 9)])
def test_small_frames(size, rng):
    frame = rng.integers(0, 256, (*size, 3), np.uint8)
    assert align(Frame(frame), Frame(frame.copy())).image.shape == frame.shape


def test_large_frames_are_compared_at_a_small_size():
    assert Frame(np.zeros((1080, 1920, 3), np.uint8)).small.shape == (180, 320)


@pytest.mark.parametrize("camera", [{}, {"x": 4.3, "y": 1.6}], ids=["still", "pan"])
def test_rain_does_not_move_parts_of_the_scene(camera):
    picture, size = scene(size=(480, 400)), (320, 240)
    clean = [view(picture, size=size), view(picture, **camera, size=size)]
    frame, neighbour = (
        Frame(rain.render(image, rain="moderate", seed=seed, scale=1))
        for seed, image in enumerate(clean)
    )
    motion = estimate_motion(frame, neighbour)
    blocks = match_blocks(frame.small, move(neighbour.small, motion))
    moved = move_frame(Frame(clean[1]), motion, blocks)
    assert inner_difference(moved, clean[0]) < 2
