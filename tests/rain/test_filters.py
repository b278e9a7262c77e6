import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import threshold_otsu

from derain.rain.filters import (
    component_areas,
    convolve,
    gaussian_kernel,
    motion_kernel,
    otsu_threshold,
    resize,
)


@pytest.mark.parametrize("length_px", [1, 7, 40.5])
def test_motion_kernel_has_the_given_length(length_px):
    column = motion_kernel(length_px, 0).sum(axis=1)
    assert column.sum() == pytest.approx(1)
    assert 1 / column.max() == pytest.approx(length_px, abs=0.6)


def test_motion_kernel_drifts_to_the_right():
    kernel = motion_kernel(21, 45)
    rows, columns = np.nonzero(kernel > kernel.max() / 2)
    assert np.corrcoef(rows, columns)[0, 1] > 0.99


@pytest.mark.parametrize("shape", [(1, 1), (5, 70), (64, 48)])
def test_convolution_agrees_with_scipy(shape, rng):
    image = rng.random(shape, dtype=np.float32)
    kernel = motion_kernel(9, 30)
    expected = ndimage.convolve(image, kernel, mode="reflect")
    np.testing.assert_allclose(convolve(image, kernel), expected, atol=1e-5)


def test_gaussian_agrees_with_scipy(rng):
    image = rng.random((40, 50), dtype=np.float32)
    expected = ndimage.gaussian_filter(image, 1.5, truncate=10 / 3)
    np.testing.assert_allclose(convolve(image, gaussian_kernel(1.5)), expected, atol=1e-4)


def test_otsu_agrees_with_scikit_image(rng):
    image = np.concatenate([rng.normal(0.2, 0.05, 500), rng.normal(0.8, 0.1, 300)])
    threshold = otsu_threshold(image.astype(np.float32))
    assert threshold == pytest.approx(threshold_otsu(image), abs=0.01)


def test_component_areas_agree_with_scipy(rng):
    mask = rng.random((40, 60)) < 0.4
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    expected = np.bincount(labels.ravel())[labels] * mask
    np.testing.assert_array_equal(component_areas(mask), expected)


def test_long_component_is_found_whole():
    spiral = np.zeros((9, 200), bool)
    spiral[1::2] = True
    spiral[2::4, -1] = spiral[4::4, 0] = True
    assert set(component_areas(spiral)[spiral].tolist()) == {int(spiral.sum())}


def test_resize_to_the_same_size_changes_nothing(rng):
    image = rng.random((5, 7), dtype=np.float32)
    assert resize(image, 5, 7) is image
