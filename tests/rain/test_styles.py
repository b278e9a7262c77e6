from typing import get_args

import numpy as np
import pytest

from derain.cli.rain import StyleName
from derain.errors import DerainError
from derain.rain import STYLES, StreakMasks, render_style, render_style_pair
from derain.rain.styles import combine

GREY = np.full((120, 160, 3), 90, np.uint8)


OURS = ("specks", "lines", "close-drops", "drips")
"""Styles with few streaks in a picture."""


@pytest.fixture(scope="module")
def masks():
    """Two masks of vertical streaks of several sizes."""
    images = np.zeros((2, 160, 300), np.uint8)
    for index, image in enumerate(images):
        for column in range(5 + index, 290, 12):
            length, width = 6 + column % 50, 1 + column % 4
            image[column % 90 : column % 90 + length, column : column + width] = 180
    return StreakMasks(list(images))


def render(masks, clean=GREY, **options):
    return render_style(clean, masks=masks, **options)


@pytest.mark.parametrize("style", STYLES)
def test_same_seed_gives_the_same_picture(style, masks):
    first, second = (render(masks, style=style, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("style", STYLES)
def test_other_seed_gives_another_picture(style, masks):
    first, second = (render(masks, style=style, seed=seed) for seed in (3, 4))
    assert (first != second).any()


@pytest.mark.parametrize("style", sorted(set(STYLES) - set(OURS)))
def test_rain_is_visible(style, masks):
    difference = render(masks, style=style, seed=0).astype(int) - GREY
    assert np.abs(difference).mean() > 1
    assert difference.max() > 15


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(1, 1), (7, 90, 3), (64, 48)])
@pytest.mark.parametrize("style", STYLES)
def test_shape_and_dtype_are_kept(style, shape, dtype, masks):
    rainy = render(masks, np.zeros(shape, dtype), style=style)
    assert rainy.shape == shape
    assert rainy.dtype == dtype


@pytest.mark.parametrize("style", sorted(set(STYLES) - {"outdoor-rain"}))
def test_only_haze_and_defocus_darken(style, masks):
    assert (render(masks, style=style, seed=1) >= GREY).all()


@pytest.mark.parametrize("style", STYLES)
def test_pair_differs_by_streaks_only(style, masks):
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 230, (90, 120, 3), dtype=np.uint8)
    rainy, dry = render_style_pair(photo, style=style, seed=1, masks=masks)
    np.testing.assert_array_equal(rainy, render(masks, photo, style=style, seed=1))
    assert (rainy >= dry).all()
    assert (dry == photo).all() == (style != "outdoor-rain")


@pytest.mark.parametrize("style", ["rain1400", "hq-rain", "rain-gen-noise"])
def test_streaks_grow_with_the_picture(style):
    steepness = []
    for scale in (1.0, 4.0):
        rain = render_style(np.zeros((300, 300)), style=style, seed=2, scale=scale)
        steepness.append(np.abs(np.diff(rain, axis=1)).mean() / rain.mean())
    assert steepness[1] < 0.6 * steepness[0]


@pytest.mark.parametrize(("composite", "value"), [("add", 0.8), ("screen", 0.65), ("alpha", 0.6)])
def test_composites(composite, value):
    image, rain = np.full((1, 1, 3), 0.3, np.float32), np.full((1, 1), 0.5, np.float32)
    np.testing.assert_allclose(combine(image, rain, composite), value, atol=1e-6)


def test_streak_areas(masks):
    areas = masks.areas(0)
    # the first streak begins at column 5: 11 pixels long, 2 wide
    assert areas[5, 5] == 11 * 2
    assert areas[0, 0] == 0


@pytest.mark.parametrize("style", [name for name, style in STYLES.items() if style.needs_masks])
def test_missing_masks_are_an_error(style):
    with pytest.raises(DerainError, match=r"needs streak masks.*--streaks"):
        render_style(GREY, style=style)


@pytest.mark.parametrize("mask", [np.eye(40, dtype=np.float32), np.zeros((40, 40, 3), np.uint8)])
def test_masks_of_another_kind_are_an_error(mask):
    with pytest.raises(DerainError, match="streak masks are uint8"):
        render_style(GREY, style="rain-mix", masks=StreakMasks([mask]))


def test_unknown_style_is_an_error_with_the_known_ones():
    with pytest.raises(DerainError, match="rain1400, hq-rain"):
        render_style(GREY, style="drizzle")


def test_scale_out_of_range_is_an_error():
    with pytest.raises(DerainError, match="out of range"):
        render_style(GREY, style="rain1400", scale=0)


def test_command_line_offers_every_style():
    assert list(get_args(StyleName)) == list(STYLES)
