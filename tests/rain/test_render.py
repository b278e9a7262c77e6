import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derain.data.pairs.find import find_pairs
from derain.errors import DerainError
from derain.rain import PRESETS, Rain, layer, random, render, streaks
from derain.rain.model import RANGES
from derain.rain.streaks import HALF_WIDTH, Streaks, draw

SHARED = Path(__file__).parents[3] / "shared" / "data" / "pairs"
GREY = np.full((120, 160, 3), 90, np.uint8)


def one_streak(*, angle_deg=0.0, x=50.0, y=40.0, length=40.0, width=3.0, light=0.5):
    angle = np.radians(angle_deg)
    values = x, y, length / 2, width * HALF_WIDTH, np.sin(angle), np.cos(angle), light
    return draw(Streaks(*(np.array([value], np.float32) for value in values)), height=80, width=100)


def lean_deg(light):
    """The direction that most streaks of a layer run in, from the structure tensor; positive drifts right while falling."""
    down, right = np.gradient(light.astype(float))
    return (
        -np.degrees(np.arctan2(2 * (down * right).sum(), (right * right - down * down).sum())) / 2
    )


def test_the_same_seed_gives_the_same_picture():
    np.testing.assert_array_equal(
        render(GREY, rain="heavy", seed=3), render(GREY, rain="heavy", seed=3)
    )


@pytest.mark.parametrize("value", [120.0, -0.5, np.nan])
def test_floats_that_are_no_picture_are_refused(value):
    with pytest.raises(DerainError, match="rain needs floats"):
        render(np.full((20, 30, 3), value, np.float32))


def test_another_seed_gives_another_picture():
    assert (render(GREY, rain="heavy", seed=3) != render(GREY, rain="heavy", seed=4)).mean() > 0.5


def test_a_seed_gives_the_picture_that_it_gave_when_this_was_written():
    rainy = render(GREY[:4, :6], rain="heavy", seed=1)[..., 0]
    assert (
        np.abs(rainy.astype(int) - WRITTEN).max() <= 1
    )  # one level, where another platform rounds the other way


WRITTEN = [
    [208, 184, 196, 155, 189, 147],
    [208, 195, 203, 158, 177, 148],
    [194, 208, 205, 169, 165, 150],
    [175, 222, 204, 185, 154, 146],
]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (7, 300, 3), (64, 48)])
def test_shape_and_dtype_stay(shape, dtype):
    rainy = render(np.zeros(shape, dtype), rain="heavy", seed=0)
    assert (rainy.shape, rainy.dtype) == (shape, dtype)


def test_the_clean_picture_is_left_alone():
    clean = GREY.copy()
    render(clean, rain="heavy", seed=0)
    np.testing.assert_array_equal(clean, GREY)


def test_depths_of_eight_and_sixteen_bits_agree():
    deep = render(GREY.astype(np.uint16) * 257, rain="heavy", seed=0)
    np.testing.assert_allclose(deep / 257, render(GREY, rain="heavy", seed=0), atol=0.51)


def test_rain_without_coverage_and_mist_changes_nothing():
    np.testing.assert_array_equal(render(GREY, rain=Rain(coverage=0), seed=0), GREY)


def test_full_mist_hides_the_picture():
    noise = np.random.default_rng(0).random((50, 50, 3))
    misty = render(noise, rain=Rain(coverage=0, mist=1.0), seed=0)
    assert misty.std() < 0.5 * noise.std()


@pytest.mark.parametrize("composite", ["add", "screen", "blend"])
def test_streaks_never_darken(composite):
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    assert (render(noise, rain=Rain(composite=composite, coverage=2), seed=0) >= noise).all()


def test_blended_streaks_vanish_before_a_bright_sky():
    sky = np.full((100, 100, 3), 230, np.uint8)
    np.testing.assert_array_equal(
        render(sky, rain=Rain(composite="blend", coverage=2), seed=0), sky
    )


def test_added_streaks_are_the_layer():
    rain = Rain(coverage=0.4)
    black = np.zeros((80, 90, 3), np.float32)
    np.testing.assert_array_equal(
        render(black, rain=rain, seed=5)[..., 0], np.minimum(layer(80, 90, rain=rain, seed=5), 1)
    )


def test_a_streak_is_brightest_in_its_middle():
    light = one_streak(light=0.5)
    assert np.unravel_index(light.argmax(), light.shape) == (
        40,
        50,
    ) and light.max() == pytest.approx(0.5)


