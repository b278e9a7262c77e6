"""The speed of a training step, and its fraction of the machine's matrix-product rate."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from derain import kernels
from derain.data.pairs.folder import PairFolder
from derain.environment import available_cores
from derain.errors import TrainingError
from derain.network import PLNLIN, PLNLINConfiguration, preset
from derain.train.malloc import tune_malloc
from derain.train.objective import restoration_loss
from derain.train.optimisers import make_optimiser
from derain.train.precision import fastest_precision, matmul_gflops
from derain.train.recipe import Data, Length, Loss, Optimiser, Recipe

OPTIMISER = Optimiser(name="adamw")


@dataclass(frozen=True)
class StepSpeed:
    """The speed of training steps, over all processes."""

    preset: str
    precision: str
    processes: int
    threads: int
    """Threads of each process."""
    batch: int
    """Crops of each process."""
    crop_px: int
    patches_per_s: float
    """Median over the steps; a step is forward pass with heads, loss, backward pass and update."""
    spread: float
    """(slowest - fastest) / median step."""
    gmac_per_patch: float
    """Multiplications of one forward pass with heads, in 1e9."""
    product_gflops: float
    """Rate of a large matrix product in the same precision with the same number of threads."""
    kernels: str = ""
    """The path that was timed (`derain.kernels.describe`)."""

    @property
    def share(self) -> float:
        """Fraction of the machine's matrix-product rate that the step reaches.

        A backward pass counts as two forward passes.
        """
        return 2e9 * 3 * self.gmac_per_patch * self.patches_per_s / (1e9 * self.product_gflops)


def bench_train(
    name: str = "fast",
    *,
    processes: int = 1,
    threads: int = 0,
    batch: int = 4,
    crop_px: int = 112,
    steps: int = 5,
    precision: str = "auto",
    choice: kernels.Choice = "auto",
) -> StepSpeed:
    """Time training steps of several processes at once, each with its own batch.

    `threads` are those of each process; 0 divides the cores. The rates of the processes are added;
    communication is not measured. Raises WeightsError for an unknown preset, RecipeError for a
    crop size that recipes reject, TrainingError if a process is killed.
    """
    one_step_recipe(preset(name), crop_px=crop_px, batch=batch)
    threads = threads or max(1, available_cores() // processes)
    work = [(name, threads, batch, crop_px, steps, precision, choice)] * processes
    if processes == 1:
        return _bench_one(*work[0])
    try:
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
            measured = list(pool.map(_bench_one, *zip(*work, strict=True)))
    except BrokenProcessPool as error:
        raise TrainingError(
            "a process that times steps was killed, as by a full memory; "
            "use fewer --processes or a smaller --batch"
        ) from error
    return replace(
        measured[0],
        processes=processes,
        patches_per_s=sum(m.patches_per_s for m in measured),
        spread=max(m.spread for m in measured),
        product_gflops=sum(m.product_gflops for m in measured),
    )


def one_step_recipe(
    network: PLNLINConfiguration, *, crop_px: int, batch: int, beta: float = 0.0
) -> Recipe:
    """Return a recipe of one step, without reading pictures.

    Raises RecipeError for settings that training would reject.
    """
    return Recipe(
        network,
        Data(pairs=(PairFolder("."),), crop_px=crop_px),
        loss=Loss(beta=beta),
        optimiser=replace(OPTIMISER, batch=batch),
        length=Length(steps=1),
    )


def _bench_one(
    name: str,
    threads: int,
    batch: int,
    crop_px: int,
    steps: int,
    precision: str,
    choice: kernels.Choice,
) -> StepSpeed:
    """Time `steps` whole steps on random crops, after two warm-up steps."""
    tune_malloc()
    torch.set_num_threads(threads)
    dtype = (
        torch.bfloat16
        if (fastest_precision() if precision == "auto" else precision) == "bf16-mixed"
        else torch.float32
    )
    torch.manual_seed(0)
    network = PLNLIN(preset(name))
    kernels.accelerate(network, choice)
    optimiser = make_optimiser(network, OPTIMISER)
    rainy = torch.rand(batch, 3 * network.configuration.frames, crop_px, crop_px)
    clean = torch.rand(batch, 3, crop_px, crop_px)
    seconds = []
    for _ in range(steps + 2):
        began = time.perf_counter()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            output = network.forward_with_heads(rainy)
        restoration_loss(output, clean, Loss())[0].backward()
        optimiser.step()
        optimiser.zero_grad()
        seconds.append(time.perf_counter() - began)
    seconds = seconds[2:]
    return StepSpeed(
        preset=name,
        precision=str(dtype).removeprefix("torch."),
        processes=1,
        threads=threads,
        batch=batch,
        crop_px=crop_px,
        patches_per_s=batch / statistics.median(seconds),
        spread=(max(seconds) - min(seconds)) / statistics.median(seconds),
        gmac_per_patch=count_macs(network, crop_px=crop_px, heads=True) / 1e9,
        product_gflops=matmul_gflops(dtype),
        kernels=kernels.describe(network.configuration, choice),
    )


def count_macs(network: PLNLIN, *, crop_px: int = 112, heads: bool = False) -> int:
    """Count the multiply-accumulates of one forward pass on a square of `crop_px`.

    These are convolutions, linear layers and attention products.
    """
    x = torch.zeros(1, 3 * network.configuration.frames, crop_px, crop_px)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.forward_with_heads(x) if heads else network(x)
    return int(counter.get_total_flops()) // 2
