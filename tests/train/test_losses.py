import numpy as np
import pytest
import torch
from scipy.ndimage import convolve1d

from derain.train.losses import (
    absolute_loss,
    halve,
    hierarchical_loss,
    pixel_loss,
    psnr_loss,
    pyramid,
    ssim,
)


def test_ssim_of_equal_pictures_is_one():
    x = torch.rand(2, 3, 30, 40)
    assert ssim(x, x).item() == pytest.approx(1, abs=1e-6)


def test_ssim_of_two_flat_pictures_is_the_luminance_term():
    x, y = torch.full((1, 3, 20, 20), 0.2), torch.full((1, 3, 20, 20), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (
        0.2**2 + 0.6**2 + 1e-4
    )  # variances are 0 and their term is 1
    assert ssim(x, y, border="valid").item() == pytest.approx(expected, abs=1e-4)


def test_ssim_gradient_agrees_with_finite_differences():
    x, y = torch.rand(2, 1, 1, 12, 12)
    direction = torch.randn_like(x)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(ssim(x, y), x)
    step = 1e-2
    difference = (ssim(x + step * direction, y) - ssim(x - step * direction, y)) / (2 * step)
    assert (slope * direction).sum().item() == pytest.approx(difference.item(), rel=0.02)


def test_ssim_inside_the_border_rejects_pictures_below_its_window():
    with pytest.raises(ValueError, match="30x10 px is smaller than the 11x11 window"):
        ssim(*torch.rand(2, 1, 3, 10, 30), border="valid")


def test_losses_are_the_same_under_autocast():
    clean = torch.rand(1, 3, 32, 40)
    restored = (clean + 0.01 * torch.randn_like(clean)).clamp(0, 1)
    scales = [restored, halve(restored)]

    def losses():
        return torch.stack(
            [pixel_loss(restored, clean), hierarchical_loss(scales, clean, weights=(0.1, 0.05))]
        )

    exact = losses()
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(losses(), exact)


def test_losses_can_be_counted_on_the_device_meta():
    x = torch.rand(1, 3, 32, 40, device="meta")
    assert hierarchical_loss([x, halve(x)], x, weights=(0.1, 0.05)).shape == ()


def test_ssim_has_a_gradient_after_inference_mode_has_seen_the_same_size():
    x, y = torch.rand(2, 1, 3, 23, 29)
    with torch.inference_mode():
        ssim(x, y)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(ssim(x, y), x)
    assert slope.abs().sum() > 0


def test_halving_is_a_binomial_blur_and_subsampling():
    x = np.random.default_rng(0).random((10, 14))
    blurred = x
    for axis in (0, 1):
        blurred = convolve1d(blurred, np.array([1, 4, 6, 4, 1]) / 16, axis=axis, mode="mirror")
    torch.testing.assert_close(
        halve(torch.from_numpy(x)[None, None])[0, 0], torch.from_numpy(blurred[::2, ::2])
    )


def test_pyramid_has_halved_sizes():
    assert [tuple(t.shape[-2:]) for t in pyramid(torch.rand(1, 3, 56, 112), levels=4)] == [
        (56, 112),
        (28, 56),
        (14, 28),
        (7, 14),
    ]


def test_pyramid_can_start_below_the_size_of_the_picture():
    clean = torch.rand(1, 3, 112, 112)
    smaller, whole = pyramid(clean, levels=2, largest=4), pyramid(clean, levels=4)
    assert all(map(torch.equal, smaller, whole[2:]))


def test_hierarchical_loss_compares_at_the_size_of_the_scales():
    clean = torch.rand(1, 3, 112, 112)
    loss = hierarchical_loss(pyramid(clean, levels=4)[1:], clean, (0.5, 0.2, 0.1))
    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_hierarchical_loss_is_the_weighted_sum_over_levels():
    clean = torch.rand(1, 3, 56, 56)
    scales = [torch.rand_like(t) for t in pyramid(clean, levels=3)]
    expected = sum(
        w * pixel_loss(s, t).item()
        for w, s, t in zip((0.5, 0.2, 0.1), scales, pyramid(clean, levels=3), strict=True)
    )
    assert hierarchical_loss(scales, clean, (0.5, 0.2, 0.1)).item() == pytest.approx(
        expected, rel=1e-5
    )


def test_absolute_loss_is_a_mean():
    assert absolute_loss(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.25)).item() == 0.25


def test_psnr_loss_is_the_mean_of_decibels():
    error = torch.tensor([0.1, 0.01]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    loss = psnr_loss(torch.zeros(2, 3, 4, 4), error)
    assert loss.item() == pytest.approx(
        (-20 - 40) / 2, abs=0.25
    )  # the constant of 50 dB costs 0.4 of 40


def test_psnr_loss_has_a_zero_gradient_without_error():
    x = torch.zeros(1, 3, 4, 4, requires_grad=True)
    psnr_loss(x, torch.zeros(1, 3, 4, 4)).backward()
    assert torch.equal(x.grad, torch.zeros_like(x))
