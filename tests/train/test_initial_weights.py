"""Runs that start from a weights file."""

import pytest
import torch
from helpers.train_commands import run, state_of

from derain.errors import TrainingError, WeightsError
from derain.network.weights_file import load_weights

SHORT = ["length.steps=1", "validation.pairs=[]"]


def card_of(folder):
    return load_weights(folder / "weights.safetensors")[2]


def test_weights_start_a_new_run(quick_finished):
    other = f"record.folder={quick_finished / 'other'}"
    run(quick_finished, *SHORT, other, weights=quick_finished / "run/weights.safetensors")
    assert state_of(quick_finished, "other")["step"] == 1


def test_card_counts_initial_steps(finished):
    other = [f"record.folder={finished / 'other'}", "validation.pairs=[]"]
    run(finished, *other, "length.steps=1", weights=finished / "run/weights.safetensors")
    run(finished, *other, "length.steps=2", resume=True)
    assert card_of(finished / "other")["steps"] == 3


def test_card_names_initial_data(data, project):
    run(project, *SHORT)
    (data / "pairs").rename(data / "own")
    other = [f"record.folder={project / 'other'}", "validation.pairs=[]"]
    other += ['data.pairs=[{folder="own"}]', "data.backgrounds=[]", "data.mix.rain_free=0"]
    run(project, *other, "length.steps=1", weights=project / "run/weights.safetensors")
    run(project, *other, "length.steps=2", resume=True)
    assert card_of(project / "other")["data"] == ["pairs", "rain-free", "own"]


@pytest.mark.slow
def test_shipped_model_starts_a_run_by_name(project):
    network, _, card = load_weights("best")
    shape = [f"network.{name}={list(getattr(network, name))}" for name in ("channels", "stages")]
    run(project, *SHORT, *shape, f"network.head_stages={network.head_stages}", weights="best")
    started = card_of(project / "run")
    data = card["data"]
    # a list of names, or one text that was written by hand
    initial = [data] if isinstance(data, str) else data
    added = [name for name in ("pairs", "rain-free") if name not in initial]
    assert started["steps"] == card["steps"] + 1
    assert started["data"] == [*initial, *added]


def test_weights_with_fewer_channels_are_widened(finished):
    wider = [
        "network.channels=[4, 8, 8, 8]",
        f"record.folder={finished / 'wide'}",
        "optimiser.learning_rate=0",
    ]
    run(finished, *SHORT, *wider, weights=finished / "run/weights.safetensors")
    _, before, _ = load_weights(finished / "run/weights.safetensors")
    configuration, after, card = load_weights(finished / "wide/weights.safetensors")
    assert configuration.channels == (4, 8, 8, 8)
    assert card["steps"] == 2
    torch.testing.assert_close(after["down.0.weight"], before["down.0.weight"].repeat(2, 1, 1, 1))


def test_weights_of_another_network_are_rejected(finished):
    other = [f"record.folder={finished / 'other'}", "network.head_stages=2"]
    with pytest.raises(WeightsError, match="does not fit"):
        run(finished, *SHORT, *other, weights=finished / "run/weights.safetensors")


def test_weights_of_another_computation_are_rejected(finished):
    other = [f"record.folder={finished / 'other'}", "network.shift_px=0"]
    with pytest.raises(
        WeightsError, match=r"trained with network\.shift_px = 3, but the recipe has 0"
    ):
        run(finished, *SHORT, *other, weights=finished / "run/weights.safetensors")


def test_weights_cannot_be_combined_with_resume(project):
    with pytest.raises(TrainingError, match="use one of them"):
        run(project, resume=True, weights=project / "weights.safetensors")
