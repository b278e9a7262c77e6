"""PSNR, SSIM and MAE against scikit-image and values computed by hand."""

import math
import time

import numpy as np
import pytest
from scipy.ndimage import correlate

from derain.evaluate.metrics import mae, mse_from_psnr, psnr, psnr_from_mse, ssim

SIZES = [(11, 11), (12, 40), (64, 33), (75, 107)]


def noisy_pair(rng, shape):
    """Return (noisy, smooth) pictures whose SSIM is neither 0 nor 1."""
    rows, columns = np.meshgrid(
        np.linspace(0, 3, shape[0]), np.linspace(0, 5, shape[1]), indexing="ij"
    )
    clean = 0.5 + 0.4 * np.sin(rows * columns)
    if len(shape) == 3:
        clean = np.stack([clean, clean**2, 1 - clean], axis=2)
    return np.clip(clean + rng.normal(0, 0.08, shape), 0, 1), clean


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "rgb"])
def test_valid_ssim_equals_scikit_image(size, channels, rng):
    metrics = pytest.importorskip("skimage.metrics")
    x, y = noisy_pair(rng, (*size, *channels))
    expected = metrics.structural_similarity(
        x,
        y,
        data_range=1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=2 if channels else None,
    )
    assert ssim(x, y, border="valid") == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("border", "inside"), [("zero", slice(None)), ("valid", slice(5, -5))], ids=["zero", "valid"]
)
def test_ssim_equals_the_formula_with_a_2d_window(border, inside, rng):
    # Wang et al. (2004), equations 13 to 16, with the whole 11x11 window
    x, y = noisy_pair(rng, (50, 41))
    offset = np.arange(-5, 6)
    window = np.exp(-(offset[:, None] ** 2 + offset[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(plane):
        return correlate(plane, window, mode="constant")[inside, inside]

    mu_x, mu_y = mean(x), mean(y)
    var_x, var_y, cov = mean(x * x) - mu_x**2, mean(y * y) - mu_y**2, mean(x * y) - mu_x * mu_y
    c1, c2 = 0.01**2, 0.03**2
    by_formula = ((2 * mu_x * mu_y + c1) * (2 * cov + c2)) / (
        (mu_x**2 + mu_y**2 + c1) * (var_x + var_y + c2)
    )
    assert ssim(x, y, border=border) == pytest.approx(by_formula.mean(), abs=1e-12)


def test_valid_ssim_of_flat_pictures_is_the_luminance_term():
    # no variance: SSIM = (2ab + c1) / (a^2 + b^2 + c1) with c1 = 0.0001, a = 0.5, b = 0.3
    flat = np.full((16, 20), 0.5), np.full((16, 20), 0.3)
    assert ssim(*flat, border="valid") == pytest.approx(0.3001 / 0.3401, abs=1e-12)


def test_zero_padded_ssim_of_one_pixel():
    # One pixel of a = 1 against b = 0.5. Only the central weight w = g0^2 covers it, where
    # g0 = 1 / (1 + 2 (e^-2/9 + e^-8/9 + e^-18/9 + e^-32/9 + e^-50/9)) = 1 / 3.75927 = 0.266012,
    # w = 0.0707622. mu_x = w, mu_y = w/2; var_x = v, var_y = v / 4, cov = v / 2, where
    # v = w - w^2 = 0.0657549.
    # SSIM = (w^2 + c1) / (1.25 w^2 + c1) * (v + c2) / (1.25 v + c2), c1 = 0.0001, c2 = 0.0009
    #      = 0.00510729 / 0.00635911 * 0.0666549 / 0.0830936 = 0.803146 * 0.802167 = 0.644257
    assert ssim(np.ones((1, 1)), np.full((1, 1), 0.5), border="zero") == pytest.approx(
        0.644257, abs=2e-6
    )


def test_both_borders_differ(rng):
    x, y = noisy_pair(rng, (32, 32))
    assert abs(ssim(x, y, border="zero") - ssim(x, y, border="valid")) > 1e-3


@pytest.mark.parametrize("border", ["zero", "valid"])
def test_ssim_of_colour_is_the_channel_mean(border, rng):
    x, y = noisy_pair(rng, (30, 30, 3))
    channels = [ssim(x[..., c], y[..., c], border=border) for c in range(3)]
    assert ssim(x, y, border=border) == pytest.approx(np.mean(channels), abs=1e-14)


@pytest.mark.parametrize("border", ["zero", "valid"])
def test_ssim_scales_with_the_peak(border, rng):
    x, y = noisy_pair(rng, (30, 30))
    assert ssim(x * 255, y * 255, peak=255, border=border) == pytest.approx(
        ssim(x, y, border=border), abs=1e-12
    )


@pytest.mark.parametrize("border", ["zero", "valid"])
def test_ssim_of_identical_pictures_is_1(border, rng):
    x, _ = noisy_pair(rng, (40, 40, 3))
    assert ssim(x, x, border=border) == pytest.approx(1, abs=1e-12)


def test_valid_ssim_rejects_pictures_below_the_window():
    with pytest.raises(ValueError, match="10x30 px is smaller"):
        ssim(np.zeros((30, 10)), np.zeros((30, 10)), border="valid")


def test_psnr_by_hand():
    # one of twelve values is off by 0.5: 10 log10(12 / 0.25) = 16.8124 dB
    clean = np.zeros((2, 2, 3))
    restored = clean.copy()
    restored[1, 0, 2] = 0.5
    assert psnr(restored, clean) == pytest.approx(16.812412, abs=1e-6)


def test_psnr_equals_scikit_image(rng):
    metrics = pytest.importorskip("skimage.metrics")
    x, y = noisy_pair(rng, (40, 50, 3))
    assert psnr(x, y) == pytest.approx(
        metrics.peak_signal_noise_ratio(y, x, data_range=1), abs=1e-12
    )


def test_psnr_of_uint8_does_not_wrap_around():
    dark, light = np.full((4, 4), 10, np.uint8), np.full((4, 4), 12, np.uint8)
    assert psnr(dark, light, peak=255) == pytest.approx(20 * math.log10(255 / 2))


def test_psnr_of_identical_pictures_is_infinite():
    assert psnr(np.ones((3, 3)), np.ones((3, 3))) == math.inf


@pytest.mark.parametrize("decibels", [0.0, 11.4, 40.0, math.inf])
def test_psnr_and_mse_are_inverse(decibels):
    assert psnr_from_mse(mse_from_psnr(decibels, peak=255), peak=255) == pytest.approx(decibels)


def test_mae_by_hand():
    assert mae(np.array([[3, 0]], np.uint8), np.array([[0, 1]], np.uint8)) == 2


@pytest.mark.parametrize("metric", [psnr, ssim, mae])
def test_different_shapes_are_rejected(metric):
    with pytest.raises(ValueError, match=r"different shapes: \(20, 20\) and \(20, 20, 3\)"):
        metric(np.zeros((20, 20)), np.zeros((20, 20, 3)))


def test_ssim_of_full_hd_takes_under_4_s(rng):
    x, y = rng.random((2, 1080, 1920, 3))
    begin = time.process_time()
    ssim(x, y)
    assert time.process_time() - begin < 4
