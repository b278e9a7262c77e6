import time

import numpy as np
import pytest

from derain.errors import DerainError
from derain.rain import Rain, layer, render, streaks
from derain.rain.streaks import HALF_WIDTH, Streaks, draw

GREY = np.full((120, 160, 3), 90, np.uint8)
PIXELS_OF_SEED_1 = [
    [208, 184, 196, 155, 189, 147],
    [208, 195, 203, 158, 177, 148],
    [194, 208, 205, 169, 165, 150],
    [175, 222, 204, 185, 154, 146],
]
"""Heavy rain of seed 1 over the first 4 x 6 pixels of GREY."""


def draw_streak(*, angle_deg=0.0, x=50.0, y=40.0, length=40.0, width=3.0, light=0.5):
    angle = np.radians(angle_deg)
    values = x, y, length / 2, width * HALF_WIDTH, np.sin(angle), np.cos(angle), light
    return draw(Streaks(*(np.array([value], np.float32) for value in values)), height=80, width=100)


def dominant_angle_deg(light):
    """Return the main direction of a layer, from the structure tensor; positive drifts right."""
    down, right = np.gradient(light.astype(float))
    tensor = 2 * (down * right).sum(), (right * right - down * down).sum()
    return -np.degrees(np.arctan2(*tensor)) / 2


def steepness(light, axis):
    """Return the mean absolute difference of neighbouring pixels."""
    return np.abs(np.diff(light, axis=axis)).mean()


def test_same_seed_gives_the_same_picture():
    first, second = (render(GREY, rain="heavy", seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_other_seed_gives_another_picture():
    first, second = (render(GREY, rain="heavy", seed=seed) for seed in (3, 4))
    assert (first != second).mean() > 0.5


def test_seed_gives_the_same_picture_in_every_version():
    rainy = render(GREY[:4, :6], rain="heavy", seed=1)[..., 0]
    # platforms may round differently, by one level
    assert np.abs(rainy.astype(int) - PIXELS_OF_SEED_1).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (7, 300, 3), (64, 48)])
def test_shape_and_dtype_are_kept(shape, dtype):
    rainy = render(np.zeros(shape, dtype), rain="heavy", seed=0)
    assert rainy.shape == shape
    assert rainy.dtype == dtype


def test_input_is_not_modified():
    clean = GREY.copy()
    render(clean, rain="heavy", seed=0)
    np.testing.assert_array_equal(clean, GREY)


def test_8_and_16_bits_agree():
    rainy16 = render(GREY.astype(np.uint16) * 257, rain="heavy", seed=0)
    np.testing.assert_allclose(rainy16 / 257, render(GREY, rain="heavy", seed=0), atol=0.51)


def test_no_coverage_and_no_mist_change_nothing():
    np.testing.assert_array_equal(render(GREY, rain=Rain(coverage=0), seed=0), GREY)


def test_full_mist_hides_the_picture(rng):
    noise = rng.random((50, 50, 3))
    misty = render(noise, rain=Rain(coverage=0, mist=1.0), seed=0)
    assert misty.std() < 0.5 * noise.std()


@pytest.mark.parametrize("composite", ["add", "screen", "blend"])
def test_streaks_never_darken(composite, rng):
    noise = rng.integers(0, 256, (100, 100, 3), dtype=np.uint8)
    assert (render(noise, rain=Rain(composite=composite, coverage=2), seed=0) >= noise).all()


def test_blended_streaks_vanish_in_front_of_a_bright_sky():
    sky = np.full((100, 100, 3), 230, np.uint8)
    rainy = render(sky, rain=Rain(composite="blend", coverage=2), seed=0)
    np.testing.assert_array_equal(rainy, sky)


def test_added_streaks_equal_the_layer():
    rain = Rain(coverage=0.4)
    black = np.zeros((80, 90, 3), np.float32)
    rainy = render(black, rain=rain, seed=5)[..., 0]
    np.testing.assert_array_equal(rainy, np.minimum(layer(80, 90, rain=rain, seed=5), 1))


def test_streak_is_brightest_at_its_centre():
    light = draw_streak(light=0.5)
    assert np.unravel_index(light.argmax(), light.shape) == (40, 50)
    assert light.max() == pytest.approx(0.5)


def test_width_is_measured_at_half_brightness():
    row = draw_streak(width=6.0)[40]
    assert (row > row.max() / 2).sum() == pytest.approx(6, abs=1)


def test_streak_has_the_given_length():
    rows = np.flatnonzero(draw_streak(length=40.0).sum(axis=1))
    assert rows[-1] - rows[0] == pytest.approx(40, abs=2)


@pytest.mark.parametrize("angle_deg", [-60, -20, 20, 60])
def test_light_of_a_streak_is_independent_of_its_angle(angle_deg):
    assert draw_streak(angle_deg=angle_deg).sum() == pytest.approx(draw_streak().sum(), rel=0.01)