def test_a_streak_is_as_wide_at_half_its_brightness_as_asked():
    row = one_streak(width=6.0)[40]
    assert (row > row.max() / 2).sum() == pytest.approx(6, abs=1)


def test_a_streak_is_no_longer_than_asked():
    rows = np.flatnonzero(one_streak(length=40.0).sum(axis=1))
    assert rows[-1] - rows[0] == pytest.approx(40, abs=2)


@pytest.mark.parametrize("angle_deg", [-60, -20, 0, 20, 60])
def test_a_streak_has_the_same_light_at_every_lean(angle_deg):
    assert one_streak(angle_deg=angle_deg).sum() == pytest.approx(one_streak().sum(), rel=0.01)


def test_a_streak_beyond_the_border_is_cut_not_wrapped():
    light = one_streak(x=0.0, length=20)
    assert light[:, 50:].sum() == 0 and light[:, 0].sum() > 0


@pytest.mark.parametrize("angle_deg", [-40, -10, 0, 25])
def test_streaks_lean_as_asked(angle_deg):
    light = layer(
        300, 300, rain=Rain(angle_deg=angle_deg, layer_spread_deg=0), seed=0, scale=4
    )  # wide: differences are exact
    assert lean_deg(light) == pytest.approx(angle_deg, abs=2)


@pytest.mark.parametrize("coverage", [0.1, 0.5, 1.5])
def test_the_share_of_the_picture_under_streaks_follows_from_the_coverage(coverage):
    rain = Rain(coverage=coverage, brightness=0.2, brightness_spread=0, defocus_px=0, layers=1)
    lit = (layer(400, 400, rain=rain, seed=0) > 0.1).mean()
    assert lit == pytest.approx(
        1 - np.exp(-0.84 * coverage), rel=0.15
    )  # the soft ends, 0.16 of a streak, stay below half


def test_rain_is_as_dense_at_the_border_as_in_the_middle():
    light = np.mean(
        [layer(200, 200, rain=Rain(coverage=2, angle_deg=30), seed=seed) for seed in range(8)],
        axis=0,
    )
    border = np.concatenate(
        [light[:20].ravel(), light[-20:].ravel(), light[:, :20].ravel(), light[:, -20:].ravel()]
    )
    assert border.mean() == pytest.approx(light[50:-50, 50:-50].mean(), rel=0.1)


@pytest.fixture
def samples(monkeypatch):
    """How many samples each call of `_light` computes."""
    counts, light = [], streaks._light

    def counting(part, *, rows, columns):
        counts.append(columns.size)
        return light(part, rows=rows, columns=columns)

    monkeypatch.setattr(streaks, "_light", counting)
    return counts


def test_the_samples_that_are_held_at_a_time_are_bounded(samples):
    layer(600, 800, rain=Rain(coverage=2, width_px=8), seed=0)
    assert len(samples) > 10 and max(samples) <= streaks.CHUNK


def test_the_light_does_not_depend_on_how_many_samples_are_held(monkeypatch):
    whole = layer(200, 300, rain="heavy", seed=0)
    monkeypatch.setattr(streaks, "CHUNK", 5_000)
    np.testing.assert_allclose(layer(200, 300, rain="heavy", seed=0), whole, atol=1e-6)


def test_streaks_grow_with_a_large_picture():
    small, large = (layer(size, size, rain="moderate", seed=0) for size in (400, 1600))
    vertical = [np.abs(np.diff(light, axis=0)).mean() / light.mean() for light in (small, large)]
    assert vertical[0] / vertical[1] == pytest.approx(4, rel=0.25)


def test_a_crop_keeps_the_scale_that_it_is_given():
    light = layer(64, 64, rain=Rain(coverage=1), seed=0, scale=4)
    assert (
        np.abs(np.diff(light, axis=0)).mean()
        < 0.5 * np.abs(np.diff(layer(64, 64, rain=Rain(coverage=1), seed=0), axis=0)).mean()
    )


def test_defocus_widens_near_streaks_and_keeps_their_light():
    sharp, blurred = (
        layer(
            300,
            300,
            rain=Rain(coverage=1, depth=1, layers=1, layer_spread_deg=0, defocus_px=px),
            seed=0,
        )
        for px in (0, 12)
    )
    steepness = [np.abs(np.diff(light, axis=1)).mean() for light in (sharp, blurred)]
    assert steepness[1] < 0.6 * steepness[0] and blurred.mean() == pytest.approx(
        sharp.mean(), rel=0.1
    )


