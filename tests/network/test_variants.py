from dataclasses import replace

import pytest
import torch

from derain.errors import WeightsError
from derain.network import PAPER, PLNLIN, SMALL, Discriminator, PLNLINConfiguration
from derain.network.parameter_matching import WITHIN, count_parameters, match_parameters
from derain.network.variants import UNITS

VARIANTS = [name for name in UNITS if name != "plnlim"]


@pytest.mark.parametrize("name", UNITS)
def test_generator_of_every_unit_trains(name):
    torch.manual_seed(0)
    network = PLNLIN(
        PLNLINConfiguration(channels=(4, 4, 4, 4), stages=(2, 1, 1, 1), head_stages=1, unit=name)
    )
    made = network.hierarchy(torch.rand(1, 3, 56, 56))
    (made.restored.square().mean() + sum(s.square().mean() for s in made.scales)).backward()
    missing = [n for n, p in network.named_parameters() if p.grad is None]
    assert missing == []


@pytest.mark.parametrize("name", ["plnlim", "residual", "swin"])
def test_discriminator_of_every_unit_scores(name):
    configuration = PLNLINConfiguration(
        channels=(4, 4, 4, 4), stages=(1, 1, 1, 1), head_stages=1, discriminator_unit=name
    )
    made = PLNLIN(configuration).hierarchy(torch.rand(1, 3, 56, 56))
    assert len(Discriminator(configuration)(made.restored, made.features)) == 4


@pytest.mark.parametrize("like", [PAPER, SMALL], ids=["paper", "small"])
@pytest.mark.parametrize("name", VARIANTS)
def test_parameter_counts_agree_within_two_per_cent(name, like):
    variant = match_parameters(replace(like, unit=name), wanted=count_parameters(PLNLIN, like))
    counts = count_parameters(PLNLIN, variant), count_parameters(PLNLIN, like)
    print(f"{like.preset:6} {name:20} {counts[0]:>10,} {variant.channels}")
    assert abs(counts[0] / counts[1] - 1) <= WITHIN


def test_branches_are_of_the_kind_that_the_row_says():
    kinds = {
        name: UNITS[name](4, stages=2, configuration=PAPER)
        for name in ("both-local", "both-nonlocal")
    }
    assert {type(m).__name__ for m in kinds["both-local"].nonlocal_} == {"ResidualBlock"}
    assert {type(m).__name__ for m in kinds["both-nonlocal"].local} == {"SwinBlock"}


def test_without_interaction_one_branch_does_not_see_the_other(stirred):
    module = stirred(UNITS["without-interaction"](4, stages=2, configuration=PAPER))
    seen = []
    module.local[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    module.local[0].register_forward_hook(lambda _, __, output: seen.append(output))
    module(torch.rand(1, 4, 7, 7))
    assert torch.equal(seen[0], seen[1])


def test_unknown_unit_lists_the_known_ones():
    with pytest.raises(WeightsError, match="without-fusion"):
        PLNLIN(replace(SMALL, unit="none"))
