"""Runs of the command line in a process of its own, for tests that stop or kill it."""

import sys
import time

import torch


def command(project, *arguments):
    return [
        sys.executable,
        "-m",
        "derain.cli.main",
        "train",
        str(project / "recipe.toml"),
        *arguments,
    ]


def state_of(project, folder="run"):
    return torch.load(project / folder / "state.ckpt", weights_only=True)


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
