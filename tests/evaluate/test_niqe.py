"""NIQE against the formulas of the paper, and its known behaviour."""

import math

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage import data

from derain.evaluate.niqe import (
    MIN_SIDE_PX,
    PATCH_PX,
    Pristine,
    _fit_asymmetric,
    block_statistics,
    niqe,
    pristine,
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
def test_good_photos_have_a_low_niqe(name):
    assert niqe(getattr(data, name)()) < 5.5


@pytest.mark.parametrize(
    "levels", [(noisy, (0, 8, 20, 50)), (blurred, (0, 1, 2, 4))], ids=["noise", "blur"]
)
def test_niqe_rises_with_damage(levels, photo):
    damage, amounts = levels
    figures = [niqe(damage(photo, amount)) for amount in amounts]
    assert figures == sorted(figures)
    assert figures[-1] > 2 * figures[0]


@pytest.mark.parametrize("seed", range(3))
def test_niqe_rises_with_rain(seed, photo):
    assert niqe(render(photo, rain="heavy", seed=seed)) > niqe(photo) + 0.5


@pytest.mark.parametrize(
    ("shape", "left", "right"), [(0.7, 1.0, 1.0), (2.0, 0.5, 1.0), (1.2, 2.0, 0.8)]
)
def test_the_fit_recovers_the_distribution(shape, left, right, rng):
    # |x| / width is a gamma variate to the power 1 / shape; each side has mass as its width
    size = rng.gamma(1 / shape, size=200_000) ** (1 / shape)
    values = np.where(rng.random(200_000) < left / (left + right), -left * size, right * size)
    mean = (right - left) * math.gamma(2 / shape) / math.gamma(1 / shape)
    fitted = [float(figure[0]) for figure in _fit_asymmetric(values[None])]
    assert fitted == pytest.approx([shape, mean, left, right], rel=0.03, abs=0.02)


def test_niqe_equals_equation_10(photo, rng):
    # equation 10: sqrt((v1 - v2)' ((S1 + S2) / 2)^-1 (v1 - v2))
    spread = rng.normal(size=(200, 36))
    against = Pristine(rng.normal(size=36), np.cov(spread, rowvar=False))
    blocks, _ = block_statistics(photo)
    offset = blocks.mean(axis=0) - against.mean
    middle = (np.cov(blocks.T) + against.covariance) / 2
    assert niqe(photo, against=against) == pytest.approx(
        math.sqrt(offset @ np.linalg.solve(middle, offset)), rel=1e-6
    )


def test_whole_blocks_have_36_statistics(photo):
    blocks, sharp = block_statistics(photo)
    assert blocks.shape == (4 * 5, 36)
    assert sharp.shape == (20,)


def test_half_of_the_statistics_are_at_half_size(photo):
    smooth = blurred(photo, 1)
    at_full = [block_statistics(image)[0][:, 0].mean() for image in (photo, smooth)]
    at_half = [block_statistics(image)[0][:, 18].mean() for image in (photo, smooth)]
    assert abs(at_full[1] - at_full[0]) > 2 * abs(
        at_half[1] - at_half[0]
    )  # a slight blur is gone at half size


def test_fit_uses_sharp_blocks(photo):
    half_soft = photo.copy()
    half_soft[:192] = blurred(photo, 6)[:192]
    blocks, sharp = block_statistics(half_soft)
    assert Pristine.fit([half_soft]).mean == pytest.approx(
        blocks[sharp >= 0.75 * sharp.max()].mean(axis=0)
    )


def test_a_photo_is_closest_to_its_own_fit(photo):
    assert niqe(photo, against=Pristine.fit([photo, data.coffee()])) < niqe(photo)


def test_save_keeps_the_covariance(photo, tmp_path):
    learnt = Pristine.fit([photo])
    learnt.save(tmp_path / "own.npz")
    with np.load(tmp_path / "own.npz") as arrays:
        np.testing.assert_array_equal(arrays["covariance"], learnt.covariance)


def test_the_shipped_fit_is_valid():
    np.linalg.cholesky(pristine().covariance)
    assert pristine().mean.shape == (36,)


def test_all_dtypes_give_the_same_niqe(photo):
    assert (
        niqe(photo.astype(np.uint16) * 257) == niqe(photo) == niqe((photo / 255).astype(np.float32))
    )


@pytest.mark.parametrize("scale", [np.float64(255), np.int64(1), np.nan])
def test_arrays_that_are_not_pictures_are_rejected(scale, photo):
    with pytest.raises(ValueError, match=r"^photo "):
        niqe(photo * scale)


def test_grey_counts_as_three_channels(photo):
    grey = photo[..., 0]
    assert niqe(grey) == niqe(np.stack([grey] * 3, axis=2))


def test_flat_pictures_have_a_finite_niqe():
    assert math.isfinite(niqe(np.full((200, 200, 3), 90, np.uint8)))


@pytest.mark.parametrize("size", [(MIN_SIDE_PX - 1, 400), (400, PATCH_PX)])
def test_small_photos_are_rejected(size):
    with pytest.raises(ValueError, match="192 px"):
        niqe(np.zeros((*size, 3), np.uint8))
