"""Rain on the frames of a clip."""

from __future__ import annotations

import numpy as np
import pytest

from derain.errors import DerainError
from derain.rain import Rain, random_for_shutter, render, render_frames
from derain.rain.shutter import fall_speed_m_s, streak_ratio

GREY = np.full((60, 80, 3), 90, np.uint8)


def test_one_frame_is_a_picture():
    assert np.array_equal(render_frames([GREY], seed=3)[0], render(GREY, seed=3))


def test_each_frame_has_other_streaks():
    first, second, third = (frame > 90 for frame in render_frames([GREY] * 3, rain="light", seed=1))
    assert (first & second).mean() < 0.5 * first.mean()
    assert (first & third).mean() < 0.5 * first.mean()


def test_the_mist_stays():
    mist = Rain(coverage=0, mist=0.5)
    first, second = render_frames([GREY] * 2, rain=mist, seed=1)
    assert np.array_equal(first, second) and (first > GREY).all()


def test_frames_of_other_dtypes_are_checked():
    with pytest.raises(DerainError, match="rain needs a picture of"):
        render_frames([GREY, GREY.astype(np.int64)])


def test_frames_of_another_size_are_rejected():
    with pytest.raises(DerainError, match=r"not 80x60 and 80x30; make a clip of each$"):
        render_frames([GREY, GREY[:30]])


def test_no_frames_give_no_frames():
    assert render_frames([]) == []


@pytest.mark.parametrize("shutter_s", [0, -1 / 60, float("nan")])
def test_an_exposure_that_is_not_above_0_is_rejected(shutter_s):
    with pytest.raises(DerainError, match=r"choose more than 0$"):
        random_for_shutter(1, shutter_s=shutter_s)


@pytest.mark.parametrize(("diameter_mm", "speed"), [(1.0, 4.0), (2.0, 6.5), (4.0, 8.7)])
def test_drops_fall_as_fast_as_published(diameter_mm, speed):
    assert fall_speed_m_s(diameter_mm) == pytest.approx(speed, abs=0.06)


def test_a_drop_of_2_mm_draws_a_streak_of_27_mm_at_1_250_s():
    assert 2 * streak_ratio(shutter_s=1 / 250, diameter_mm=2) == pytest.approx(28.2, abs=0.1)


def test_a_longer_exposure_draws_longer_and_fainter_streaks():
    short, long = (
        [random_for_shutter(seed, shutter_s=shutter_s, width_px=1.0) for seed in range(20)]
        for shutter_s in (1 / 250, 1 / 60)
    )
    for first, second in zip(short, long, strict=True):
        assert second.length_px > 3 * first.length_px
        assert second.brightness < first.brightness


def test_fields_can_be_set():
    rain = random_for_shutter(1, coverage=0.5, length_px=12.0)
    assert (rain.coverage, rain.length_px) == (0.5, 12.0)


def test_the_same_seed_gives_the_same_rain():
    assert random_for_shutter(4) == random_for_shutter(4) != random_for_shutter(5)
