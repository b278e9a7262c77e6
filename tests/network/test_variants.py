from dataclasses import replace

import pytest
import torch
from helpers.networks import TINY, make_network, perturb

from derain.errors import WeightsError
from derain.network import PAPER, PLNLIN, SMALL, Discriminator
from derain.network.parameter_matching import TOLERANCE, count_parameters, match_parameters
from derain.network.variants import UNITS

VARIANTS = [name for name in UNITS if name != "plnlim"]


@pytest.mark.parametrize("name", UNITS)
def test_generator_with_each_unit_trains(name):
    network = make_network(replace(TINY, unit=name))
    output = network.forward_with_heads(torch.rand(1, 3, 56, 56))
    (output.restored.square().mean() + sum(s.square().mean() for s in output.scales)).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("name", ["plnlim", "residual", "swin"])
def test_discriminator_with_each_unit_scores(name, tiny):
    output = tiny.forward_with_heads(torch.rand(1, 3, 56, 56))
    discriminator = Discriminator(replace(TINY, discriminator_unit=name))
    assert len(discriminator(output.restored, output.features)) == 4


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("without-fusion", SMALL),
        ("swin", SMALL),
        *(pytest.param(name, PAPER, marks=pytest.mark.slow) for name in VARIANTS),
    ],
)
def test_variants_have_as_many_parameters(name, reference):
    """Table 4 has the others of `small`: see the rows of test_ablation.py."""
    target = count_parameters(PLNLIN, reference)
    variant = match_parameters(replace(reference, unit=name), target=target)
    assert abs(count_parameters(PLNLIN, variant) / target - 1) <= TOLERANCE


@pytest.mark.parametrize(
    ("name", "branch", "unit"),
    [("both-local", "nonlocal_", "ResidualBlock"), ("both-nonlocal", "local", "SwinBlock")],
)
def test_both_branches_have_the_same_unit(name, branch, unit):
    module = UNITS[name](4, stages=2, configuration=PAPER)
    assert {type(m).__name__ for m in getattr(module, branch)} == {unit}


def test_without_interaction_the_branches_are_independent():
    module = perturb(UNITS["without-interaction"](4, stages=2, configuration=PAPER))
    maps = []
    module.local[1].register_forward_pre_hook(lambda _, inputs: maps.append(inputs[0]))
    module.local[0].register_forward_hook(lambda _, __, output: maps.append(output))
    module(torch.rand(1, 4, 7, 7))
    assert torch.equal(maps[0], maps[1])


def test_unknown_unit_lists_the_known_ones():
    with pytest.raises(WeightsError, match="without-fusion"):
        PLNLIN(replace(SMALL, unit="none"))
