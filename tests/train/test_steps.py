"""One step of Algorithm 1: gradients, turns, and the manners of Table 1."""

from dataclasses import replace

import pytest
import torch
from helpers.train_commands import events, run
from lightning_fabric import Fabric

from derain.errors import RecipeError
from derain.network import PLNLIN, Discriminator, PLNLINConfiguration
from derain.network.generator import GeneratorOutput
from derain.train.manners import MANNERS, rain_free_features
from derain.train.objective import AdversarialInputs, adversarial_objective
from derain.train.optimisers import make_optimiser
from derain.train.recipe import Loss, Optimiser
from derain.train.recipe_file import read_recipe
from derain.train.state import State
from derain.train.steps import Batch, discriminator_update, generator_update, training_step


@pytest.fixture(scope="module")
def fabric():
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture
def recipe(project):
    return read_recipe(project / "recipe.toml", ["loss.beta=1"])


@pytest.fixture
def state(fabric):
    """A state with both networks."""
    torch.manual_seed(0)
    configuration = PLNLINConfiguration(
        preset="tiny", channels=(4, 4, 4, 4), stages=(1, 1, 1, 1), head_stages=1
    )
    networks = PLNLIN(configuration), Discriminator(configuration)
    (network, optimiser), (discriminator, discriminator_optimiser) = (
        fabric.setup(n, make_optimiser(n, Optimiser())) for n in networks
    )
    network.mark_forward_method("forward_with_heads")
    return State(network, optimiser, None, discriminator, discriminator_optimiser)


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return Batch(*torch.rand(2, 2, 3, 56, 56), [0, 1])


def adversarial_inputs(state, batch):
    output = state.network.forward_with_heads(batch.rainy)
    content = rain_free_features(state.network, batch.clean)
    return AdversarialInputs(output.restored, output.features, batch.clean, content)


def snapshot(network):
    """Copy every parameter, buffer and gradient of a network."""
    values = (*network.named_parameters(), *network.named_buffers())
    gradients = {f"{name}.grad": p.grad for name, p in network.named_parameters()}
    return {
        name: None if value is None else value.clone()
        for name, value in (dict(values) | gradients).items()
    }


def same(a, b):
    return all(
        (a[k] is None and b[k] is None)
        or (a[k] is not None and b[k] is not None and torch.equal(a[k], b[k]))
        for k in a
    )


def test_generator_update_changes_only_the_generator(fabric, state, batch, recipe):
    generator, discriminator = snapshot(state.network), snapshot(state.discriminator)
    content = rain_free_features(state.network, batch.clean)
    generator_update(fabric, state, batch, recipe, clean_content=content)
    assert same(discriminator, snapshot(state.discriminator))
    assert not same(generator, snapshot(state.network))


def test_discriminator_update_changes_only_the_discriminator(fabric, state, batch, recipe):
    output = state.network.forward_with_heads(batch.rainy)
    clean_features = state.network.forward_with_heads(batch.clean).features  # with gradients
    inputs = AdversarialInputs(output.restored, output.features, batch.clean, clean_features)
    generator, discriminator = snapshot(state.network), snapshot(state.discriminator)
    discriminator_update(fabric, state, inputs, batch, recipe)
    assert same(generator, snapshot(state.network))
    assert not same(discriminator, snapshot(state.discriminator))


def test_adversarial_terms_are_named_by_side_layer(state, batch):
    loss = Loss(beta=2.0, layer_weights=(1.0, 0.0, 0.0, 0.5))
    inputs = adversarial_inputs(state, batch)
    total, terms = adversarial_objective(state.discriminator, inputs, loss)
    expected = 2 * (terms["side_1"] + 0.5 * terms["side_4"]).item()
    assert total.item() == pytest.approx(expected, rel=1e-5)
    assert total.requires_grad


@pytest.mark.parametrize("real_gradient", [False, True])
def test_real_side_has_a_gradient_only_on_request(real_gradient, state, batch):
    clean_features = state.network.forward_with_heads(batch.clean).features
    content = [features.detach().requires_grad_() for features in clean_features]
    inputs = replace(adversarial_inputs(state, batch), clean_content=content)
    total, _ = adversarial_objective(
        state.discriminator, inputs, Loss(), real_gradient=real_gradient
    )
    total.backward()
    have_gradient = [
        features.grad is not None and bool(features.grad.any()) for features in content
    ]
    assert have_gradient == [real_gradient] * 4


@pytest.mark.parametrize("real_gradient", [False, True])
def test_clean_features_carry_a_gradient_only_on_request(real_gradient, state, batch):
    features = MANNERS["mcddl"].clean_content(state.network, batch.clean, real_gradient)
    assert [content.requires_grad for content in features] == [real_gradient] * 4


