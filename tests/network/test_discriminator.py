from dataclasses import replace

import pytest
import torch

from derain.network import PAPER, PLNLIN, Discriminator, preset


@pytest.fixture
def critic(tiny, stirred):
    return stirred(Discriminator(tiny.configuration))


def test_there_is_a_score_map_for_each_level(tiny, critic):
    made = tiny.hierarchy(torch.rand(2, 3, 112, 56))
    scores = critic(made.restored, made.features)
    assert [tuple(s.shape) for s in scores] == [
        (2, 1, 112, 56),
        (2, 1, 56, 28),
        (2, 1, 28, 14),
        (2, 1, 14, 7),
    ]


def test_gradients_reach_every_parameter_and_the_generator(tiny, critic):
    made = tiny.hierarchy(torch.rand(1, 3, 56, 56))
    sum(s.square().mean() for s in critic(made.restored, made.features)).backward()
    assert [
        n for n, p in critic.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ] == []
    assert tiny.heads[3].join.weight.grad.abs().sum() > 0
    assert tiny.leave.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("level", range(4))
def test_each_level_of_content_matters_from_its_own_layer_on(tiny, critic, level):
    with torch.no_grad():
        made = tiny.hierarchy(torch.rand(1, 3, 56, 56))
        moved = [f + (k == level) for k, f in enumerate(made.features)]
        before, after = (critic(made.restored, f) for f in (made.features, moved))
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert changed == [k >= level for k in range(4)]


@pytest.mark.parametrize("name", ["small", "paper"])
def test_scores_start_finite(name):
    torch.manual_seed(0)
    generator, critic = PLNLIN(preset(name)), Discriminator(preset(name))
    with torch.no_grad():
        made = generator.hierarchy(torch.rand(1, 3, 56, 56))
        assert all(torch.isfinite(s).all() for s in critic(made.restored, made.features))


def test_paper_has_the_parameters_of_five_modules():
    module = (
        3 * 31_369 + 11_552 + 5_184
    )  # PLNLIM with N = 2: RB and STB thrice, an interaction, fusions and the end
    joins, scores, enter = 4 * (64 * 32 * 9 + 32), 4 * (32 * 9 + 1), 3 * 32 * 9 + 32
    assert (
        sum(p.numel() for p in Discriminator(PAPER).parameters())
        == 5 * module + joins + scores + enter
    )


def test_the_size_of_the_generators_features_does_not_matter_unless_it_is_to(tiny, stirred):
    """It is no way to a higher score: with the features as they are, logits ran away within 100 steps of MCDDL."""
    with torch.no_grad():
        made = tiny.hierarchy(torch.rand(1, 3, 56, 56))
        for same in (True, False):
            critic = stirred(Discriminator(replace(tiny.configuration, normalised_content=same)))
            small, large = (
                critic(made.restored, [k * f for f in made.features]) for k in (100, 10_000)
            )
            assert (
                all(
                    torch.allclose(a, b, rtol=1e-3, atol=1e-4)
                    for a, b in zip(small, large, strict=True)
                )
                == same
            )


def test_pictures_of_the_heads_are_shown_as_they_are(tiny, stirred):
    """Those of the clean side are no work of the generator, and their brightness says something."""
    critic = stirred(Discriminator(tiny.configuration, content_channels=(3,) * 4))
    with torch.no_grad():
        pictures = [torch.rand(1, 3, 56 >> k, 56 >> k) for k in range(4)]
        plain, brighter = (critic(pictures[0], [k * p for p in pictures]) for k in (1, 2))
        assert not any(
            torch.allclose(a, b, atol=1e-3) for a, b in zip(plain, brighter, strict=True)
        )
