"""A network of more channels that computes what a narrower one does."""

from dataclasses import replace

import pytest
import torch

from derain.network import PLNLIN, PLNLINConfiguration, preset
from derain.network.weights_file import load_into, load_weights
from derain.network.widening import can_widen, widen
from derain.train.loop import setup
from derain.train.recipe_file import read_recipe

NARROW = PLNLINConfiguration(channels=(4, 6, 6, 8), stages=(2, 2, 1, 1), head_stages=1)


@pytest.fixture
def narrow():
    torch.manual_seed(0)
    network = PLNLIN(NARROW)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(
                parameter
            )  # no layer that starts at zero stays there
    return network


def wider(network, *channels):
    configuration = replace(NARROW, channels=channels)
    wide = PLNLIN(configuration)
    load_into(wide, widen(network.state_dict(), NARROW, configuration), path="")
    return wide


def hierarchies(*networks):
    rainy = torch.rand(1, 3, 56, 56, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        made = [network.hierarchy(rainy) for network in networks]
    return [[m.restored, *m.scales] for m in made]


@pytest.mark.parametrize("channels", [(8, 12, 12, 16), (4, 12, 6, 8), (12, 6, 6, 24)])
def test_as_many_copies_of_each_channel_compute_the_same(narrow, channels):
    for expected, actual in zip(*hierarchies(narrow, wider(narrow, *channels)), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_more_copies_of_some_channels_compute_nearly_the_same(narrow):
    for expected, actual in zip(*hierarchies(narrow, wider(narrow, 6, 8, 8, 8)), strict=True):
        change, size = (actual - expected).norm(), (expected - expected.mean()).norm()
        assert 1e-5 * size < change < 0.2 * size


def test_copies_learn_different_things(narrow):
    wide = wider(narrow, 8, 12, 12, 16)
    wide(torch.rand(1, 3, 56, 56)).square().sum().backward()
    gradient = wide.encoder[0].local[0].first.weight.grad
    assert not torch.allclose(gradient[:4], gradient[4:], rtol=0.05)


@pytest.mark.parametrize(
    "change",
    [
        {"channels": (16, 32, 48, 48)},
        {"channels": (32, 48, 64, 64), "stages": (3, 2, 2, 2)},
        {"channels": (16, 32, 48, 64)},
        {"channels": (32, 48, 64, 64), "attention_heads": 2},
        {"channels": (32, 48, 64, 64), "unit": "residual"},
    ],
)
def test_what_differs_in_more_than_wider_levels_is_not_widened(change):
    assert can_widen(preset("small"), preset("best"))
    assert can_widen(
        preset("small"),
        replace(preset("best"), normalised_content=False, discriminator_unit="swin"),
    )
    assert not can_widen(preset("small"), replace(preset("small"), **change))


def test_a_run_begins_with_weights_of_fewer_channels(project):
    recipe = project / "recipe.toml"
    setup(read_recipe(recipe, ["length.steps=1"]))
    wider_run = [
        "length.steps=1",
        "network.channels=[4, 8, 8, 8]",
        f"record.folder={project / 'wide'}",
    ]
    setup(
        read_recipe(recipe, [*wider_run, "optimiser.learning_rate=0"]),
        weights=project / "run/weights.safetensors",
    )
    _, before, _ = load_weights(project / "run/weights.safetensors")
    configuration, after, card = load_weights(project / "wide/weights.safetensors")
    assert (configuration.channels, card["steps"]) == ((4, 8, 8, 8), 2)
    torch.testing.assert_close(after["down.0.weight"], before["down.0.weight"].repeat(2, 1, 1, 1))
