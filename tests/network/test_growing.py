"""Larger networks that start from the weights of smaller ones."""

from dataclasses import replace

import pytest
import torch
from helpers.networks import make_network

from derain.network import PLNLIN, PLNLINConfiguration, preset
from derain.network.growing import can_grow, grow
from derain.network.weights_file import load_into

SMALL = PLNLINConfiguration(channels=(4, 6, 6, 8), stages=(1, 1, 1, 1), head_stages=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": (8, 12, 12, 16)},
        {"stages": (3, 1, 1, 3)},
        {"channels": (8, 12, 12, 16), "stages": (3, 3, 1, 1)},
    ],
)
def test_larger_network_computes_the_same(changes):
    small, configuration = make_network(SMALL), replace(SMALL, **changes)
    large = PLNLIN(configuration)
    load_into(large, grow(small.state_dict(), SMALL, configuration), path="")
    rainy = torch.rand(1, 3, 56, 56, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(large(rainy), small(rainy), rtol=1e-4, atol=1e-5)


def test_fast_grows_to_a_wide_and_deep_network():
    large = replace(preset("fast"), channels=(64, 64, 64, 64), stages=(3, 3, 3, 3))
    assert can_grow(preset("fast"), large)


@pytest.mark.parametrize("changes", [{}, {"stages": (2, 1, 1, 1)}, {"unshuffle": 1}])
def test_other_networks_do_not_grow(changes):
    assert not can_grow(preset("fast"), replace(preset("fast"), **changes))
