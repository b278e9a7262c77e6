from dataclasses import replace

import pytest
import torch
from helpers.networks import perturb

from derain.network import PAPER, PLNLIN, Discriminator, preset
from derain.network.parameter_matching import count_parameters

SCORE_SHAPES = [(2, 1, 112, 56), (2, 1, 56, 28), (2, 1, 28, 14), (2, 1, 14, 7)]


@pytest.fixture
def discriminator(tiny):
    return perturb(Discriminator(tiny.configuration))


def test_each_level_has_a_score_map(tiny, discriminator):
    output = tiny.forward_with_heads(torch.rand(2, 3, 112, 56))
    scores = discriminator(output.restored, output.features)
    assert [tuple(s.shape) for s in scores] == SCORE_SHAPES


def test_unshuffled_picture_is_scored_at_the_size_of_its_content(halved):
    output = halved.forward_with_heads(torch.rand(2, 3, 224, 112))
    scores = perturb(Discriminator(halved.configuration))(output.restored, output.features)
    assert [tuple(s.shape) for s in scores] == SCORE_SHAPES


def test_gradients_reach_every_parameter_and_the_generator(tiny, discriminator):
    output = tiny.forward_with_heads(torch.rand(1, 3, 56, 56))
    scores = discriminator(output.restored, output.features)
    sum(s.square().mean() for s in scores).backward()
    parameters = dict(discriminator.named_parameters())
    without = [n for n, p in parameters.items() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []
    assert tiny.heads[3].join.weight.grad.abs().sum() > 0
    assert tiny.leave.weight.grad.abs().sum() > 0


@torch.no_grad()
def test_content_affects_its_own_layer_and_deeper_ones(tiny, discriminator):
    output = tiny.forward_with_heads(torch.rand(1, 3, 56, 56))
    before = discriminator(output.restored, output.features)
    for level in range(4):
        changed = [f + (k == level) for k, f in enumerate(output.features)]
        after = discriminator(output.restored, changed)
        differs = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert differs == [k >= level for k in range(4)]


@pytest.mark.parametrize("name", ["small", "paper"])
def test_initial_scores_are_finite(name):
    torch.manual_seed(0)
    generator, discriminator = PLNLIN(preset(name)), Discriminator(preset(name))
    with torch.no_grad():
        output = generator.forward_with_heads(torch.rand(1, 3, 56, 56))
        scores = discriminator(output.restored, output.features)
    assert all(torch.isfinite(s).all() for s in scores)


def test_paper_discriminator_has_the_parameters_of_five_modules():
    # PLNLIM with N = 2: three RB and three STB, an interaction, two fusions and the end
    module = 3 * 31_369 + 11_552 + 5_184
    joins, scores, enter = 4 * (64 * 32 * 9 + 32), 4 * (32 * 9 + 1), 3 * 32 * 9 + 32
    assert count_parameters(Discriminator, PAPER) == 5 * module + joins + scores + enter


@pytest.mark.parametrize("normalised", [True, False])
def test_normalised_features_can_have_any_magnitude(tiny, normalised):
    """Growing features must not raise the score: without this, MCDDL diverged in 100 steps."""
    configuration = replace(tiny.configuration, normalised_content=normalised)
    discriminator = perturb(Discriminator(configuration))
    with torch.no_grad():
        output = tiny.forward_with_heads(torch.rand(1, 3, 56, 56))
        small, large = (
            discriminator(output.restored, [scale * f for f in output.features])
            for scale in (100, 10_000)
        )
    equal = [torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(small, large, strict=True)]
    assert all(equal) == normalised


def test_pictures_of_the_heads_are_not_normalised(tiny):
    """On the clean side they do not come from the generator, and their brightness is meaningful."""
    discriminator = perturb(Discriminator(tiny.configuration, content_channels=(3,) * 4))
    pictures = [torch.rand(1, 3, 56 >> k, 56 >> k) for k in range(4)]
    with torch.no_grad():
        plain, brighter = (
            discriminator(pictures[0], [factor * p for p in pictures]) for factor in (1, 2)
        )
    pairs = zip(plain, brighter, strict=True)
    assert not any(torch.allclose(a, b, atol=1e-3) for a, b in pairs)
