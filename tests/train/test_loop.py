import errno
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from helpers.train_commands import command, state_of, wait_for
from PIL import Image

from derain.errors import DataError, RecipeError, TrainingError, WeightsError
from derain.files.atomic import TEMPORARY_PREFIX
from derain.network.weights_file import load_weights
from derain.train.loop import setup
from derain.train.precision import fastest_precision
from derain.train.recipe_file import read_recipe


def run(project, *overrides, resume=False, weights=None):
    return setup(read_recipe(project / "recipe.toml", overrides), resume=resume, weights=weights)


def events(project, kind):
    return [
        e
        for line in (project / "run/log.jsonl").read_text().splitlines()
        if (e := json.loads(line))["event"] == kind
    ]


def test_run_leaves_state_weights_log_and_validation(project):
    card = run(project)
    assert card["step"] == 6
    assert set(card["validation"]) == {"pairs", "mean"}
    assert [e["step"] for e in events(project, "train")] == [1, 2, 3, 4, 5, 6]
    written = load_weights(project / "run/weights.safetensors")[2]
    assert (written["steps"], written["validation"]) == (6, card["validation"])
    assert list((project / "run").glob("events.out.tfevents*"))


@pytest.mark.parametrize("processes", [1, 2])
def test_heads_that_no_loss_looks_at_stay_as_they_are(project, processes):
    run(project)
    begun = project / "run/weights.safetensors"
    other = [
        f"record.folder={project / 'other'}",
        "validation.pairs=[]",
        "loss.alpha=0.0",
        f"machine.processes={processes}",
    ]
    subprocess.run([*command(project, *other), "--weights", str(begun)], timeout=180, check=True)
    before, after = load_weights(begun)[1], load_weights(project / "other/weights.safetensors")[1]
    moved = {
        name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])
    }
    assert moved and "heads" not in moved


def test_every_line_of_the_log_has_what_any_of_its_steps_had(project):
    run(
        project,
        "loss.beta=1.0",
        "adversarial.discriminator_every=5",
        "record.log_every_steps=3",
        "validation.pairs=[]",
    )
    first, second = events(project, "train")
    assert (
        first["discriminator"] > 0 and second["side_1"] > 0
    )  # D is updated in steps 1 and 6, lines are of steps 3 and 6


def test_steps_that_are_done_again_and_spoilt_lines_are_not_in_the_log(project):
    run(project, "validation.pairs=[]")
    with (project / "run/log.jsonl").open("a") as log:
        log.write(
            '\0\0\0\n{"step": null}\n[7]\n{"event": "train", "step": 7, "hours": 0.1, "loss": 9.0}\n{"event": "tra'
        )  # and killed
    run(project, "length.steps=8", "validation.pairs=[]", resume=True)
    assert [e["step"] for e in events(project, "train")] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert events(project, "train")[6]["loss"] != 9


def test_weights_count_the_steps_of_those_they_began_with(project):
    run(project)
    begun = project / "run/weights.safetensors"
    other = [f"record.folder={project / 'other'}", "validation.pairs=[]"]
    run(project, *other, "length.steps=2", weights=begun)
    run(project, *other, "length.steps=3", resume=True)
    card = load_weights(project / "other/weights.safetensors")[2]
    assert (card["steps"], card["data"]) == (9, ["pairs", "clear"])


def test_weights_tell_the_data_of_those_they_began_with(project):
    run(project, "length.steps=1", "validation.pairs=[]")
    (project / "pairs").rename(project / "own")
    other = [
        f"record.folder={project / 'other'}",
        "validation.pairs=[]",
        "length.steps=1",
        "data.backgrounds=[]",
        "data.mix.rain_free=0",
    ]
    own = 'data.pairs=[{folder="own"}]'
    run(project, *other, own, weights=project / "run/weights.safetensors")
    run(project, *other, own, "length.steps=2", resume=True)
    assert load_weights(project / "other/weights.safetensors")[2]["data"] == [
        "pairs",
        "clear",
        "own",
    ]