def test_presets_grow_heavier():
    light, moderate, heavy = (
        layer(300, 300, rain=name, seed=0).mean() for name in ("light", "moderate", "heavy")
    )
    assert light < moderate / 2 < heavy / 4


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_random_rain_is_in_range_and_renders(seed):
    rainy = render(np.full((40, 50, 3), 0.3, np.float32), rain=random(seed), seed=seed)
    assert np.isfinite(rainy).all() and rainy.min() >= 0 and rainy.max() <= 1


def test_random_rain_reaches_from_drizzle_to_downpour():
    means = [layer(100, 100, rain=random(seed), seed=seed).mean() for seed in range(60)]
    assert min(means) < 0.02 and max(means) > 0.2


def test_random_rain_keeps_what_is_fixed():
    assert random(0, angle_deg=33.0, layers=2) == replace(random(0), angle_deg=33.0, layers=2)


@pytest.mark.parametrize("name", RANGES)
def test_a_value_out_of_range_is_named_with_its_range(name):
    with pytest.raises(
        DerainError, match=rf"^{name} = .* from {RANGES[name][0]:g} to {RANGES[name][1]:g}$"
    ):
        Rain(**{name: RANGES[name][1] + 1})


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"scale": 0},
        {"scale": -2.0},
        {"scale": float("nan")},
        {"scale": float("inf")},
        {"scale": 8},
    ],
)
def test_a_seed_or_a_scale_out_of_range_is_refused(wrong):
    with pytest.raises(DerainError, match="out of range"):
        render(np.zeros((20, 30, 3), np.uint8), **wrong)


def test_more_streaks_than_fit_into_memory_are_refused():
    with pytest.raises(
        DerainError, match=r"rain of [\d,]+ streaks in a layer is too much; give a larger scale"
    ):
        render(
            np.zeros((480, 640, 3), np.uint8),
            rain=Rain(coverage=6, length_px=1, width_px=0.5),
            scale=0.05,
        )


def test_random_rain_refuses_a_negative_seed():
    with pytest.raises(DerainError, match="choose 0 or more"):
        random(-1)


def test_a_value_that_is_no_number_is_refused():
    with pytest.raises(DerainError, match="mist"):
        Rain(mist=float("nan"))


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: Rain(layers=1.5), "whole number"),
        (lambda: Rain(composite="glue"), "add, screen, blend"),
        (lambda: render(GREY, rain="drizzle"), "light, moderate, heavy"),
        (lambda: render(np.zeros((5, 5, 4), np.uint8)), r"\(5, 5, 4\)"),
        (lambda: render(np.zeros((0, 5, 3), np.uint8)), r"\(0, 5, 3\)"),
        (lambda: render(np.zeros((5, 5, 3), np.int32)), "int32"),
        (lambda: random(0, fog=1), "fog"),
    ],
)
def test_what_cannot_be_rendered_is_refused_with_a_sentence(call, word):
    with pytest.raises(DerainError, match=word):
        call()


def test_rendering_is_fast_enough_to_train_on_the_fly():
    clean = np.full((321, 481, 3), 90, np.uint8)
    render(clean, rain="heavy", seed=0)
    start = time.process_time()
    render(clean, rain="heavy", seed=0)
    assert time.process_time() - start < 0.3


@pytest.mark.skipif(not SHARED.is_dir(), reason="the research data are not here")
@pytest.mark.parametrize(("preset", "name"), [("light", "rain100L"), ("heavy", "rain100H")])
def test_a_preset_has_the_streak_statistics_of_its_real_set(preset, name):
    """Medians over the pictures: share of pixels under streaks, mean light, and the 95th percentile of the light there."""

    def statistics(light):
        return (light > 0.04).mean(), light.mean(), np.quantile(light[light > 0.04], 0.95)

    real = []
    for pair in find_pairs(SHARED / name).pairs[:30]:
        rainy, clean = (image.astype(float) / 255 for image in pair.load())
        darkest = clean.argmin(axis=-1)[..., None]  # the channel that saturates least
        real.append(statistics(np.take_along_axis(rainy - clean, darkest, axis=-1)[..., 0]))
    mine = [statistics(layer(321, 481, rain=PRESETS[preset], seed=seed)) for seed in range(4)]
    np.testing.assert_allclose(np.median(mine, axis=0), np.median(real, axis=0), rtol=0.25)
