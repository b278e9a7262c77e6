"""Resumed runs, and checkpoints that cannot be resumed."""

import pytest
import torch
from helpers.train_commands import FEW_TENSORS, events, run, state_of

from derain.errors import RecipeError, TrainingError, WeightsError
from derain.files.atomic import TEMPORARY_PREFIX

NO_VALIDATION = "validation.pairs=[]"


@pytest.mark.parametrize("network", [["optimiser.name=muon"], FEW_TENSORS])
def test_resumed_run_is_bit_exact(project, network, stop_after):
    settings = [*network, "length.steps=3", NO_VALIDATION]
    run(project, *settings, f"record.folder={project / 'whole'}")
    with stop_after(1):
        run(project, *settings)
    assert state_of(project)["step"] == 1
    run(project, *settings, resume=True)
    whole, resumed = state_of(project, "whole"), state_of(project)
    assert resumed["step"] == 3
    assert all(torch.equal(whole["network"][k], resumed["network"][k]) for k in whole["network"])
    averages = zip(whole["average"]["values"], resumed["average"]["values"], strict=True)
    assert all(torch.equal(a, b) for a, b in averages)


@pytest.mark.slow
def test_adversarial_run_is_bit_exact(project, stop_after):
    settings = ["loss.beta=1", "adversarial.discriminator_every=2", "length.steps=4", NO_VALIDATION]
    run(project, *settings, f"record.folder={project / 'whole'}")
    with stop_after(3):
        run(project, *settings)
    assert state_of(project)["step"] == 3
    run(project, *settings, resume=True)
    whole, resumed = state_of(project, "whole"), state_of(project)
    for part in ("network", "discriminator"):
        assert all(torch.equal(whole[part][k], resumed[part][k]) for k in whole[part])


def test_repeated_steps_replace_their_log_lines(quick_finished):
    with (quick_finished / "run/log.jsonl").open("a") as log:
        # as after a kill: corrupt lines, and a step that the checkpoint does not have
        log.write('\0\0\0\n{"step": null}\n[7]\n{"event": "train", "step": 2, "loss": 9.0}\n{"ev')
    run(quick_finished, "length.steps=3", NO_VALIDATION, resume=True)
    assert [event["step"] for event in events(quick_finished)] == [1, 2, 3]
    assert events(quick_finished)[1]["loss"] != 9


def test_log_keeps_the_steps_before_a_stop(quick, stop_after):
    settings = ["record.log_every_steps=4", "length.steps=4", NO_VALIDATION]
    run(quick, *settings, f"record.folder={quick / 'whole'}")
    with stop_after(2):
        run(quick, *settings)
    run(quick, *settings, resume=True)
    (whole,), (resumed,) = events(quick, folder="whole"), events(quick)
    assert {**resumed, "hours": 0} == {**whole, "hours": 0}


def test_checkpoint_without_means_is_resumed(quick_finished):
    saved = state_of(quick_finished)
    del saved["means"]
    torch.save(saved, quick_finished / "run/state.ckpt")
    run(quick_finished, "length.steps=2", NO_VALIDATION, resume=True)
    assert [event["step"] for event in events(quick_finished)] == [1, 2]


def test_finished_run_is_validated_once(quick_finished):
    for _ in range(2):
        run(quick_finished, "length.steps=1", resume=True)
    assert len(events(quick_finished, "validation")) == 1


@pytest.mark.parametrize(
    "change", ['validation.pairs=[{folder="pairs", only=["2"]}]', "optimiser.ema=0"]
)
def test_finished_run_is_validated_again_after_a_change(quick_finished, change):
    for overrides in ([], [change]):
        run(quick_finished, "length.steps=1", *overrides, resume=True)
    assert len(events(quick_finished, "validation")) == 2


def test_resumption_without_validation_keeps_the_scores(quick_finished):
    scores = run(quick_finished, "length.steps=1", resume=True)
    assert run(quick_finished, "length.steps=1", NO_VALIDATION, resume=True) == scores


def test_resumed_run_uses_the_settings_of_its_recipe(quick_finished):
    changed = ["optimiser.weight_decay=0.25", "optimiser.betas=[0.5, 0.6]"]
    run(quick_finished, *changed, "length.steps=2", NO_VALIDATION, resume=True)
    group = state_of(quick_finished)["optimiser"]["param_groups"][0]
    assert group["weight_decay"] == 0.25
    assert group["betas"] == (0.5, 0.6)


