"""Frames with their aligned neighbours, one after the other."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from helpers.scenes import scene, view

from derain.motion import aligned_windows


def pan(seed, count, step=2.5):
    picture = scene(seed)
    return [view(picture, step * index) for index in range(count)]


def windows(frames):
    return list(aligned_windows((frame, index) for index, frame in enumerate(frames)))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_every_frame_has_a_window_in_order(count):
    assert [window.tag for window in windows(pan(0, count))] == list(range(count))


def test_the_only_frame_is_its_own_neighbour():
    (frame,) = pan(0, 1)
    (window,) = windows([frame])
    assert window.before is frame and window.after is frame and not window.is_cut


def test_the_other_neighbour_replaces_the_missing_one():
    first, last = windows(pan(0, 2))
    assert np.array_equal(first.before, first.after)
    assert np.array_equal(last.before, last.after)
    assert not np.array_equal(first.after, first.image)


def test_both_neighbours_are_aligned():
    middle = windows(pan(0, 3))[1]
    for neighbour in (middle.before, middle.after):
        difference = np.abs(neighbour.astype(int) - middle.image)[24:-24, 24:-24]
        assert difference.mean() < 3


def test_a_cut_separates_two_scenes():
    frames = [*pan(0, 3), *pan(5, 3)]
    found = windows(frames)
    assert [window.is_cut for window in found] == [False, False, False, True, False, False]
    assert np.array_equal(found[2].after, found[2].before)
    assert np.array_equal(found[3].before, found[3].after)


def test_a_flash_is_seen_by_no_other_frame():
    frames = pan(0, 5)
    frames[2] = (frames[2].astype(int) // 2 + 128).astype(np.uint8)
    found = windows(frames)
    assert np.array_equal(found[1].after, found[1].before)
    assert np.array_equal(found[3].before, found[3].after)
    assert found[2].before is found[2].image and found[2].after is found[2].image


def test_another_size_separates_two_scenes():
    frames = [*pan(0, 2), *(frame[:-16] for frame in pan(0, 2))]
    assert [window.is_cut for window in windows(frames)] == [False, False, True, False]


def test_frames_are_read_one_ahead():
    read = []

    def frames():
        for index, frame in enumerate(pan(0, 4)):
            read.append(index)
            yield frame, index

    iterator = aligned_windows(frames())
    for expected in (2, 3, 4, 4):
        next(iterator)
        assert len(read) == expected


def test_frames_are_released():
    alive = []

    def frames():
        for frame in pan(0, 8):
            image = frame.copy()
            alive.append(weakref.ref(image))
            yield image, None

    counts = []
    for window in aligned_windows(frames()):
        counts.append(sum(image() is not None for image in alive))
        del window
    assert max(counts) <= 3
