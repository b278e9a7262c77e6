"""Networks of more channels that compute the same as narrower ones."""

from dataclasses import replace

import pytest
import torch
from helpers.networks import make_network

from derain.network import PLNLIN, PLNLINConfiguration, preset
from derain.network.weights_file import load_into
from derain.network.widening import can_widen, widen

NARROW = PLNLINConfiguration(channels=(4, 6, 6, 8), stages=(2, 2, 1, 1), head_stages=1)


@pytest.fixture
def narrow():
    return make_network(NARROW)


def widened(network, *channels):
    configuration = replace(NARROW, channels=channels)
    wide = PLNLIN(configuration)
    load_into(wide, widen(network.state_dict(), NARROW, configuration), path="")
    return wide


def pictures(network):
    rainy = torch.rand(1, 3, 56, 56, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        output = network.forward_with_heads(rainy)
    return [output.restored, *output.scales]


@pytest.mark.parametrize("channels", [(8, 12, 12, 16), (4, 12, 6, 8), (12, 6, 6, 24)])
def test_equal_copies_of_all_channels_compute_the_same(narrow, channels):
    expected, actual = pictures(narrow), pictures(widened(narrow, *channels))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_unequal_copies_compute_nearly_the_same(narrow):
    wide = widened(narrow, 6, 8, 8, 8)
    for expected, actual in zip(pictures(narrow), pictures(wide), strict=True):
        change, size = (actual - expected).norm(), (expected - expected.mean()).norm()
        assert 1e-5 * size < change < 0.2 * size


def test_copies_have_different_gradients(narrow):
    wide = widened(narrow, 8, 12, 12, 16)
    wide(torch.rand(1, 3, 56, 56)).square().sum().backward()
    gradient = wide.encoder[0].local[0].first.weight.grad
    assert not torch.allclose(gradient[:4], gradient[4:], rtol=0.05)


def test_more_channels_can_be_widened():
    assert can_widen(preset("small"), preset("best"))


def test_another_discriminator_does_not_prevent_widening():
    wide = replace(preset("best"), normalised_content=False, discriminator_unit="swin")
    assert can_widen(preset("small"), wide)


@pytest.mark.parametrize(
    "change",
    [
        {"channels": (16, 32, 48, 48)},
        {"channels": (32, 48, 64, 64), "stages": (3, 2, 2, 2)},
        {"channels": (32, 48, 64, 64), "unshuffle": 2},
        {"channels": (16, 32, 48, 64)},
        {"channels": (32, 48, 64, 64), "attention_heads": 2},
        {"channels": (32, 48, 64, 64), "unit": "residual"},
        {"frames": 3, "stages": (1, 1, 1, 1)},
    ],
)
def test_other_differences_prevent_widening(change):
    assert not can_widen(preset("small"), replace(preset("small"), **change))


@pytest.fixture
def three_frames(narrow):
    configuration = replace(NARROW, preset="clip", frames=3)
    network = PLNLIN(configuration)
    load_into(network, widen(narrow.state_dict(), NARROW, configuration), path="")
    return network


def test_a_network_for_clips_starts_as_the_one_for_pictures(narrow, three_frames):
    frames = torch.rand(3, 1, 3, 40, 60, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        actual = three_frames(torch.cat(tuple(frames), dim=1))
        torch.testing.assert_close(actual, narrow(frames[1]), rtol=0, atol=1e-5)


def test_the_neighbours_of_a_frame_get_a_gradient(three_frames):
    three_frames(torch.rand(1, 9, 56, 56)).square().sum().backward()
    gradient = three_frames.enter.weight.grad.abs().sum(dim=(0, 2, 3))
    assert (gradient > 0).all()


def test_channels_and_frames_can_be_widened_at_once(narrow):
    configuration = replace(NARROW, channels=(8, 12, 12, 16), frames=3)
    network = PLNLIN(configuration)
    load_into(network, widen(narrow.state_dict(), NARROW, configuration), path="")
    frames = torch.rand(3, 1, 3, 56, 56)
    with torch.no_grad():
        actual = network(torch.cat(tuple(frames), dim=1))
        torch.testing.assert_close(actual, narrow(frames[1]), rtol=1e-4, atol=1e-5)


def test_frames_are_not_taken_away():
    assert not can_widen(replace(NARROW, frames=3), NARROW)
