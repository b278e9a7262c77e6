"""Training runs: in this process, or by the command line in a process that tests stop or kill."""

import json
import subprocess
import sys
import time

import torch

from derain.train.loop import setup
from derain.train.recipe_file import read_recipe

PLNLIN = """
preset = "tiny"
channels = [4, 4, 4, 4]
stages = [1, 1, 1, 1]
head_stages = 1
"""
RECIPE = f"""
seed = 3
[network]
{PLNLIN}
[[data.pairs]]
folder = "pairs"
exclude = ["1"]
[data]
root = "DATA"
crop_px = 56
backgrounds = ["rain-free"]
[data.mix]
pair = 1
recombined = 1
rendered = 1
rain_free = 1
[loss]
absolute = 0.2
beta = 0.0
[optimiser]
name = "adamw"
learning_rate = 1e-3
batch = 2
ema = 0.9
clip_norm = 1.0
[schedule]
kind = "cosine"
warmup_steps = 2
[length]
steps = 6
[[validation.pairs]]
folder = "pairs"
only = ["1"]
[record]
folder = "RUN"
log_every_steps = 1
[machine]
accelerator = "cpu"
threads = 1
precision = "32-true"
kernels = "eager"
"""

FEW_TENSORS = (
    "network={kind='prn_r',options={channels=4,stages=2}}",
    "data.crop_px=32",
    "loss={pixel=1,alpha=0,beta=0}",
)
"""Settings that train a network whose state is written and read ten times faster."""


def write_recipe(folder, data, *, has_few_tensors=False):
    """Write recipe.toml to `folder`; its run goes to `folder`/run.

    `has_few_tensors` is for tests of everything but the network, and does what FEW_TENSORS does.
    """
    text = RECIPE.replace("DATA", str(data)).replace("RUN", str(folder / "run"))
    if has_few_tensors:
        text = text.replace(PLNLIN, 'kind = "prn_r"\noptions = {channels = 4, stages = 2}')
        text = text.replace("crop_px = 56", "crop_px = 32").replace("[loss]", "[loss]\nalpha = 0.0")
    (folder / "recipe.toml").write_text(text)


def run(project, *overrides, resume=False, weights=None):
    """Train by the recipe of `project` in this process."""
    return setup(read_recipe(project / "recipe.toml", overrides), resume=resume, weights=weights)


def command(project, *arguments):
    recipe = str(project / "recipe.toml")
    return [sys.executable, "-m", "derain.cli.main", "train", recipe, *arguments]


def run_command(project, *arguments):
    """Train by the command line, and return the finished process."""
    return subprocess.run(
        command(project, *arguments), capture_output=True, text=True, timeout=180, check=False
    )


def events(project, kind="train", folder="run"):
    lines = (project / folder / "log.jsonl").read_text().splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == kind]


def state_of(project, folder="run"):
    return torch.load(project / folder / "state.ckpt", weights_only=True)


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
