"""The temporal step: less flicker, and no smear on motion. And the figure that says so."""

from __future__ import annotations

import numpy as np
import pytest

from derain.video.flicker import Flicker
from derain.video.temporal import MAX_FLICKER, REACH, Restored, stabilise, stillness, weighted_mean


def run(frames: list[np.ndarray]) -> tuple[list[np.ndarray], float, float]:
    """The steadied frames, and the flicker before and after."""
    before, after = Flicker(), Flicker()
    rows = [Restored(frame, frame, index) for index, frame in enumerate(frames)]
    done = list(stabilise(rows, before=before, after=after))
    assert [row.tag for row in done] == list(range(len(frames)))
    return [row.restored for row in done], before.levels, after.levels


@pytest.fixture
def wall(rng) -> np.ndarray:
    return rng.integers(60, 180, (40, 64, 3), dtype=np.uint8)


def test_a_shimmer_becomes_less_than_half(wall, rng):
    shimmer = [(wall + rng.normal(0, 2, wall.shape)).round().astype(np.uint8) for _ in range(20)]
    _, before, after = run(shimmer)
    assert after < before / 2


def test_a_shimmer_of_a_patch_becomes_less(wall):
    """What a network does: it takes four levels off a patch in every other frame."""
    frames = [wall.copy() for _ in range(12)]
    for frame in frames[::2]:
        frame[10:30, 20:40] -= 4
    _, before, after = run(frames)
    assert after < before / 2


def moving(contrast: int) -> list[np.ndarray]:
    """A textured square of 12 pixels that moves 3 pixels a frame over a plain ground."""
    frames = []
    for index in range(12):
        frame = np.full((40, 64, 3), 100, np.uint8)
        frame[10:22, 3 * index : 3 * index + 12] += np.uint8(contrast)
        frame[10:22:2, 3 * index : 3 * index + 12 : 2] += 20
        frames.append(frame)
    return frames


@pytest.mark.parametrize("contrast", [30, 60, 120])
def test_motion_leaves_no_trail(contrast):
    frames = moving(contrast)
    done, _, _ = run(frames)
    assert (
        max(np.abs(one.astype(int) - two).max() for one, two in zip(frames, done, strict=True)) <= 1
    )


def test_faint_motion_smears_by_less_than_a_shimmer():
    frames = [
        np.roll(
            np.tile(np.uint8([100, 100, 100, 108, 108, 108]), (40, 8))[..., None].repeat(3, 2),
            index,
            1,
        )
        for index in range(9)
    ]
    done, _, _ = run(frames)
    assert (
        max(np.abs(one.astype(int) - two).max() for one, two in zip(frames, done, strict=True))
        < MAX_FLICKER
    )


def test_a_streak_that_one_frame_has_does_not_spread(wall):
    frames = [wall.copy() for _ in range(7)]
    frames[3][:, 30:32] += 60
    done, _, _ = run(frames)
    for index in (1, 2, 4, 5):
        assert np.abs(done[index].astype(int) - wall).max() <= 1


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_frames_that_are_alike_stay_as_they_are(dtype, rng):
    frame = rng.integers(0, np.iinfo(dtype).max, (20, 30, 3), dtype=dtype, endpoint=True)
    done, _, _ = run([frame] * 6)
    assert all(
        (np.abs(one.astype(int) - frame) <= np.iinfo(dtype).max / 2**20).all() for one in done
    )


def test_both_depths_do_the_same(wall, rng):
    other = (wall + rng.normal(0, 2, wall.shape)).round().astype(np.uint8)
    pairs = (wall, other), (wall.astype(np.uint16) * 257, other.astype(np.uint16) * 257)
    shallow, deep = (weighted_mean(one, [(two, stillness(one, two))]) for one, two in pairs)
    assert np.abs(shallow - deep / 257).max() <= 0.51


def test_grey_frames():
    one, two = np.full((9, 9), 100, np.uint8), np.full((9, 9), 102, np.uint8)
    assert weighted_mean(one, [(two, stillness(one, two))]).tolist() == [[101] * 9] * 9


@pytest.mark.parametrize("count", [0, 1, REACH, REACH + 1, 2 * REACH + 2])
def test_short_clips(count, wall):
    assert len(run([wall] * count)[0]) == count


def test_a_size_that_changes_begins_anew(wall):
    done, _, _ = run([wall] * 4 + [wall[:20]] * 4)
    assert [frame.shape[0] for frame in done] == [40] * 4 + [20] * 4


def test_flicker_of_what_stands_still_or_moves_evenly_is_none():
    flicker = Flicker()
    for index in range(5):
        flicker.see(np.full((4, 4, 3), 10 * index, np.uint8))
    assert flicker.levels == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(("dtype", "white"), [("uint8", 255), ("uint16", 65535)])
def test_flicker_is_in_levels_of_255(dtype, white):
    flicker = Flicker()
    for index in range(6):
        flicker.see(np.full((4, 4, 3), white if index % 2 else 0, dtype))
    assert flicker.levels == pytest.approx(255, rel=1e-5)


def test_flicker_of_two_frames_is_not_known():
    flicker = Flicker()
    flicker.see(np.zeros((4, 4), np.uint8))
    flicker.see(np.full((4, 4), 9, np.uint8))
    assert flicker.levels == 0
