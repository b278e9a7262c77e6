"""The progress that a run shows."""

import errno
import io
from types import SimpleNamespace

import pytest

from derain.train import progress
from derain.train.recipe_file import read_recipe


@pytest.fixture
def state():
    card = {"step": 2, "validation": {"pairs": (11.21, 0.5)}}
    return SimpleNamespace(step=4, hours=0.1, card=card)


@pytest.fixture
def progress_bar(project, monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", 0.0)
    return progress.Progress(read_recipe(project / "recipe.toml", ["length.steps=9"]), enabled=True)


def test_older_scores_name_their_step(progress_bar, state, tmp_path, capsys):
    progress_bar.end(state, "done", folder=tmp_path)
    assert "pairs at step 2: 11.21 dB" in capsys.readouterr().err


def test_current_scores_name_no_step(progress_bar, state, tmp_path, capsys):
    state.step = 2
    progress_bar.end(state, "done", folder=tmp_path)
    assert "pairs: 11.21 dB" in capsys.readouterr().err


class Broken(io.StringIO):
    """A closed pipe or a full disk."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [BrokenPipeError(errno.EPIPE, "Broken pipe"), OSError(errno.ENOSPC, "No space left on device")],
)
def test_unwritable_output_does_not_stop_the_run(error, progress_bar, state, tmp_path):
    progress_bar.console.file = Broken(error)
    for step in range(3):
        state.step = step
        progress_bar.show(state, 1.0)
    progress_bar.end(state, "done", folder=tmp_path)
    assert progress_bar.console.quiet