def test_streak_is_cut_at_the_border():
    light = draw_streak(x=0.0, length=20)
    assert light[:, 50:].sum() == 0
    assert light[:, 0].sum() > 0


@pytest.mark.parametrize("angle_deg", [-40, -10, 0, 25])
def test_streaks_have_the_given_angle(angle_deg):
    rain = Rain(angle_deg=angle_deg, layer_spread_deg=0)
    light = layer(300, 300, rain=rain, seed=0, scale=4)  # wide, so that gradients are accurate
    assert dominant_angle_deg(light) == pytest.approx(angle_deg, abs=2)


@pytest.mark.parametrize("coverage", [0.1, 0.5, 1.5])
def test_covered_share_follows_from_the_coverage(coverage):
    rain = Rain(coverage=coverage, brightness=0.2, brightness_spread=0, defocus_px=0, layers=1)
    covered = (layer(400, 400, rain=rain, seed=0) > 0.1).mean()
    # the soft ends, 0.16 of a streak, are darker than half its brightness
    assert covered == pytest.approx(1 - np.exp(-0.84 * coverage), rel=0.15)


def test_border_is_as_dense_as_the_middle():
    rain = Rain(coverage=2, angle_deg=30)
    light = np.mean([layer(200, 200, rain=rain, seed=seed) for seed in range(8)], axis=0)
    strips = light[:20], light[-20:], light[:, :20], light[:, -20:]
    border = np.concatenate([strip.ravel() for strip in strips])
    assert border.mean() == pytest.approx(light[50:-50, 50:-50].mean(), rel=0.1)


@pytest.fixture
def sample_counts(monkeypatch):
    """Number of samples of each call of `_light`."""
    counts, light = [], streaks._light

    def count(part, *, rows, columns):
        counts.append(columns.size)
        return light(part, rows=rows, columns=columns)

    monkeypatch.setattr(streaks, "_light", count)
    return counts


def test_samples_in_memory_are_bounded(sample_counts):
    layer(600, 800, rain=Rain(coverage=2, width_px=8), seed=0)
    assert len(sample_counts) > 10
    assert max(sample_counts) <= streaks.CHUNK


def test_light_does_not_depend_on_the_chunk(monkeypatch):
    in_one_chunk = layer(200, 300, rain="heavy", seed=0)
    monkeypatch.setattr(streaks, "CHUNK", 5_000)
    np.testing.assert_allclose(layer(200, 300, rain="heavy", seed=0), in_one_chunk, atol=1e-6)


def test_streaks_grow_with_the_picture():
    small, large = (layer(size, size, rain="moderate", seed=0) for size in (400, 1600))
    relative = [steepness(light, axis=0) / light.mean() for light in (small, large)]
    assert relative[0] / relative[1] == pytest.approx(4, rel=0.25)


def test_scale_enlarges_streaks():
    rain = Rain(coverage=1)
    normal, enlarged = (layer(64, 64, rain=rain, seed=0, scale=scale) for scale in (None, 4))
    assert steepness(enlarged, axis=0) < 0.5 * steepness(normal, axis=0)


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
    assert steepness(blurred, axis=1) < 0.6 * steepness(sharp, axis=1)
    assert blurred.mean() == pytest.approx(sharp.mean(), rel=0.1)


@pytest.mark.parametrize("value", [120.0, -0.5, np.nan])
def test_floats_out_of_range_are_an_error(value):
    with pytest.raises(DerainError, match="rain needs floats"):
        render(np.full((20, 30, 3), value, np.float32))


@pytest.mark.parametrize(
    "options",
    [{"seed": -1}, *({"scale": scale} for scale in (0, -2.0, float("nan"), float("inf"), 8))],
)
def test_seed_and_scale_out_of_range_are_errors(options):
    with pytest.raises(DerainError, match="out of range"):
        render(np.zeros((20, 30, 3), np.uint8), **options)


def test_too_many_streaks_are_an_error():
    rain = Rain(coverage=6, length_px=1, width_px=0.5)
    with pytest.raises(
        DerainError, match=r"[\d,]+ streaks in a layer is too much; choose a larger"
    ):
        render(np.zeros((480, 640, 3), np.uint8), rain=rain, scale=0.05)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((5, 5, 4), np.uint8), r"\(5, 5, 4\)"),
        (np.zeros((0, 5, 3), np.uint8), r"\(0, 5, 3\)"),
        (np.zeros((5, 5, 3), np.int32), "int32"),
    ],
)
def test_other_arrays_are_errors(picture, words):
    with pytest.raises(DerainError, match=words):
        render(picture)


def test_unknown_preset_is_an_error_with_the_known_ones():
    with pytest.raises(DerainError, match="light, moderate, heavy"):
        render(GREY, rain="drizzle")


def test_rendering_is_fast_enough_for_training():
    clean = np.full((321, 481, 3), 90, np.uint8)
    render(clean, rain="heavy", seed=0)
    start = time.process_time()
    render(clean, rain="heavy", seed=0)
    assert time.process_time() - start < 0.3
