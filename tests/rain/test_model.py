from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derain.errors import DerainError
from derain.rain import PRESETS, Rain, layer, random, render
from derain.rain.model import RANGES

RAIN100 = {"light": (0.16, 0.021, 0.24), "heavy": (0.84, 0.206, 0.49)}
"""Share of pixels under streaks, mean light, and 95th percentile of the light under streaks:
medians over Rain100L and Rain100H (docs/data.md)."""


def statistics(light):
    under_streaks = light[light > 0.04]
    return under_streaks.size / light.size, light.mean(), np.quantile(under_streaks, 0.95)


@pytest.mark.parametrize("preset", RAIN100)
def test_preset_has_the_statistics_of_rain100(preset):
    rendered = [statistics(layer(321, 481, rain=PRESETS[preset], seed=seed)) for seed in range(4)]
    np.testing.assert_allclose(np.median(rendered, axis=0), RAIN100[preset], rtol=0.25)


def test_presets_grow_heavier():
    light, moderate, heavy = (
        layer(300, 300, rain=name, seed=0).mean() for name in ("light", "moderate", "heavy")
    )
    assert light < moderate / 2
    assert moderate < heavy / 2


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_random_rain_always_renders(seed):
    rainy = render(np.full((40, 50, 3), 0.3, np.float32), rain=random(seed), seed=seed)
    assert np.isfinite(rainy).all()
    assert rainy.min() >= 0
    assert rainy.max() <= 1


def test_random_rain_ranges_from_drizzle_to_downpour():
    means = [layer(100, 100, rain=random(seed), seed=seed).mean() for seed in range(60)]
    assert min(means) < 0.02
    assert max(means) > 0.2


def test_random_rain_keeps_fixed_parameters():
    assert random(0, angle_deg=33.0, layers=2) == replace(random(0), angle_deg=33.0, layers=2)


def test_random_rain_of_a_fixed_coverage_is_not_too_bright():
    assert all(random(seed, coverage=4.0).brightness <= 0.15 for seed in range(20))
    assert random(0, coverage=0.0).coverage == 0.0


@pytest.mark.parametrize("name", RANGES)
def test_value_out_of_range_is_an_error_with_the_range(name):
    minimum, maximum = RANGES[name]
    with pytest.raises(DerainError, match=rf"^{name} = .* from {minimum:g} to {maximum:g}$"):
        Rain(**{name: maximum + 1})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Rain(mist=float("nan")), "mist"),
        (lambda: Rain(layers=1.5), "whole number"),
        (lambda: Rain(composite="glue"), "add, screen, blend"),
        (lambda: random(0, fog=1), "fog"),
        (lambda: random(-1), "choose 0 or more"),
    ],
)
def test_invalid_rain_is_an_error(call, words):
    with pytest.raises(DerainError, match=words):
        call()