def test_new_average_starts_at_the_weights(quick):
    run(quick, "optimiser.ema=0", "length.steps=1", NO_VALIDATION)
    run(quick, "length.steps=1", NO_VALIDATION, resume=True)
    state = state_of(quick)
    pairs = zip(state["average"]["values"], state["network"].values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_finished_run_takes_no_step(quick_finished):
    before = state_of(quick_finished)["network"]
    assert run(quick_finished, "length.steps=1", resume=True)["step"] == 1
    assert all(torch.equal(before[k], v) for k, v in state_of(quick_finished)["network"].items())


@pytest.mark.parametrize(
    ("override", "fact"),
    [
        ("network.head_stages=2", "another network"),
        ("optimiser.name=muon", "optimiser.name = 'adamw'"),
        ("loss.beta=1", "without a discriminator"),
    ],
)
def test_checkpoint_of_another_training_is_rejected(finished, override, fact):
    with pytest.raises(RecipeError, match=fact):
        run(finished, override, resume=True)


@pytest.mark.parametrize(
    ("override", "fact"),
    [
        ("network.normalised_content=false", "trained with other settings of"),
        ("adversarial.manner=classical", "manner = 'mcddl'"),
    ],
)
def test_checkpoint_of_another_discriminator_is_rejected(finished_adversarial, override, fact):
    with pytest.raises(RecipeError, match=fact):
        run(finished_adversarial, "loss.beta=1", override, resume=True)


@pytest.fixture
def legacy(finished_adversarial):
    """A run from before features were normalised."""
    saved = state_of(finished_adversarial)
    del saved["recipe"]["network"]["normalised_content"]
    torch.save(saved, finished_adversarial / "run/state.ckpt")
    return finished_adversarial


def test_legacy_discriminator_is_rejected(legacy):
    with pytest.raises(RecipeError, match="trained with other settings of"):
        run(legacy, "loss.beta=1", resume=True)


def test_legacy_run_resumes_without_a_discriminator(legacy):
    run(legacy, "loss.beta=0", "length.steps=2", NO_VALIDATION, resume=True)
    assert state_of(legacy)["step"] == 2


def test_unused_discriminator_is_stored(finished_adversarial):
    before = state_of(finished_adversarial)["discriminator"]
    run(finished_adversarial, "loss.beta=0", "length.steps=2", NO_VALIDATION, resume=True)
    after = state_of(finished_adversarial)["discriminator"]
    assert all(torch.equal(before[k], after[k]) for k in before)


@pytest.mark.slow
def test_stored_discriminator_keeps_its_settings(finished_adversarial):
    other = ["network.normalised_content=false", "adversarial.manner=classical"]
    run(finished_adversarial, "length.steps=2", NO_VALIDATION, *other, resume=True)
    with_beta = ["length.steps=6", "loss.beta=1", NO_VALIDATION]
    for override, fact in zip(other, ["other settings of", "manner = 'mcddl'"], strict=True):
        with pytest.raises(RecipeError, match=fact):
            run(finished_adversarial, *with_beta, override, resume=True)
    run(finished_adversarial, *with_beta, resume=True)  # r = 5: updated in step 6
    assert "discriminator" in events(finished_adversarial)[-1]


def test_full_disk_keeps_the_previous_checkpoint(quick_finished, monkeypatch):
    before = (quick_finished / "run/state.ckpt").read_bytes()

    def fill_disk(contents, file):
        file.write(b"half of it")
        raise RuntimeError("PytorchStreamWriter failed writing file")

    monkeypatch.setattr("torch.save", fill_disk)
    with pytest.raises(
        TrainingError, match=r"state\.ckpt: cannot be written.*; the previous checkpoint is kept"
    ):
        run(quick_finished, "length.steps=2", NO_VALIDATION, resume=True)
    assert (quick_finished / "run/state.ckpt").read_bytes() == before
    assert not list((quick_finished / "run").glob(f"{TEMPORARY_PREFIX}*"))


def test_corrupt_checkpoint_is_reported(quick_finished):
    (quick_finished / "run/state.ckpt").write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match=r"state\.ckpt: is damaged"):
        run(quick_finished, resume=True)


def test_other_torch_file_is_reported(quick_finished):
    torch.save({"state_dict": {}}, quick_finished / "run/state.ckpt")
    with pytest.raises(WeightsError, match=r"state\.ckpt: is damaged"):
        run(quick_finished, resume=True)


def test_checkpoint_with_other_decay_groups_is_rejected(quick_finished):
    saved = state_of(quick_finished)
    decaying, others = saved["optimiser"]["param_groups"]
    others["params"].append(decaying["params"].pop())
    torch.save(saved, quick_finished / "run/state.ckpt")
    with pytest.raises(
        RecipeError, match="an earlier version of derain, in which other parameters"
    ):
        run(quick_finished, resume=True)


def test_missing_checkpoint_is_reported(quick):
    with pytest.raises(WeightsError, match="no such checkpoint"):
        run(quick, resume=True)