def test_real_gradient_changes_the_step(fabric, state, batch, recipe):
    initial = {name: value.clone() for name, value in state.network.state_dict().items()}
    results = []
    for real_gradient in (False, True):
        state.network.load_state_dict(initial)
        adversarial = replace(recipe.adversarial, real_gradient=real_gradient)
        state.optimiser.state.clear()
        state.discriminator_optimiser.zero_grad()
        # step 1 of r = 5: only the generator is updated
        step_1 = replace(state, step=1)
        training_step(fabric, step_1, batch, replace(recipe, adversarial=adversarial))
        results.append({name: v.clone() for name, v in state.network.state_dict().items()})
    assert any(not torch.equal(results[0][name], results[1][name]) for name in initial)


@pytest.mark.slow
def test_discriminator_learns_to_detect_rain(fabric, state, batch, recipe):
    with torch.no_grad():
        inputs = adversarial_inputs(state, batch)
    inputs = replace(inputs, restored=inputs.restored + 0.2)
    for group in state.discriminator_optimiser.param_groups:
        group["lr"] = 2e-3
    losses = [discriminator_update(fabric, state, inputs, batch, recipe) for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]


def test_both_sides_are_computed_with_gradients_enabled(state, batch):
    """The kernels run only where gradients are computed."""
    enabled = []
    state.network.module.enter.register_forward_hook(
        lambda *_: enabled.append(torch.is_grad_enabled())
    )
    state.network.forward_with_heads(batch.rainy)
    features = rain_free_features(state.network, batch.clean)
    assert enabled == [True, True]
    assert not any(f.requires_grad for f in features)


def test_idle_steps_are_rejected(project):
    with pytest.raises(RecipeError, match="steps would train nothing"):
        read_recipe(project / "recipe.toml", ["adversarial.generator_every=5"])


@pytest.fixture
def updates(monkeypatch, state):
    """Replace the updates by stubs that record their steps: (generator, discriminator)."""
    generator, discriminator = [], []
    output = GeneratorOutput(torch.zeros(1), [], [])

    def update_generator(fabric, state, batch, recipe, *, clean_content):
        generator.append((state.step + 1, clean_content is not None))
        return {"pixel": 0.0}, output

    def update_discriminator(fabric, state, inputs, batch, recipe):
        discriminator.append(state.step + 1)
        return 0.0

    monkeypatch.setattr("derain.train.steps.generator_update", update_generator)
    monkeypatch.setattr("derain.train.steps.discriminator_update", update_discriminator)
    monkeypatch.setattr(PLNLIN, "forward_with_heads", lambda *_: output)
    return generator, discriminator


@pytest.mark.parametrize(
    ("changes", "generator", "discriminator"),
    [
        ({"discriminator_every": 3}, [1, 2, 3, 4, 5, 6], [1, 4]),
        ({"generator_every": 3, "discriminator_every": 1}, [1, 4], [1, 2, 3, 4, 5, 6]),
        ({"warmup_steps": 2, "discriminator_every": 4}, [1, 2, 3, 4, 5, 6], [1, 2, 5]),
    ],
)
def test_networks_take_turns(
    fabric, state, batch, recipe, updates, changes, generator, discriminator
):
    recipe = replace(recipe, adversarial=replace(recipe.adversarial, **changes))
    for step in range(6):
        training_step(fabric, replace(state, step=step), batch, recipe)
    assert [step for step, _ in updates[0]] == generator
    assert updates[1] == discriminator


def test_warm_up_has_no_adversarial_term(fabric, state, batch, recipe, updates):
    recipe = replace(recipe, adversarial=replace(recipe.adversarial, warmup_steps=2))
    for step in range(4):
        training_step(fabric, replace(state, step=step), batch, recipe)
    assert updates[0] == [(1, False), (2, False), (3, True), (4, True)]


@pytest.mark.slow
def test_turns_are_logged(project):
    run(project, "loss.beta=1", "validation.pairs=[]", "adversarial.discriminator_every=3")
    assert [e["step"] for e in events(project) if "pixel" in e] == [1, 2, 3, 4, 5, 6]
    assert [e["step"] for e in events(project) if "discriminator" in e] == [1, 4]


@pytest.mark.slow
@pytest.mark.parametrize("name", MANNERS)
def test_manner_trains_and_resumes(project, name):
    settings = ["loss.beta=1", "validation.pairs=[]", "adversarial.discriminator_every=1"]
    settings.append(f"adversarial.manner={name}")
    run(project, *settings, "length.steps=1")
    run(project, *settings, "length.steps=2", resume=True)
    last = events(project)[-1]
    judging = {key for key in last if key.startswith("side_")}
    every_layer = {"side_1", "side_2", "side_3", "side_4"}
    assert last["step"] == 2
    assert judging == (every_layer if name in ("mcddl", "deep-image") else {"side_4"})


def test_unknown_manner_lists_the_known_ones(project):
    with pytest.raises(RecipeError, match="msg-gan"):
        read_recipe(project / "recipe.toml", ["loss.beta=1", "adversarial.manner=rude"])
