"""What a person sees of a run."""

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
def shown(project, monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", 0.0)
    return progress.Progress(read_recipe(project / "recipe.toml", ["length.steps=9"]), enabled=True)


def test_figures_of_an_earlier_step_are_called_so(shown, state, tmp_path, capsys):
    shown.end(state, "done", folder=tmp_path)
    assert "pairs at step 2: 11.21 dB" in capsys.readouterr().err
    state.step = 2
    shown.end(state, "done", folder=tmp_path)
    assert "pairs: 11.21 dB" in capsys.readouterr().err


class Broken(io.StringIO):
    """What nobody reads, or a full disk."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [BrokenPipeError(errno.EPIPE, "Broken pipe"), OSError(errno.ENOSPC, "No space left on device")],
)
def test_a_run_whose_log_cannot_be_written_goes_on(error, shown, state, tmp_path):
    shown.console.file = Broken(error)
    for step in range(3):
        state.step = step
        shown.show(state, 1.0)
    shown.end(state, "done", folder=tmp_path)
    assert shown.console.quiet
