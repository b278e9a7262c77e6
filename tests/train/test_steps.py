import json
import subprocess
from dataclasses import replace

import pytest
import torch
from helpers.train_commands import command, state_of
from lightning_fabric import Fabric

from derain.errors import RecipeError
from derain.network import PLNLIN, Discriminator, PLNLINConfiguration
from derain.train.loop import setup
from derain.train.manners import MANNERS, rain_free_features
from derain.train.objective import AdversarialInputs, adversarial_objective
from derain.train.recipe import Loss, Optimiser
from derain.train.recipe_file import read_recipe
from derain.train.state import State, make_optimiser
from derain.train.steps import Batch, discriminator_update, generator_update, training_step


@pytest.fixture
def fabric():
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture
def run(fabric, project):
    """A state with both networks, a batch and the recipe."""
    torch.manual_seed(0)
    configuration = PLNLINConfiguration(
        preset="tiny", channels=(4, 4, 4, 4), stages=(1, 1, 1, 1), head_stages=1
    )
    networks = PLNLIN(configuration), Discriminator(configuration)
    (network, optimiser), (critic, critic_optimiser) = (
        fabric.setup(n, make_optimiser(n, Optimiser())) for n in networks
    )
    network.mark_forward_method("hierarchy")
    batch = Batch(*torch.rand(2, 2, 3, 56, 56), [0, 1])
    recipe = read_recipe(project / "recipe.toml", ["loss.beta=1"])
    return State(network, optimiser, None, critic, critic_optimiser), batch, recipe


def frozen(network):
    """Every parameter, buffer and gradient of a network, copied."""
    found = {
        name: value.clone()
        for name, value in (*network.named_parameters(), *network.named_buffers())
    }
    return found | {
        f"{n}.grad": None if p.grad is None else p.grad.clone()
        for n, p in network.named_parameters()
    }


def same(a, b):
    return all(
        (a[k] is None and b[k] is None)
        or (a[k] is not None and b[k] is not None and torch.equal(a[k], b[k]))
        for k in a
    )


def test_generators_step_touches_nothing_of_the_discriminator(fabric, run):
    state, batch, recipe = run
    generator, critic = frozen(state.network), frozen(state.discriminator)
    generator_update(
        fabric, state, batch, recipe, clean_content=rain_free_features(state.network, batch.clean)
    )
    assert same(critic, frozen(state.discriminator))
    assert not same(generator, frozen(state.network))


def test_discriminators_step_touches_nothing_of_the_generator(fabric, run):
    state, batch, recipe = run
    made = state.network.hierarchy(batch.rainy)
    sides = AdversarialInputs(
        made.restored, made.features, batch.clean, state.network.hierarchy(batch.clean).features
    )  # with gradients
    generator, critic = frozen(state.network), frozen(state.discriminator)
    discriminator_update(fabric, state, sides, batch, recipe)
    assert same(generator, frozen(state.network))
    assert not same(critic, frozen(state.discriminator))


def test_adversarial_part_names_each_side_layer(run):
    state, batch, _ = run
    made = state.network.hierarchy(batch.rainy)
    sides = AdversarialInputs(
        made.restored, made.features, batch.clean, rain_free_features(state.network, batch.clean)
    )
    loss = Loss(beta=2.0, layers=(1.0, 0.0, 0.0, 0.5))
    total, terms = adversarial_objective(state.discriminator, sides, loss)
    assert total.item() == pytest.approx(
        2 * (terms["side_1"] + 0.5 * terms["side_4"]).item(), rel=1e-5
    )
    assert total.requires_grad


@pytest.mark.parametrize("real_gradient", [False, True])
def test_the_real_side_is_constant_unless_its_gradient_is_asked_for(real_gradient, run):
    state, batch, _ = run
    content = [
        features.detach().requires_grad_()
        for features in state.network.hierarchy(batch.clean).features
    ]
    made = state.network.hierarchy(batch.rainy)
    sides = AdversarialInputs(made.restored, made.features, batch.clean, content)
    adversarial_objective(state.discriminator, sides, Loss(), real_gradient=real_gradient)[
        0
    ].backward()
    assert [features.grad is not None and bool(features.grad.any()) for features in content] == [
        real_gradient
    ] * 4


@pytest.mark.parametrize("real_gradient", [False, True])
def test_features_of_clean_pictures_carry_a_gradient_if_asked_for(real_gradient, run):
    state, batch, _ = run
    features = MANNERS["mcddl"].of_clean(state.network, batch.clean, real_gradient)
    assert [content.requires_grad for content in features] == [real_gradient] * 4


def test_a_step_with_the_gradient_of_the_real_side_is_another_one(fabric, run):
    state, batch, recipe = run
    begun = {name: value.clone() for name, value in state.network.state_dict().items()}
    moved = []
    for real_gradient in (False, True):
        state.network.load_state_dict(begun)
        given = replace(
            recipe, adversarial=replace(recipe.adversarial, real_gradient=real_gradient)
        )
        state.optimiser.state.clear()
        state.discriminator_optimiser.zero_grad()
        training_step(
            fabric, replace(state, step=1), batch, given
        )  # step 1 of r = 5: the discriminator rests
        moved.append({name: value.clone() for name, value in state.network.state_dict().items()})
    assert any(not torch.equal(moved[0][name], moved[1][name]) for name in begun)


