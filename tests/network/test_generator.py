from dataclasses import replace

import pytest
import torch
from helpers.networks import make_network, perturb

from derain.network import BEST, PAPER, PLNLIN, PRESETS, SMALL, PLNLINConfiguration, preset
from derain.network.generator import reflect_to_multiple
from derain.network.parameter_matching import count_parameters
from derain.train.benchmark.step import count_macs

FEATURE_SHAPES = [(2, 4, 112, 56), (2, 8, 56, 28), (2, 8, 28, 14), (2, 12, 14, 7)]
SCALE_SHAPES = [(2, 3, 112, 56), (2, 3, 56, 28), (2, 3, 28, 14), (2, 3, 14, 7)]


def shapes(tensors):
    return [tuple(t.shape) for t in tensors]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *((name, torch.float32) for name in PRESETS),
        ("fast", torch.bfloat16),
    ],
)
def test_preset_starts_finite(name, dtype):
    torch.manual_seed(0)
    network = PLNLIN(preset(name)).to(dtype)
    with torch.no_grad():
        side = network.configuration.multiple_px
        channels = 3 * network.configuration.frames
        output = network.forward_with_heads(torch.rand(1, channels, side, side, dtype=dtype))
    tensors = (output.restored, *output.features, *output.scales)
    assert all(torch.isfinite(t).all() for t in tensors)


def test_parameters_of_paper():
    assert count_parameters(PLNLIN, PAPER) == 2_206_819  # the paper prints 2.25 M


@pytest.mark.parametrize(("configuration", "kmac_per_px"), [(SMALL, 194), (BEST, 500)])
def test_work_per_pixel(configuration, kmac_per_px):
    macs = count_macs(PLNLIN(configuration), crop_px=56)
    assert macs / 56**2 / 1000 == pytest.approx(kmac_per_px, abs=1)


def test_inference_skips_the_heads(tiny):
    calls = []
    for head in tiny.heads:
        head.register_forward_hook(lambda *_: calls.append(1))
    tiny(torch.rand(1, 3, 56, 56))
    assert not calls


def test_forward_with_heads_restores_the_same(tiny):
    x = torch.rand(1, 3, 56, 112)
    torch.testing.assert_close(tiny.forward_with_heads(x).restored, tiny(x))


def test_each_level_has_features_and_a_picture(tiny):
    output = tiny.forward_with_heads(torch.rand(2, 3, 112, 56))
    assert shapes(output.features) == FEATURE_SHAPES
    assert shapes(output.scales) == SCALE_SHAPES


def test_unshuffled_levels_begin_at_half_the_size(halved):
    output = halved.forward_with_heads(torch.rand(2, 3, 224, 112))
    assert output.restored.shape == (2, 3, 224, 112)
    assert shapes(output.features) == FEATURE_SHAPES
    assert shapes(output.scales) == SCALE_SHAPES


def test_unshuffled_pixels_return_to_their_place(halved):
    x = torch.rand(1, 3, 112, 112)
    with torch.no_grad():
        change = halved(x) - x
        channels = halved.leave(halved.encode_decode(x)[1][0])
    lower_left_green = change[0, 1, 1::2, 0::2]
    torch.testing.assert_close(lower_left_green, channels[0, 1 * 4 + 1 * 2 + 0])


def test_gradients_reach_every_parameter(tiny):
    output = tiny.forward_with_heads(torch.rand(1, 3, 56, 56))
    (output.restored.square().mean() + sum(s.square().mean() for s in output.scales)).backward()
    parameters = dict(tiny.named_parameters())
    without = [n for n, p in parameters.items() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 300), (57, 55), (112, 112)])
def test_output_has_the_size_of_the_input(tiny, size):
    with torch.no_grad():
        assert tiny(torch.rand(1, 3, *size)).shape == (1, 3, *size)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (57, 55), (113, 111)])
def test_unshuffled_output_has_the_size_of_the_input(halved, size):
    with torch.no_grad():
        assert halved(torch.rand(1, 3, *size)).shape == (1, 3, *size)


def test_whole_windows_are_not_padded():
    x = torch.rand(1, 3, 56, 112)
    assert torch.equal(reflect_to_multiple(x, 56), x)


def test_reflection_repeats():
    x = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 1, 3)
    assert reflect_to_multiple(x, 8)[0, 0, 0].tolist() == [1, 2, 3, 2, 1, 2, 3, 2]


def test_pictures_of_a_batch_are_independent(tiny):
    x = torch.rand(2, 3, 56, 56)
    with torch.no_grad():
        torch.testing.assert_close(tiny(x)[1:], tiny(x[1:]), atol=1e-5, rtol=1e-4)


def test_gradients_agree_with_finite_differences():
    configuration = PLNLINConfiguration(
        channels=(2, 2, 2, 2), stages=(1, 1, 1, 1), head_stages=1, window_px=2, shift_px=1
    )
    network = perturb(PLNLIN(configuration).double())
    x = torch.rand(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    name = "decoder.0.nonlocal_.1.attention.position_bias"
    bias = network.get_parameter(name).detach().clone().requires_grad_()

    def restored_mean(bias):
        return torch.func.functional_call(network, {name: bias}, (x,)).mean()

    assert torch.autograd.gradcheck(restored_mean, (bias,))


def test_a_quarter_of_the_work_remains_at_half_the_size():
    whole, half = (count_macs(PLNLIN(replace(SMALL, unshuffle=n)), crop_px=112) for n in (1, 2))
    assert half / whole == pytest.approx(0.25, abs=0.01)


def test_the_change_is_added_to_the_centre_frame(halved):
    network = make_network(replace(halved.configuration, frames=3))
    with torch.no_grad():
        network.leave.weight.zero_()
        network.leave.bias.zero_()
        frames = torch.rand(1, 9, 57, 55)
        assert torch.equal(network(frames), frames[:, 3:6])
