"""A recipe with `network.kind` trains a network of another paper on the same loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.train_commands import events, run, state_of

from derain.cli.main import main
from derain.errors import RecipeError, WeightsError
from derain.rivals import NETWORKS, load
from derain.rivals.checkpoint import read_checkpoint
from derain.rivals.configuration import RivalConfiguration
from derain.train.recipe_file import build_recipe
from derain.train.rival_losses import OWN_LOSSES

SHORT = (
    "network={kind='prn_r',options={channels=4,stages=2}}",
    "data.crop_px=32",
    "loss={pixel=1,alpha=0,beta=0}",
    "optimiser.ema=0.0",
    "length.steps=2",
)
TINY = {
    "prenet": {"channels": 4, "stages": 2},
    "prenet_r": {"channels": 4, "stages": 2},
    "prn": {"channels": 4, "stages": 2},
    "prn_r": {"channels": 4, "stages": 2},
    "spanet": {"channels": 4, "plain": 1, "attended": 3},
    "nledn": {"channels": 4},
    "hct-ffn": {"channels": 16, "blocks": 1},
    "rescan": {"channels": 8, "stages": 2},
    "ddn": {"channels": 4, "pairs": 2},
    "sirr": {"channels": 4, "pairs": 2},
    "rcdnet": {"stages": 3, "maps": 4, "dual": 4},
    "dcsfn": {"channels": 4, "units": 2},
    "mspfn": {"rounds": 1},
    "mspfn_m17n1": {"rounds": 1},
    "syn2real": {},
    "mprnet": {"channels": 8, "step": 4, "wider": 4, "blocks": 1},
    "dualgcn": {"channels": 8, "units": 1},
    "swinir": {"channels": 12, "depths": (2,), "heads": 2},
    "ssid-kd": {"channels": (4, 4, 4), "repeats": (2, 2, 2)},
    "wang": {"channels": 4, "units": (1, 1, 1)},
}
"""Sizes with which a step takes a fraction of a second."""


def inline(values: dict) -> str:
    """Return a dictionary as an inline table of TOML."""
    items = (f"{key}={list(v) if isinstance(v, tuple) else v}" for key, v in values.items())
    return "{" + ",".join(items) + "}"


def test_a_rival_is_trained_saved_resumed_and_loaded(project):
    run(project, *SHORT)
    scores = run(project, *SHORT[:-1], "length.steps=4", resume=True)
    assert scores["step"] == 4
    network = load("prn_r", project / "run/weights.safetensors")
    trained = state_of(project)["network"]
    torch.testing.assert_close(network.state_dict(), trained)


def test_parameters_that_the_loss_does_not_reach_are_frozen(project):
    torch.manual_seed(3)  # as in the recipe
    before = RivalConfiguration("spanet", dict(TINY["spanet"])).build().state_dict()
    settings = f"network={{kind='spanet',options={inline(TINY['spanet'])}}}"
    run(project, settings, *SHORT[1:-1], "length.steps=3", "validation.pairs=[]")
    trained = state_of(project)["network"]
    idle = {name for name in trained if torch.equal(trained[name], before[name])}
    assert idle == {name for name in trained if "direction_weights" in name}


def test_weights_of_another_kind_are_rejected(project):
    run(project, *SHORT)
    with pytest.raises(WeightsError, match="holds the weights of prn_r; use prn_r:"):
        load("prenet", project / "run/weights.safetensors")


def test_training_starts_from_an_official_checkpoint(project, tmp_path):
    network = RivalConfiguration("prn_r", {"channels": 4, "stages": 2}).build()
    official = {network.official_name(name): t for name, t in network.state_dict().items()}
    torch.save(official, tmp_path / "net_latest.pth")
    run(project, *SHORT, "optimiser.learning_rate=0.0", weights=tmp_path / "net_latest.pth")
    torch.testing.assert_close(state_of(project)["network"], dict(network.state_dict()))


def test_card_of_a_rival_counts_initial_steps(project):
    run(project, *SHORT, "validation.pairs=[]")
    weights, other = project / "run/weights.safetensors", project / "other"
    run(project, *SHORT, "validation.pairs=[]", f"record.folder={other}", weights=weights)
    assert read_checkpoint(other / "weights.safetensors").card["steps"] == 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"network": {"kind": "prenet"}}, "prenet has no heads"),
        ({"network": {"kind": "prenett"}}, "kind = 'prenett' is unknown"),
        (
            {"network": {"kind": "prenet", "options": {"width": 3}}},
            "prenet has no option 'width'; choose from",
        ),
        ({"network": {"kind": "prenet", "preset": "small"}}, "unknown key 'network.preset'"),
        ({"loss": {"own": True}}, "loss.own: a PLNLIN has no other loss"),
    ],
)
def test_contradictions_are_reported(values, message, tmp_path):
    recipe = {"data": {"pairs": [{"folder": "."}]}, "length": {"steps": 1}} | values
    with pytest.raises((RecipeError, WeightsError), match=message):
        build_recipe(recipe, base=tmp_path)


def test_kind_plnlin_is_the_default(tmp_path):
    recipe = {"data": {"pairs": [{"folder": "."}]}, "length": {"steps": 1}}
    network = {"kind": "plnlin", "preset": "small"}
    named = build_recipe(recipe | {"network": network}, base=tmp_path)
    assert named == build_recipe(recipe | {"network": {"preset": "small"}}, base=tmp_path)


def test_every_network_has_a_loss_of_its_own():
    assert set(OWN_LOSSES) == set(NETWORKS) == set(TINY)


@pytest.mark.slow
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("kind", TINY)
def test_fifty_steps_reduce_the_loss(kind, own, project, shared_data, capsys):
    settings = (
        f"network={{kind='{kind}',options={inline(TINY[kind])}}}",
        "data.crop_px=32",
        f"loss={{pixel=1,absolute=1,alpha=0,beta=0,own={str(own).lower()}}}",
        "optimiser={learning_rate=2e-3,batch=1,clip_norm=1.0}",
        "record={log_every_steps=10,folder='" + str(project / "run") + "'}",
    )
    run(project, *settings, "length.steps=25", "validation.pairs=[]")
    run(project, *settings, "length.steps=50", "validation.pairs=[]", resume=True)
    losses = [event["loss"] for event in events(project)]
    assert np.isfinite(losses).all()
    assert min(losses[1:]) < losses[0]
    weights = project / "run/weights.safetensors"
    arguments = ["--model", f"mine={kind}:{weights}", "--data", str(shared_data / "pairs")]
    assert main(["evaluate", *arguments, "--only", "1"]) == 0
    assert "mine" in capsys.readouterr().out
