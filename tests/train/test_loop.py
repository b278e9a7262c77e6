"""A run from its first to its last step."""

import json
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from helpers.train_commands import events, run, state_of, write_recipe

from derain.errors import TrainingError
from derain.network.weights_file import load_weights
from derain.train import loop
from derain.train.loop import setup
from derain.train.precision import fastest_precision
from derain.train.recipe_file import read_recipe


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory, shared_data):
    """A folder with a finished run of three steps, and the card that it returned."""
    folder = tmp_path_factory.mktemp("whole")
    write_recipe(folder, shared_data)
    return folder, run(folder, "length.steps=3")


def test_run_takes_all_steps(whole_run):
    _, card = whole_run
    assert card["step"] == 3


def test_run_logs_every_step(whole_run):
    folder, _ = whole_run
    assert [event["step"] for event in events(folder)] == [1, 2, 3]


def test_run_validates(whole_run):
    _, card = whole_run
    assert set(card["validation"]) == {"pairs", "mean"}


def test_weights_have_a_card(whole_run):
    folder, card = whole_run
    written = load_weights(folder / "run/weights.safetensors")[2]
    assert written["steps"] == 3
    assert written["validation"] == card["validation"]


def test_run_leaves_a_checkpoint(whole_run):
    folder, _ = whole_run
    assert state_of(folder)["step"] == 3


def test_unused_heads_stay_unchanged(finished):
    other = f"record.folder={finished / 'other'}"
    run(
        finished,
        other,
        "loss.alpha=0.0",
        "length.steps=2",
        "validation.pairs=[]",
        weights=finished / "run/weights.safetensors",
    )
    before = load_weights(finished / "run/weights.safetensors")[1]
    after = load_weights(finished / "other/weights.safetensors")[1]
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert "heads" not in changed


def test_log_lines_average_all_their_steps(project):
    # the discriminator is updated in step 1, the line is written after step 2
    run(
        project,
        "loss.beta=1.0",
        "adversarial.discriminator_every=5",
        "record.log_every_steps=2",
        "length.steps=2",
        "validation.pairs=[]",
    )
    (line,) = events(project)
    assert line["discriminator"] > 0
    assert line["side_1"] > 0


def test_example_recipe_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = Path(__file__).parents[2] / "recipes" / "example.toml"
    small = [
        "length.steps=1",
        "optimiser.batch=1",
        "machine.threads=1",
        "machine.kernels=eager",
        "validation.pairs=[]",
    ]
    setup(read_recipe(recipe, small))
    assert (tmp_path / "runs/example/weights.safetensors").exists()


@pytest.mark.slow
def test_example_recipe_validates(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = Path(__file__).parents[2] / "recipes" / "example.toml"
    card = setup(read_recipe(recipe, ["length.steps=1", "optimiser.batch=1", "machine.threads=1"]))
    assert set(card["validation"]) == {"examples", "mean"}


@pytest.mark.slow
def test_training_reduces_the_loss(project):
    run(project, "length.steps=60", "optimiser.learning_rate=3e-3", "data.mix.rain_free=0")
    losses = [event["pixel"] + event["absolute"] for event in events(project)]
    assert sum(losses[-15:]) < 0.8 * sum(losses[:15])


def test_non_finite_loss_stops_the_run(project):
    diverging = [
        "optimiser.learning_rate=1e30",
        "optimiser.clip_norm=0",
        "schedule.warmup_steps=0",
    ]
    with pytest.raises(TrainingError, match="crops 2 to 3 of seed 3; restart with a lower"):
        run(project, *diverging)
    assert not (project / "run/state.ckpt").exists()


def test_run_is_not_overwritten(quick_finished):
    with pytest.raises(TrainingError, match="--resume"):
        run(quick_finished)


def test_folder_of_a_live_run_is_rejected(quick):
    (quick / "run").mkdir()
    with (
        FileLock(quick / "run/.lock"),
        pytest.raises(TrainingError, match=r"run: another run is training in this folder; wait"),
    ):
        run(quick)


def test_folder_is_released_after_a_run(quick):
    (quick / "run").mkdir()
    with FileLock(quick / "run/.lock"):
        pass
    run(quick, "length.steps=1", "validation.pairs=[]")
    assert state_of(quick)["step"] == 1


def test_state_is_saved_before_validation(project, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("derain.train.weights.validate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(project, "length.steps=1")
    assert state_of(project)["step"] == 1
    assert load_weights(project / "run/weights.safetensors")[2]["steps"] == 1


def test_validation_is_due_every_steps(quick):
    run(quick, "length.steps=2", "validation.every_steps=1")
    assert [event["step"] for event in events(quick, "validation")] == [1, 2]


def test_selected_precision_is_recorded(project, monkeypatch):
    monkeypatch.setattr("derain.train.precision.bfloat16_is_faster", lambda *_: True)
    run(project, "length.steps=1", "machine.precision=auto", "validation.pairs=[]")
    recipe = json.loads((project / "run/recipe.json").read_text())
    assert recipe["machine"]["precision"] == "bf16-mixed"
    assert load_weights(project / "run/weights.safetensors")[2]["precision"] == "bf16-mixed"


def test_unused_gpu_does_not_select_the_precision(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(
        "torch.cuda.is_bf16_supported", lambda *, including_emulation: not including_emulation
    )
    monkeypatch.setattr("derain.train.precision.matmul_gflops", lambda dtype, size: 1.0)
    precisions = [fastest_precision(accelerator) for accelerator in ("cpu", "cuda", "auto")]
    assert precisions == ["32-true", "bf16-mixed", "bf16-mixed"]


def test_weights_are_written_with_each_checkpoint(quick, monkeypatch):
    present = []
    training_step = loop.training_step

    def step(*arguments):
        present.append((quick / "run/weights.safetensors").exists())
        return training_step(*arguments)

    monkeypatch.setattr(loop, "training_step", step)
    run(quick, "record.save_every_minutes=1e-9", "length.steps=3", "validation.pairs=[]")
    assert present == [False, True, True]
