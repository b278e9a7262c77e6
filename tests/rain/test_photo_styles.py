"""Rain that photos show and published generators lack."""

import numpy as np
import pytest

from derain.rain import render_style
from derain.rain.filters import component_areas

SEEDS = range(12)
BLACK = np.zeros((300, 300), np.float32)


def rains(style):
    return [render_style(BLACK, style=style, seed=seed) for seed in SEEDS]


def median_area(rain):
    """Return the median size of a connected piece of rain, weighted by area."""
    areas = component_areas(rain > 0.02)
    return np.median(areas[areas > 0])


@pytest.mark.parametrize("style", ["specks", "lines", "close-drops", "drips"])
def test_rain_is_visible_in_most_pictures(style):
    assert np.mean([rain.max() > 0.06 for rain in rains(style)]) > 0.8


def test_specks_are_a_few_pixels_large():
    assert np.median([median_area(rain) for rain in rains("specks")]) < 15


def test_lines_cross_most_of_the_picture():
    rows = [np.flatnonzero((rain > 0.02).any(axis=1)) for rain in rains("lines")]
    assert np.median([len(wet) and wet[-1] - wet[0] for wet in rows]) > 150


def test_close_drops_are_thick_and_bright():
    pictures = rains("close-drops")
    assert np.median([median_area(rain) for rain in pictures]) > 20
    assert np.median([rain.max() for rain in pictures]) > 0.3


def test_drips_are_columns():
    shares = [(rain > 0.02).any(axis=0).mean() for rain in rains("drips")]
    assert np.median(shares) < 0.3


def test_drops_of_a_column_are_ever_longer():
    for rain in rains("drips"):
        wet = rain[:, rain.sum(axis=0).argmax()] > 0.01
        starts, ends = (np.flatnonzero(np.diff(wet.astype(int)) == step) for step in (1, -1))
        if not wet[0] and len(ends) == len(starts) >= 3:
            lengths = ends - starts
            assert lengths[-2] > lengths[0]  # the last one may be cut
            return
    pytest.fail("no column of drops was drawn")
