import os
import shutil
import signal
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from helpers.train_commands import run, write_recipe
from PIL import Image

from derain.train import loop

# the networks here are small: two threads that wait for each other would be ten times slower
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory):
    """A folder with six tiny pairs and two rain-free pictures, not to be changed."""
    data = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for folder in ("pairs/rainy", "pairs/clean", "rain-free"):
        (data / folder).mkdir(parents=True)
    for i in range(6):
        clean = np.kron(rng.integers(0, 200, (9, 9, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        rainy = clean.copy()
        rainy[:, rng.integers(0, 72, 8)] += 50
        Image.fromarray(clean).save(data / f"pairs/clean/{i}.png")
        Image.fromarray(rainy).save(data / f"pairs/rainy/{i}.png")
        if i < 2:
            Image.fromarray(clean[::-1]).save(data / f"rain-free/{i}.png")
    return data


@pytest.fixture
def project(tmp_path, shared_data):
    """A folder with recipe.toml, whose run goes to `run`."""
    write_recipe(tmp_path, shared_data)
    return tmp_path


@pytest.fixture
def quick(tmp_path, shared_data):
    """As `project`, but with a network of few tensors, for tests of everything else."""
    write_recipe(tmp_path, shared_data, has_few_tensors=True)
    return tmp_path


@pytest.fixture
def data(project, shared_data):
    """The data of `project` as a copy that a test may change."""
    shutil.copytree(shared_data, project / "data")
    write_recipe(project, project / "data")
    return project / "data"


def finished_run(tmp_path_factory, shared_data, *overrides, has_few_tensors=False):
    folder = tmp_path_factory.mktemp("finished")
    write_recipe(folder, shared_data, has_few_tensors=has_few_tensors)
    run(folder, "length.steps=1", "validation.pairs=[]", *overrides)
    return folder / "run"


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory, shared_data):
    """A run folder after one step without a discriminator, not to be changed."""
    return finished_run(tmp_path_factory, shared_data)


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory, shared_data):
    """A run folder of `quick` after one step, not to be changed."""
    return finished_run(tmp_path_factory, shared_data, has_few_tensors=True)


@pytest.fixture(scope="session")
def adversarial_run(tmp_path_factory, shared_data):
    """A run folder after one step with a discriminator, not to be changed."""
    return finished_run(tmp_path_factory, shared_data, "loss.beta=1")


@pytest.fixture
def finished(project, plain_run):
    """`project` after one step without a discriminator."""
    shutil.copytree(plain_run, project / "run")
    return project


@pytest.fixture
def quick_finished(quick, quick_run):
    """`quick` after one step."""
    shutil.copytree(quick_run, quick / "run")
    return quick


@pytest.fixture
def finished_adversarial(project, adversarial_run):
    """`project` after one step with a discriminator."""
    shutil.copytree(adversarial_run, project / "run")
    return project


@pytest.fixture
def stop_after(monkeypatch):
    """`with stop_after(n)`: a run in this process receives SIGTERM in its step n."""

    @contextmanager
    def stopping(steps):
        count = 0

        def counting_step(*arguments):
            nonlocal count
            count += 1
            if count == steps:
                os.kill(os.getpid(), signal.SIGTERM)
            return training_step(*arguments)

        training_step = loop.training_step
        with monkeypatch.context() as patch:
            patch.setattr(loop, "training_step", counting_step)
            yield

    return stopping
