"""Networks of more stages that compute the same as shallower ones."""

from dataclasses import replace

import pytest
import torch
from helpers.networks import make_network

from derain.network import PLNLIN, PLNLINConfiguration, preset
from derain.network.deepening import can_deepen, deepen
from derain.network.weights_file import load_into

SHALLOW = PLNLINConfiguration(channels=(4, 6, 6, 8), stages=(1, 2, 1, 1), head_stages=1)


@pytest.fixture
def shallow():
    return make_network(SHALLOW)


def deepened(network, *stages):
    configuration = replace(SHALLOW, stages=stages)
    deep = PLNLIN(configuration)
    load_into(deep, deepen(network.state_dict(), SHALLOW, configuration), path="")
    return deep


def test_more_stages_compute_the_same(shallow):
    rainy = torch.rand(1, 3, 56, 56, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, actual = (
            net.forward_with_heads(rainy) for net in (shallow, deepened(shallow, 5, 4, 3, 1))
        )
    torch.testing.assert_close(actual.restored, expected.restored, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(actual.scales, expected.scales, rtol=1e-5, atol=1e-6)


def test_new_stages_learn(shallow):
    deep = deepened(shallow, 3, 2, 1, 1)
    deep(torch.rand(1, 3, 56, 56)).square().sum().backward()
    for part in ("second", "projection", "scale", "fusion"):
        new = [
            parameter
            for name, parameter in deep.encoder[0].named_parameters()
            if part in name and (".1." in name or ".2." in name)
        ]
        assert new, part
        assert all(parameter.grad.abs().max() > 0 for parameter in new), part


def test_weights_without_heads_are_deepened(shallow):
    rainy = torch.rand(1, 3, 56, 56, generator=torch.Generator().manual_seed(1))
    del shallow.heads[:]
    with torch.no_grad():
        expected, actual = shallow(rainy), deepened(shallow, 3, 2, 1, 1)(rainy)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


def test_global_random_numbers_are_not_disturbed(shallow):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    deepen(shallow.state_dict(), SHALLOW, replace(SHALLOW, stages=(3, 2, 1, 1)))
    torch.testing.assert_close(torch.rand(1), expected)


def test_even_number_of_stages_can_be_added():
    assert can_deepen(preset("fast"), replace(preset("fast"), stages=(3, 3, 1, 1)))


@pytest.mark.parametrize(
    "changes",
    [
        {"stages": (2, 1, 1, 1)},
        {"stages": (1, 1, 1, 1)},
        {"stages": (3, 3, 1, 1), "window_px": 8},
        {"stages": (3, 3, 1, 1), "channels": (64, 64, 64, 64)},
    ],
)
def test_other_differences_cannot_be_deepened(changes):
    assert not can_deepen(preset("fast"), replace(preset("fast"), **changes))
