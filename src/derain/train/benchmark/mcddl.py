"""The cost of the discriminator: steps of Algorithm 1 timed against steps without it."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric

from derain import kernels
from derain.environment import available_cores
from derain.network import preset
from derain.train.benchmark.step import one_step_recipe
from derain.train.malloc import tune_malloc
from derain.train.precision import fastest_precision
from derain.train.state import create_state
from derain.train.steps import Batch, training_step


@dataclass(frozen=True)
class AlgorithmSpeed:
    """Median seconds of the three kinds of step, in one process."""

    preset: str
    precision: str
    kernels: str
    threads: int
    batch: int
    crop_px: int
    alone_s: float
    """Generator without a discriminator: equation (9) with beta = 0."""
    adversarial_s: float
    """Generator with its adversarial term: four steps of five."""
    both_s: float
    """Generator with its adversarial term, and the discriminator's own update: the fifth step."""
    every: int
    """r: the discriminator is updated in every r-th step."""

    @property
    def mean_s(self) -> float:
        """Seconds of a step of Algorithm 1, averaged over r steps."""
        return self.adversarial_s + (self.both_s - self.adversarial_s) / self.every

    @property
    def share(self) -> float:
        """Fraction of a step's time that the discriminator takes."""
        return 1 - self.alone_s / self.mean_s


def bench_mcddl(
    name: str = "fast",
    *,
    threads: int = 0,
    batch: int = 4,
    crop_px: int = 112,
    cycles: int = 2,
    choice: kernels.Choice = "auto",
) -> AlgorithmSpeed:
    """Time `cycles` of r steps, alternately with and without a discriminator, after one warm-up.

    Raises WeightsError for an unknown preset, RecipeError for a crop size that recipes reject.
    """
    network = preset(name)
    recipes = {
        beta: one_step_recipe(network, crop_px=crop_px, batch=batch, beta=beta)
        for beta in (0.0, 1.0)
    }
    tune_malloc()
    torch.set_num_threads(threads or available_cores())
    precision = fastest_precision()
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    # this also seeds the random numbers below
    states = {beta: create_state(fabric, recipe) for beta, recipe in recipes.items()}
    for state in states.values():
        kernels.accelerate(state.network, choice)
        if state.discriminator is not None:
            kernels.accelerate(state.discriminator, choice)
    rainy, clean = torch.rand(2, batch, 3, crop_px, crop_px)
    crops = Batch(rainy, clean, list(range(batch)))
    every = recipes[1.0].adversarial.discriminator_every
    seconds = defaultdict(list)
    for cycle in range(cycles + 1):
        for beta, state in states.items():
            for turn in range(every):
                began = time.perf_counter()
                training_step(fabric, state, crops, recipes[beta])
                state.step += 1
                if cycle:
                    kind = "alone" if not beta else "adversarial" if turn else "both"
                    seconds[kind].append(time.perf_counter() - began)
    return AlgorithmSpeed(
        preset=name,
        precision=precision,
        kernels=kernels.describe(network, choice, with_discriminator=True),
        threads=torch.get_num_threads(),
        batch=batch,
        crop_px=crop_px,
        alone_s=statistics.median(seconds["alone"]),
        adversarial_s=statistics.median(seconds["adversarial"]),
        both_s=statistics.median(seconds["both"]),
        every=every,
    )
