import os
import signal
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image

from derain.train import loop

torch.set_num_threads(
    1
)  # these are small; two programs that spin-wait on each other are ten times slower

RECIPE = """
seed = 3
[network]
preset = "tiny"
channels = [4, 4, 4, 4]
stages = [1, 1, 1, 1]
head_stages = 1
[[data.pairs]]
folder = "pairs"
exclude = ["1"]
[data]
crop_px = 56
backgrounds = ["clear"]
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
"""


@pytest.fixture
def project(tmp_path):
    """A folder with six tiny pairs, two rain-free pictures and recipe.toml; its run goes to RUN."""
    rng = np.random.default_rng(0)
    for folder in ("pairs/rainy", "pairs/clean", "clear"):
        (tmp_path / folder).mkdir(parents=True)
    for i in range(6):
        clean = np.kron(rng.integers(0, 200, (9, 9, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        rainy = clean.copy()
        rainy[:, rng.integers(0, 72, 8)] += 50
        Image.fromarray(clean).save(tmp_path / f"pairs/clean/{i}.png")
        Image.fromarray(rainy).save(tmp_path / f"pairs/rainy/{i}.png")
        if i < 2:
            Image.fromarray(clean[::-1]).save(tmp_path / f"clear/{i}.png")
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("RUN", str(tmp_path / "run")))
    return tmp_path


@pytest.fixture
def stop_after(monkeypatch):
    """`with stop_after(n)`: a run in this process gets SIGTERM in its step n."""

    @contextmanager
    def stopping(steps):
        done = 0

        def iterate(*arguments):
            nonlocal done
            done += 1
            if done == steps:
                os.kill(os.getpid(), signal.SIGTERM)
            return loop_iterate(*arguments)

        loop_iterate = loop.iterate
        with monkeypatch.context() as patch:
            patch.setattr(loop, "iterate", iterate)
            yield

    return stopping
