"""The mean of the weights of two models."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from derain.errors import WeightsError
from derain.network.configuration import SMALL
from derain.network.generator import PLNLIN
from derain.network.weights_file import load_weights, save_weights

TINY = replace(SMALL, channels=(4, 4, 4, 4), stages=(1, 1, 1, 1))


@pytest.fixture(scope="module")
def write_mean():
    tool = Path(__file__).parents[2] / "tools/mean_of_weights.py"
    specification = importlib.util.spec_from_file_location("mean_of_weights", tool)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.write_mean


def write(path, configuration, steps, *, has_heads=True):
    torch.manual_seed(steps)
    network = PLNLIN(configuration)
    if not has_heads:
        del network.heads
    save_weights(path, network, configuration=configuration, card={"steps": steps})
    return path


def test_mean_has_the_card_of_the_second(write_mean, tmp_path):
    first, second = (write(tmp_path / f"{n}.safetensors", TINY, n) for n in (1, 2))
    write_mean(first, second, tmp_path / "mean.safetensors", share=0.25)
    (_, before, _), (_, after, _), (configuration, mean, card) = map(
        load_weights, (first, second, tmp_path / "mean.safetensors")
    )
    assert card["steps"] == 2
    assert configuration == TINY
    for name, tensor in mean.items():
        torch.testing.assert_close(tensor, 0.75 * before[name] + 0.25 * after[name])


@pytest.mark.parametrize("heads", [(True, False), (False, True)], ids=["first", "second"])
def test_heads_of_one_model_are_copied(write_mean, tmp_path, heads):
    paths = [
        write(tmp_path / f"{n}.safetensors", TINY, n, has_heads=has_heads)
        for n, has_heads in enumerate(heads)
    ]
    write_mean(*paths, tmp_path / "mean.safetensors")
    _, mean, _ = load_weights(tmp_path / "mean.safetensors")
    _, trained, _ = load_weights(paths[heads.index(True)])
    for name in (name for name in trained if name.startswith("heads.")):
        torch.testing.assert_close(mean[name], trained[name])


def test_other_shapes_are_rejected(write_mean, tmp_path):
    first = write(tmp_path / "1.safetensors", TINY, 1)
    second = write(tmp_path / "2.safetensors", replace(TINY, stages=(2, 1, 1, 1)), 2)
    with pytest.raises(WeightsError, match="has another shape than"):
        write_mean(first, second, tmp_path / "mean.safetensors")