def test_the_recipe_to_begin_with_trains_on_the_examples(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = Path(__file__).parents[2] / "recipes" / "example.toml"
    card = setup(
        read_recipe(
            recipe,
            ["length.steps=1", "optimiser.batch=1", "machine.threads=1", "machine.kernels=eager"],
        )
    )
    assert set(card["validation"]) == {"examples", "mean"}
    assert (tmp_path / "runs/example/weights.safetensors").exists()


def test_training_learns(project):
    run(project, "length.steps=60", "optimiser.learning_rate=3e-3", "data.mix.rain_free=0")
    losses = [e["pixel"] + e["absolute"] for e in events(project, "train")]
    assert sum(losses[-15:]) < 0.8 * sum(losses[:15])


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_resumed_run_has_the_same_weights_bit_for_bit(project, optimiser, stop_after):
    kind = f"optimiser.name={optimiser}"
    run(project, kind, f"record.folder={project / 'whole'}")
    with stop_after(2):
        run(project, kind)
    assert state_of(project)["step"] == 2
    run(project, kind, resume=True)
    whole, resumed = state_of(project, "whole"), state_of(project)
    assert resumed["step"] == 6
    assert all(torch.equal(whole["network"][k], resumed["network"][k]) for k in whole["network"])
    assert all(
        torch.equal(a, b)
        for a, b in zip(whole["average"]["values"], resumed["average"]["values"], strict=True)
    )


@pytest.mark.parametrize(
    "name",
    [
        "SIGTERM",
        pytest.param("SIGHUP", marks=pytest.mark.skipif(os.name == "nt", reason="Windows")),
    ],
)
def test_a_signal_ends_a_run_with_its_state_saved(name, project):
    process = subprocess.Popen(
        command(project, "length.steps=100000", "validation.pairs=[]"),
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: (project / "run/log.jsonl").exists())
    process.send_signal(signal.Signals[name])
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "stopped by a signal" in said
    assert state_of(project)["step"] == events(project, "train")[-1]["step"]


def test_kill_at_any_moment_leaves_a_whole_state_of(project):
    process = subprocess.Popen(
        command(
            project, "length.steps=100000", "record.save_every_minutes=0", "validation.pairs=[]"
        )
    )
    wait_for(lambda: (project / "run/state.ckpt").exists())
    time.sleep(0.5)
    process.kill()
    process.wait(60)
    assert state_of(project)["step"] >= 1


def test_two_processes_average_their_gradients(project):
    """Two processes with one crop each take the step that one process takes with both crops, up to rounding."""
    run(project, f"record.folder={project / 'one'}", "length.steps=3", "validation.pairs=[]")
    done = subprocess.run(
        command(project, "machine.processes=2", "length.steps=3"),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, two = state_of(project, "one")["network"], state_of(project)["network"]
    assert max((one[k] - two[k]).abs().max().item() for k in one) < 2e-4
    assert "mean" in state_of(project)["card"]["validation"]


def test_two_processes_take_one_precision(project):
    both = [
        "machine.processes=2",
        "length.steps=1",
        "machine.precision=auto",
        "validation.pairs=[]",
    ]
    done = subprocess.run(
        command(project, *both), capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((project / "run/recipe.json").read_text())["machine"]["precision"] in (
        "32-true",
        "bf16-mixed",
    )


def test_loss_that_is_not_finite_stops_the_run_and_names_the_crops(project):
    with pytest.raises(TrainingError, match="crops 2 to 3 of seed 3; begin again with a lower"):
        run(
            project,
            "optimiser.learning_rate=1e30",
            "optimiser.clip_norm=0",
            "schedule.warmup_steps=0",
        )
    assert not (project / "run/state.ckpt").exists()


def test_run_is_not_overwritten(project):
    run(project, "length.steps=1")
    with pytest.raises(TrainingError, match="--resume"):
        run(project, "length.steps=1")


def test_a_folder_in_which_another_run_trains_is_refused(project):
    (project / "run").mkdir()
    with (
        FileLock(project / "run/.lock"),
        pytest.raises(TrainingError, match=r"run: another run is training there; wait"),
    ):
        run(project, "length.steps=1", "validation.pairs=[]")
    run(project, "length.steps=1", "validation.pairs=[]")


def test_weights_alone_start_a_new_run(project):
    run(project, "length.steps=2")
    run(
        project,
        f"record.folder={project / 'next'}",
        "length.steps=1",
        weights=project / "run/weights.safetensors",
    )
    assert state_of(project, "next")["step"] == 1


def test_a_run_begins_with_a_shipped_model_by_its_name(project):
    network, _, card = load_weights("small")
    own = ["pairs", "clear"]
    shape = [f"network.{name}={list(getattr(network, name))}" for name in ("channels", "stages")]
    run(
        project,
        "length.steps=1",
        "validation.pairs=[]",
        *shape,
        f"network.head_stages={network.head_stages}",
        weights="small",
    )
    begun = load_weights(project / "run/weights.safetensors")[2]
    data = card["data"]
    earlier = (
        [data] if isinstance(data, str) else data
    )  # one text that was written by hand, or names as a run leaves them
    assert (begun["steps"], begun["data"]) == (
        card["steps"] + 1,
        [*earlier, *[name for name in own if name not in earlier]],
    )


def test_weights_of_another_network_are_refused(project):
    run(project, "length.steps=1")
    with pytest.raises(WeightsError, match="does not fit"):
        run(
            project,
            f"record.folder={project / 'x'}",
            "network.head_stages=2",
            weights=project / "run/weights.safetensors",
        )


def test_state_of_another_network_is_refused(project):
    run(project, "length.steps=1")
    with pytest.raises(RecipeError, match="another network"):
        run(project, "network.head_stages=2", resume=True)


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("optimiser.name=muon", "optimiser.name = 'adamw'"),
        ("loss.beta=1", "without a discriminator"),
    ],
)
def test_state_of_another_optimiser_or_game_is_refused(project, override, remedy):
    run(project, "length.steps=1")
    with pytest.raises(RecipeError, match=remedy):
        run(project, override, resume=True)


def test_state_of_another_discriminator_is_refused(project):
    run(project, "length.steps=1", "loss.beta=1", "validation.pairs=[]")
    with pytest.raises(RecipeError, match="trained with other settings of"):
        run(project, "loss.beta=1", "network.normalised_content=false", resume=True)


def test_state_from_before_features_were_normalised_goes_on_without_a_discriminator_alone(project):
    run(project, "length.steps=1", "loss.beta=1", "validation.pairs=[]")
    saved = state_of(project)
    del saved["recipe"]["network"]["normalised_content"]
    torch.save(saved, project / "run/state.ckpt")
    with pytest.raises(RecipeError, match="trained with other settings of"):
        run(project, "loss.beta=1", resume=True)
    run(project, "loss.beta=0", "length.steps=2", "validation.pairs=[]", resume=True)
    assert state_of(project)["step"] == 2


def test_a_discriminator_that_was_laid_aside_goes_on_with_its_own_settings_alone(project):
    run(project, "length.steps=1", "loss.beta=1", "validation.pairs=[]")
    other = ["network.normalised_content=false", "adversarial.manner=classical"]
    run(project, "length.steps=2", "validation.pairs=[]", *other, resume=True)
    for override, fact in zip(other, ["other settings of", "manner = 'mcddl'"], strict=True):
        with pytest.raises(RecipeError, match=fact):
            run(
                project,
                "length.steps=3",
                "loss.beta=1",
                "validation.pairs=[]",
                override,
                resume=True,
            )
    run(project, "length.steps=6", "loss.beta=1", "validation.pairs=[]", resume=True)  # r = 5
    assert "discriminator" in events(project, "train")[-1]


def test_weights_of_a_network_that_computes_something_else_are_refused(project):
    run(project, "length.steps=1", "validation.pairs=[]")
    with pytest.raises(
        WeightsError, match=r"trained with network\.shift_px = 3, and the recipe's network has 0"
    ):
        run(
            project,
            f"record.folder={project / 'x'}",
            "network.shift_px=0",
            weights=project / "run/weights.safetensors",
        )


def test_state_of_another_manner_is_refused(project):
    run(project, "length.steps=1", "loss.beta=1", "validation.pairs=[]")
    with pytest.raises(RecipeError, match="manner = 'mcddl'"):
        run(project, "loss.beta=1", "adversarial.manner=classical", resume=True)


def test_resumed_run_has_the_settings_of_its_recipe(project):
    run(project, "length.steps=1")
    run(project, "optimiser.weight_decay=0.25", "optimiser.betas=[0.5, 0.6]", resume=True)
    group = state_of(project)["optimiser"]["param_groups"][0]
    assert (group["weight_decay"], group["betas"]) == (0.25, (0.5, 0.6))


def test_average_begins_at_the_weights_where_a_state_has_none(project):
    run(project, "optimiser.ema=0", "length.steps=2", "validation.pairs=[]")
    run(project, "length.steps=2", resume=True)
    state = state_of(project)
    assert all(
        torch.equal(a, b)
        for a, b in zip(state["average"]["values"], state["network"].values(), strict=True)
    )


def test_run_that_is_done_takes_no_further_step(project):
    run(project, "length.steps=2")
    before = state_of(project)["network"]
    assert run(project, "length.steps=2", resume=True)["step"] == 2
    assert all(torch.equal(before[k], v) for k, v in state_of(project)["network"].items())


def test_resuming_from_other_weights_is_refused(project):
    with pytest.raises(TrainingError, match="give one of them"):
        run(project, resume=True, weights=project / "weights.safetensors")


def test_folder_that_cannot_be_made_is_named(project):
    (project / "file").write_text("")
    with pytest.raises(TrainingError, match=r"file/run: Not a directory; .*record\.folder"):
        run(project, f"record.folder={project / 'file/run'}")


@pytest.mark.parametrize("accelerator", ["tpus", "mps"])
def test_accelerator_that_is_not_there_is_refused(project, accelerator):
    with pytest.raises(RecipeError, match="machine: "):
        run(project, f"machine.accelerator={accelerator}")


def test_full_disk_keeps_the_last_state(project, monkeypatch):
    run(project, "length.steps=1")
    before = (project / "run/state.ckpt").read_bytes()

    def full(contents, file):
        file.write(b"half of it")
        raise RuntimeError("PytorchStreamWriter failed writing file")

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(
        TrainingError, match=r"state\.ckpt: cannot be written.*; the state before it is kept"
    ):
        run(project, resume=True)
    assert (project / "run/state.ckpt").read_bytes() == before
    assert not list((project / "run").glob(f"{TEMPORARY_PREFIX}*"))


@pytest.mark.parametrize("events", [0, 4], ids=["at its beginning", "on the way"])
def test_full_disk_under_the_log_of_tensorboard_is_one_sentence(project, monkeypatch, events):
    unhandled, room = [], [events]

    def full(self, data):
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        room[0] -= 1

    monkeypatch.setattr("threading.excepthook", unhandled.append)
    hook = threading.excepthook
    run(project, "length.steps=1", "validation.pairs=[]")
    assert threading.excepthook is hook
    monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", full)
    with pytest.raises(
        TrainingError, match=r"run: No space left on device; what was saved before is kept"
    ):
        run(project, "validation.pairs=[]", resume=True)
    assert threading.excepthook is hook
    assert not unhandled


def test_files_without_partner_are_told_of(project, capsys):
    (project / "pairs/clean/3.png").unlink()
    run(project, "length.steps=1", "validation.pairs=[]")
    assert "pairs: 1 files are in no pair, the first: " in capsys.readouterr().err


def test_validation_file_without_partner_is_told_of(project, capsys):
    (project / "pairs/clean/3.png").unlink()
    validation = [
        "data.pairs=[]",
        "data.mix.pair=0",
        "data.mix.recombined=0",
        'validation.pairs=[{folder="pairs"}]',
    ]
    run(project, "length.steps=1", *validation)
    assert "pairs: 1 files are in no pair, the first: " in capsys.readouterr().err


def test_pairs_that_are_trained_and_evaluated_on_are_told_of(project, capsys):
    run(project, "length.steps=1", 'validation.pairs=[{folder="pairs", only=["2"]}]')
    assert (
        "pairs: 1 of its 5 pairs are both trained and evaluated on, the first 2; exclude them"
        in capsys.readouterr().err
    )


def test_backgrounds_that_are_evaluated_on_are_told_of(project, capsys):
    run(project, "length.steps=1", 'data.backgrounds=["clear", "pairs/clean"]')
    assert (
        "data.backgrounds: 1 of 8 are both trained and evaluated on, the first "
        in capsys.readouterr().err
    )


def test_pictures_smaller_than_a_crop_are_told_of(project, capsys):
    Image.new("RGB", (40, 90)).save(project / "clear/little.png")
    run(project, "length.steps=1", "validation.pairs=[]")
    assert (
        "1 pictures are smaller than a crop of 56 px and left out, the first: "
        in capsys.readouterr().err
    )


def test_a_full_memory_is_one_sentence(project, monkeypatch):
    def full(*_):
        return torch.empty(2**60)

    monkeypatch.setattr("derain.train.loop.training_step", full)
    with pytest.raises(TrainingError, match=r"run: the memory is full; .* optimiser\.batch"):
        run(project)


def test_what_the_first_of_two_processes_cannot_write_is_one_sentence(project):
    (project / "run/weights.safetensors").mkdir(parents=True)
    given = ["machine.processes=2", "validation.pairs=[]", "length.steps=2"]
    said = subprocess.run(command(project, *given), capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "weights.safetensors: is a folder; name a file in it" in said.stderr
    assert "Traceback" not in said.stderr


def test_validation_picture_that_is_damaged_ends_the_run_at_its_start(project):
    path = project / "pairs/rainy/1.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"rainy/1\.png: "):
        run(project)
    assert not (project / "run/state.ckpt").exists()


def test_what_was_learnt_is_saved_before_it_is_validated(project, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("derain.train.log.validate", killed)
    with pytest.raises(KeyboardInterrupt):
        run(project)
    assert (
        state_of(project)["step"]
        == load_weights(project / "run/weights.safetensors")[2]["steps"]
        == 6
    )


def test_precision_that_was_chosen_is_written_down(project, monkeypatch):
    monkeypatch.setattr("derain.train.precision.bfloat16_is_faster", lambda *_: True)
    run(project, "length.steps=1", "machine.precision=auto")
    assert (
        json.loads((project / "run/recipe.json").read_text())["machine"]["precision"]
        == "bf16-mixed"
    )
    assert load_weights(project / "run/weights.safetensors")[2]["precision"] == "bf16-mixed"


def test_a_gpu_that_is_not_trained_on_does_not_decide_the_precision(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(
        "torch.cuda.is_bf16_supported", lambda *, including_emulation: not including_emulation
    )
    monkeypatch.setattr("derain.train.precision.matmul_gflops", lambda dtype, size: 1.0)
    assert [fastest_precision(accelerator) for accelerator in ("cpu", "cuda", "auto")] == [
        "32-true",
        "bf16-mixed",
        "bf16-mixed",
    ]


def test_damaged_state_is_named(project):
    run(project, "length.steps=1")
    (project / "run/state.ckpt").write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match=r"state\.ckpt: is damaged"):
        run(project, resume=True)


def test_file_that_is_no_state_is_named(project):
    run(project, "length.steps=1")
    torch.save({"state_dict": {}}, project / "run/state.ckpt")
    with pytest.raises(WeightsError, match=r"state\.ckpt: is damaged"):
        run(project, resume=True)


def test_state_that_let_other_parameters_decay_is_refused(project):
    run(project, "length.steps=1", "validation.pairs=[]")
    saved = state_of(project)
    decaying, others = saved["optimiser"]["param_groups"]
    others["params"].append(decaying["params"].pop())
    torch.save(saved, project / "run/state.ckpt")
    with pytest.raises(
        RecipeError, match="saved by an earlier derain, which let other parameters decay"
    ):
        run(project, resume=True)


def test_resuming_nothing_is_refused(project):
    with pytest.raises(WeightsError, match="no state to resume"):
        run(project, resume=True)


def test_missing_data_is_named(project):
    with pytest.raises(DataError, match="nowhere"):
        run(project, "data.backgrounds=['nowhere']")


@pytest.mark.skipif(os.name == "nt", reason="no Ctrl-C to send")
def test_unknown_key_is_one_line_and_exit_code_1(project):
    done = subprocess.run(
        command(project, "optimiser.bach=4"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "did you mean 'batch'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no groups that a signal goes to")
def test_a_signal_to_all_processes_of_a_run_ends_it_with_its_state_saved(project):
    """As a scheduler sends it: also to those that prepare crops."""
    arguments = command(project, "length.steps=100000", "validation.pairs=[]", "machine.workers=2")
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for(lambda: (project / "run/log.jsonl").exists())
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in said) == (0, False), said
    assert state_of(project)["step"] == events(project, "train")[-1]["step"]


def test_a_process_that_is_killed_while_it_prepares_crops_is_one_sentence(project, monkeypatch):
    def killed(*_):
        raise RuntimeError("DataLoader worker (pid 5415) is killed by signal: Killed. ")

    monkeypatch.setattr("derain.train.loop.training_step", killed)
    with pytest.raises(
        TrainingError,
        match=r"run: a process that prepares crops was killed, .* lower machine\.workers",
    ):
        run(project)
