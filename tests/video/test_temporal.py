"""The temporal filter reduces flicker and leaves no trails; the flicker figure."""

from __future__ import annotations

import numpy as np
import pytest

from derain.video.flicker import Flicker
from derain.video.temporal import MAX_FLICKER, REACH, Restored, stabilise, stillness, weighted_mean


def run(frames: list[np.ndarray]) -> tuple[list[np.ndarray], float, float]:
    """Return the stabilised frames, and the flicker before and after."""
    before, after = Flicker(), Flicker()
    inputs = [Restored(frame, frame, index) for index, frame in enumerate(frames)]
    outputs = list(stabilise(inputs, before=before, after=after))
    assert [output.tag for output in outputs] == list(range(len(frames)))
    return [output.restored for output in outputs], before.levels, after.levels


def max_difference(frames: list[np.ndarray], others: list[np.ndarray]) -> int:
    return max(
        np.abs(frame.astype(int) - other).max() for frame, other in zip(frames, others, strict=True)
    )


@pytest.fixture
def wall(rng) -> np.ndarray:
    return rng.integers(60, 180, (40, 64, 3), dtype=np.uint8)


def test_noise_is_more_than_halved(wall, rng):
    noisy = [(wall + rng.normal(0, 2, wall.shape)).round().astype(np.uint8) for _ in range(20)]
    _, before, after = run(noisy)
    assert after < before / 2


def test_flicker_of_a_patch_is_more_than_halved(wall):
    """Like a network that removes four levels from a patch in every other frame."""
    frames = [wall.copy() for _ in range(12)]
    for frame in frames[::2]:
        frame[10:30, 20:40] -= 4
    _, before, after = run(frames)
    assert after < before / 2


@pytest.mark.parametrize("contrast", [30, 60, 120])
def test_motion_leaves_no_trail(contrast):
    """A textured square of 12 pixels that moves 3 pixels a frame over a plain background."""
    frames = []
    for index in range(12):
        frame = np.full((40, 64, 3), 100, np.uint8)
        frame[10:22, 3 * index : 3 * index + 12] += np.uint8(contrast)
        frame[10:22:2, 3 * index : 3 * index + 12 : 2] += 20
        frames.append(frame)
    assert max_difference(frames, run(frames)[0]) <= 1


def test_smear_of_faint_motion_is_bounded():
    stripes = np.tile(np.uint8([100, 100, 100, 108, 108, 108]), (40, 8))[..., None].repeat(3, 2)
    frames = [np.roll(stripes, index, 1) for index in range(9)]
    assert max_difference(frames, run(frames)[0]) < MAX_FLICKER


def test_streak_of_one_frame_does_not_spread(wall):
    frames = [wall.copy() for _ in range(7)]
    frames[3][:, 30:32] += 60
    outputs, _, _ = run(frames)
    for index in (1, 2, 4, 5):
        assert np.abs(outputs[index].astype(int) - wall).max() <= 1


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_equal_frames_are_unchanged(dtype, rng):
    white = np.iinfo(dtype).max
    frame = rng.integers(0, white, (20, 30, 3), dtype=dtype, endpoint=True)
    assert max_difference([frame] * 6, run([frame] * 6)[0]) <= white / 2**20


def test_depths_agree(wall, rng):
    noisy = (wall + rng.normal(0, 2, wall.shape)).round().astype(np.uint8)
    shallow, deep = (
        weighted_mean(first, [(second, stillness(first, second))])
        for first, second in (
            (wall, noisy),
            (wall.astype(np.uint16) * 257, noisy.astype(np.uint16) * 257),
        )
    )
    assert np.abs(shallow - deep / 257).max() <= 0.51


def test_grey_frames():
    first, second = np.full((9, 9), 100, np.uint8), np.full((9, 9), 102, np.uint8)
    mean = weighted_mean(first, [(second, stillness(first, second))])
    assert mean.tolist() == [[101] * 9] * 9


@pytest.mark.parametrize("count", [0, 1, REACH, REACH + 1, 2 * REACH + 2])
def test_short_clips(count, wall):
    assert len(run([wall] * count)[0]) == count


def test_change_of_size_restarts_the_filter(wall):
    outputs, _, _ = run([wall] * 4 + [wall[:20]] * 4)
    assert [frame.shape[0] for frame in outputs] == [40] * 4 + [20] * 4


def test_steady_change_is_not_flicker():
    flicker = Flicker()
    for index in range(5):
        flicker.add(np.full((4, 4, 3), 10 * index, np.uint8))
    assert flicker.levels == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(("dtype", "white"), [("uint8", 255), ("uint16", 65535)])
def test_flicker_is_in_levels_of_255(dtype, white):
    flicker = Flicker()
    for index in range(6):
        flicker.add(np.full((4, 4, 3), white if index % 2 else 0, dtype))
    assert flicker.levels == pytest.approx(255, rel=1e-5)


def test_flicker_of_two_frames_is_zero():
    flicker = Flicker()
    flicker.add(np.zeros((4, 4), np.uint8))
    flicker.add(np.full((4, 4), 9, np.uint8))
    assert flicker.levels == 0