def test_discriminator_learns_to_tell_rain(fabric, run):
    state, batch, recipe = run
    with torch.no_grad():
        made = state.network.hierarchy(batch.rainy)
    sides = AdversarialInputs(
        made.restored + 0.2,
        made.features,
        batch.clean,
        rain_free_features(state.network, batch.clean),
    )
    for group in state.discriminator_optimiser.param_groups:
        group["lr"] = 2e-3
    losses = [discriminator_update(fabric, state, sides, batch, recipe) for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]


def test_both_sides_are_computed_by_the_same_operations(run, monkeypatch):
    state, batch, _ = run
    graded = []
    state.network.module.enter.register_forward_hook(
        lambda *_: graded.append(torch.is_grad_enabled())
    )
    state.network.hierarchy(batch.rainy)
    features = rain_free_features(state.network, batch.clean)
    assert graded == [True, True]  # the kernels serve where gradients are computed
    assert not any(f.requires_grad for f in features)


def test_run_that_goes_on_without_discriminator_keeps_it(project):
    game = ["validation.pairs=[]", "loss.beta=1"]
    setup(read_recipe(project / "recipe.toml", [*game, "length.steps=2"]))
    with_it = state_of(project)["discriminator"]
    setup(
        read_recipe(project / "recipe.toml", [*game, "loss.beta=0", "length.steps=3"]), resume=True
    )
    kept = state_of(project)["discriminator"]
    assert all(torch.equal(with_it[k], kept[k]) for k in with_it)
    setup(read_recipe(project / "recipe.toml", [*game, "length.steps=4"]), resume=True)
    assert events(project / "run")[-1]["step"] == 4


def test_steps_that_would_train_nothing_are_refused(project):
    with pytest.raises(RecipeError, match="steps would train nothing"):
        read_recipe(project / "recipe.toml", ["adversarial.generator_every=5"])


def events(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("turns", "generator", "critic"),
    [
        (["adversarial.discriminator_every=3"], [1, 2, 3, 4, 5, 6], [1, 4]),
        (
            ["adversarial.generator_every=3", "adversarial.discriminator_every=1"],
            [1, 4],
            [1, 2, 3, 4, 5, 6],
        ),
        (
            ["adversarial.warmup_steps=2", "adversarial.discriminator_every=4"],
            [1, 2, 3, 4, 5, 6],
            [1, 2, 5],
        ),
    ],
)
def test_networks_take_turns(project, turns, generator, critic):
    setup(read_recipe(project / "recipe.toml", ["loss.beta=1", "validation.pairs=[]", *turns]))
    found = [e for e in events(project / "run") if e["event"] == "train"]
    assert [e["step"] for e in found if "pixel" in e] == generator
    assert [e["step"] for e in found if "discriminator" in e] == critic


def test_warm_up_has_no_adversarial_term(project):
    setup(
        read_recipe(
            project / "recipe.toml",
            ["loss.beta=1", "validation.pairs=[]", "adversarial.warmup_steps=2"],
        )
    )
    assert ["side_1" in e for e in events(project / "run")] == [
        False,
        False,
        True,
        True,
        True,
        True,
    ]


def test_two_networks_resume_bit_for_bit(project, stop_after):
    turns = ["loss.beta=1", "adversarial.discriminator_every=2", "validation.pairs=[]"]
    setup(read_recipe(project / "recipe.toml", [*turns, f"record.folder={project / 'whole'}"]))
    with stop_after(3):
        setup(read_recipe(project / "recipe.toml", turns))
    assert state_of(project)["step"] == 3
    setup(read_recipe(project / "recipe.toml", turns), resume=True)
    whole, resumed = state_of(project, "whole"), state_of(project)
    for kind in ("network", "discriminator"):
        assert all(torch.equal(whole[kind][k], resumed[kind][k]) for k in whole[kind])


@pytest.mark.parametrize("real_gradient", ["false", "true"])
def test_two_processes_play_the_game_of_one(real_gradient, project):
    turns = [
        "loss.beta=1",
        "adversarial.discriminator_every=2",
        "validation.pairs=[]",
        "length.steps=3",
    ]
    turns.append(f"adversarial.real_gradient={real_gradient}")
    setup(read_recipe(project / "recipe.toml", [*turns, f"record.folder={project / 'one'}"]))
    done = subprocess.run(
        command(project, *turns, "machine.processes=2"),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, two = state_of(project, "one"), state_of(project)
    for kind in ("network", "discriminator"):
        assert max((one[kind][k] - two[kind][k]).abs().max().item() for k in one[kind]) < 2e-4


@pytest.mark.parametrize("name", MANNERS)
def test_every_manner_trains_saves_and_resumes(project, name):
    game = [
        "loss.beta=1",
        "validation.pairs=[]",
        f"adversarial.manner={name}",
        "adversarial.discriminator_every=1",
    ]
    setup(read_recipe(project / "recipe.toml", [*game, "length.steps=2"]))
    setup(read_recipe(project / "recipe.toml", [*game, "length.steps=3"]), resume=True)
    found = events(project / "run")[-1]
    assert found["step"] == 3
    judged = {key for key in found if key.startswith("side_")}
    assert judged == (
        {"side_1", "side_2", "side_3", "side_4"} if name in ("mcddl", "deep-image") else {"side_4"}
    )


def test_unknown_manner_lists_the_known_ones(project):
    with pytest.raises(RecipeError, match="msg-gan"):
        setup(read_recipe(project / "recipe.toml", ["loss.beta=1", "adversarial.manner=rude"]))
