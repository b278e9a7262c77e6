"""Warnings about the data, and errors that end a run with one sentence."""

import errno
import sys

import pytest
import torch
from helpers.train_commands import events, run
from PIL import Image

from derain.cli.main import main
from derain.data.crops import Crops
from derain.errors import DataError, RecipeError, TrainingError

SHORT = ["length.steps=1", "validation.pairs=[]"]
WORKERS = [
    0,
    pytest.param(
        1,
        marks=pytest.mark.skipif(
            sys.platform != "linux" or sys.version_info >= (3, 14),
            reason="needs processes made by fork",
        ),
    ),
]
"""A process made by fork has the patches of the tests, too."""


def test_unpaired_files_are_reported(project, data, capsys):
    (data / "pairs/clean/3.png").unlink()
    run(project, *SHORT)
    assert "pairs: 1 files have no counterpart and are skipped" in capsys.readouterr().err


def test_unpaired_validation_files_are_reported(project, data, capsys):
    (data / "pairs/clean/3.png").unlink()
    only_validation = ["data.pairs=[]", "data.mix.pair=0", "data.mix.recombined=0"]
    run(
        project,
        "length.steps=1",
        *only_validation,
        'validation.pairs=[{folder="pairs", only=["1"]}]',
    )
    assert "pairs: 1 files have no counterpart and are skipped" in capsys.readouterr().err


SHARED = "are used for both training and validation"


@pytest.mark.parametrize(
    ("override", "warning"),
    [
        (
            'validation.pairs=[{folder="pairs", only=["2"]}]',
            f"pairs: 1 of its 5 pairs {SHARED}, the first: 2; exclude",
        ),
        ('data.backgrounds=["rain-free", "pairs/clean"]', f"data.backgrounds: 1 of 8 {SHARED}"),
        ('data.hard=["pairs/clean"]', f"data.hard: 1 of 6 {SHARED}"),
        (
            'data.exclude=["elsewhere"]',
            "data.exclude: 1 of 1 names are not those of a background, the first: elsewhere",
        ),
    ],
    ids=["shared pairs", "shared backgrounds", "shared hard pictures", "unknown exclusions"],
)
def test_doubtful_data_is_reported(quick, override, warning, capsys):
    run(quick, "length.steps=1", override)
    assert warning in capsys.readouterr().err


def test_small_pictures_are_reported(project, data, capsys):
    Image.new("RGB", (40, 90)).save(data / "rain-free/little.png")
    run(project, *SHORT)
    assert "1 pictures are smaller than a crop of 56 px and are skipped" in capsys.readouterr().err


def test_small_pairs_are_reported(project, data, capsys):
    for side in ("rainy", "clean"):
        Image.new("RGB", (40, 90)).save(data / "pairs" / side / "3.png")
    run(project, *SHORT)
    assert "1 pictures are smaller than a crop of 56 px and are skipped" in capsys.readouterr().err


def test_damaged_validation_picture_ends_the_run_at_its_start(project, data):
    path = data / "pairs/rainy/1.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"rainy/1\.png: "):
        run(project)
    assert not (project / "run/state.ckpt").exists()


@pytest.fixture
def damage_crops_from(monkeypatch):
    """Let crops fail from an index on, as if their picture were damaged."""

    def damage(first):
        def fail(crops, index):
            if index >= first:
                raise DataError("rain.png: is damaged; remove it")
            return draw(crops, index)

        monkeypatch.setattr(Crops, "__getitem__", fail)

    draw = Crops.__getitem__
    return damage


@pytest.mark.parametrize("workers", WORKERS)
def test_damaged_picture_ends_the_run_which_is_saved(quick, damage_crops_from, workers):
    damage_crops_from(4)  # two of batch 2 are left
    with pytest.raises(DataError) as raised:
        run(quick, f"machine.workers={workers}", "length.steps=3", "validation.pairs=[]")
    assert str(raised.value) == (
        "rain.png: is damaged; remove it; the run is saved, continue it with --resume"
    )
    damage_crops_from(100)
    run(quick, "length.steps=3", "validation.pairs=[]", resume=True)
    assert [event["step"] for event in events(quick)] == [1, 2, 3]


def test_damaged_picture_after_the_last_step_is_not_needed(quick, damage_crops_from, capsys):
    damage_crops_from(2)  # one of batch 2 is left
    assert run(quick, "length.steps=1")["step"] == 1
    assert len(events(quick, "validation")) == 1
    assert "done: step 1" in capsys.readouterr().err


@pytest.mark.parametrize("workers", WORKERS)
def test_damaged_picture_of_the_first_step_is_reported(quick, damage_crops_from, workers):
    damage_crops_from(1)
    with pytest.raises(DataError, match=r"^rain\.png: is damaged; remove it$"):
        run(quick, f"machine.workers={workers}", *SHORT)


def test_missing_folder_is_reported(quick):
    with pytest.raises(DataError, match="nowhere"):
        run(quick, "data.backgrounds=['nowhere']")


def test_impossible_run_folder_is_reported(quick):
    (quick / "file").write_text("")
    with pytest.raises(TrainingError, match=r"file/run: Not a directory; .*record\.folder"):
        run(quick, f"record.folder={quick / 'file/run'}")


@pytest.mark.parametrize("accelerator", ["tpus", "mps"])
def test_missing_accelerator_is_rejected(project, accelerator):
    with pytest.raises(RecipeError, match="machine: "):
        run(project, f"machine.accelerator={accelerator}")


def test_full_disk_under_the_log_is_reported(quick, monkeypatch):
    def fill_disk(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("derain.train.run_log.RunLog.write", fill_disk)
    with pytest.raises(TrainingError, match=r"run: No space left on device; what was saved before"):
        run(quick, *SHORT)


def test_full_memory_is_reported(quick, monkeypatch):
    monkeypatch.setattr("derain.train.loop.training_step", lambda *_: torch.empty(2**60))
    with pytest.raises(TrainingError, match=r"run: the memory is full; .* optimiser\.batch"):
        run(quick, *SHORT)


def test_killed_crop_worker_is_reported(quick, monkeypatch):
    def kill_worker(*_):
        raise RuntimeError("DataLoader worker (pid 5415) is killed by signal: Killed. ")

    monkeypatch.setattr("derain.train.loop.training_step", kill_worker)
    with pytest.raises(
        TrainingError,
        match=r"run: a process that prepares crops was killed, .* lower machine\.workers",
    ):
        run(quick, *SHORT)


def test_unknown_key_fails_the_command(project, capsys):
    assert main(["train", str(project / "recipe.toml"), "optimiser.bach=4"]) == 1
    assert "did you mean 'batch'" in capsys.readouterr().err
