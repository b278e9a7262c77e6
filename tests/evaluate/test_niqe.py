"""NIQE: by the paper's formulas, and as it is known to behave."""

import math

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage import data

from derain.evaluate.niqe import (
    PATCH_PX,
    SMALLEST_PX,
    Pristine,
    _asymmetric,
    niqe,
    pristine,
    statistics,
)
from derain.rain import render


@pytest.fixture(scope="module")
def photo():
    return data.astronaut()[:384, :480]


def noisy(image, levels):
    return np.clip(image + np.random.default_rng(1).normal(0, levels, image.shape), 0, 255).astype(
        np.uint8
    )


def blurred(image, radius):
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_a_good_photo_is_near_clean_ones(name):
    assert niqe(getattr(data, name)()) < 5.5


@pytest.mark.parametrize(
    "levels", [(noisy, (0, 8, 20, 50)), (blurred, (0, 1, 2, 4))], ids=["noise", "blur"]
)
def test_it_rises_with_damage(levels, photo):
    damage, amounts = levels
    figures = [niqe(damage(photo, amount)) for amount in amounts]
    assert figures == sorted(figures) and figures[-1] > 2 * figures[0]


@pytest.mark.parametrize("seed", range(3))
def test_it_rises_with_rain(seed, photo):
    assert niqe(render(photo, rain="heavy", seed=seed)) > niqe(photo) + 0.5


@pytest.mark.parametrize(
    ("shape", "left", "right"), [(0.7, 1.0, 1.0), (2.0, 0.5, 1.0), (1.2, 2.0, 0.8)]
)
def test_the_fit_finds_the_distribution_that_values_were_drawn_from(shape, left, right, rng):
    # |x| / width is a gamma variate to the power 1 / shape; the sides hold left and right of the mass, as their widths
    size = rng.gamma(1 / shape, size=200_000) ** (1 / shape)
    values = np.where(rng.random(200_000) < left / (left + right), -left * size, right * size)
    mean = (right - left) * math.gamma(2 / shape) / math.gamma(1 / shape)
    found = [float(figure[0]) for figure in _asymmetric(values[None])]
    assert found == pytest.approx([shape, mean, left, right], rel=0.03, abs=0.02)


def test_the_distance_is_that_of_the_paper_written_out(photo, rng):
    # equation 10: sqrt((v1 - v2)' ((S1 + S2) / 2)^-1 (v1 - v2))
    spread = rng.normal(size=(200, 36))
    against = Pristine(rng.normal(size=36), np.cov(spread, rowvar=False))
    blocks, _ = statistics(photo)
    away = blocks.mean(axis=0) - against.mean
    middle = (np.cov(blocks.T) + against.covariance) / 2
    assert niqe(photo, against=against) == pytest.approx(
        math.sqrt(away @ np.linalg.solve(middle, away)), rel=1e-6
    )


def test_whole_blocks_have_36_statistics_each(photo):
    blocks, sharp = statistics(photo)
    assert (blocks.shape, sharp.shape) == ((4 * 5, 36), (20,))


def test_half_the_statistics_are_those_of_half_the_size(photo):
    smooth = blurred(photo, 1)
    at_full = [statistics(image)[0][:, 0].mean() for image in (photo, smooth)]
    at_half = [statistics(image)[0][:, 18].mean() for image in (photo, smooth)]
    assert abs(at_full[1] - at_full[0]) > 2 * abs(
        at_half[1] - at_half[0]
    )  # a slight blur is gone at half size


def test_clean_photos_are_learnt_from_their_sharp_blocks(photo):
    half_soft = photo.copy()
    half_soft[:192] = blurred(photo, 6)[:192]
    blocks, sharp = statistics(half_soft)
    assert Pristine.fitted([half_soft]).mean == pytest.approx(
        blocks[sharp >= 0.75 * sharp.max()].mean(axis=0)
    )


def test_a_photo_is_nearer_to_itself_than_to_others(photo):
    assert niqe(photo, against=Pristine.fitted([photo, data.coffee()])) < niqe(photo)


def test_what_is_saved_is_what_was_learnt(photo, tmp_path):
    learnt = Pristine.fitted([photo])
    learnt.save(tmp_path / "own.npz")
    with np.load(tmp_path / "own.npz") as arrays:
        np.testing.assert_array_equal(arrays["covariance"], learnt.covariance)


def test_what_ships_is_a_gaussian_of_36_statistics():
    np.linalg.cholesky(pristine().covariance)
    assert pristine().mean.shape == (36,)


def test_floats_and_integers_of_any_width_count_alike(photo):
    assert (
        niqe(photo.astype(np.uint16) * 257) == niqe(photo) == niqe((photo / 255).astype(np.float32))
    )


def test_grey_stands_for_three_equal_channels(photo):
    grey = photo[..., 0]
    assert niqe(grey) == niqe(np.stack([grey] * 3, axis=2))


def test_a_flat_picture_has_a_finite_figure():
    assert math.isfinite(niqe(np.full((200, 200, 3), 90, np.uint8)))


@pytest.mark.parametrize("size", [(SMALLEST_PX - 1, 400), (400, PATCH_PX)])
def test_a_photo_with_too_few_blocks_is_refused(size):
    with pytest.raises(ValueError, match="192 px"):
        niqe(np.zeros((*size, 3), np.uint8))
