"""The training loop: setup -> main -> fit -> validate."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.utils.data import DataLoader

from derain import kernels
from derain.data.crops import Crops
from derain.data.pairs.find import Pair
from derain.data.training_pictures import (
    TrainingPictures,
    background_paths,
    load_pairs,
    load_pictures,
)
from derain.environment import available_cores
from derain.errors import RecipeError, TrainingError
from derain.files.atomic import remove_stale_temporaries, write_text
from derain.files.paths import exists
from derain.network.run_files import RECIPE, STATE
from derain.train.clock import Clock
from derain.train.distributed import (
    BatchSampler,
    StopSignal,
    die_with_parent,
    ignore_sigterm,
    is_due,
    on_rank_zero,
    synchronise,
)
from derain.train.log import RunLog, RunningMeans, validate_and_save, write_weights
from derain.train.malloc import tune_malloc
from derain.train.precision import fastest_precision
from derain.train.progress import Progress
from derain.train.recipe import Data, Length, Machine, Precision, Recipe
from derain.train.schedule import rate_factor
from derain.train.state import State, create_state, load_state, save_state
from derain.train.steps import Batch, training_step
from derain.train.validation import (
    shared_background_warnings,
    shared_pair_warnings,
    validation_pairs,
)

PRECISION = "DERAIN_PRECISION"
PARENT = "DERAIN_PARENT"
"""Environment variables by which the first process of a machine tells the others what it measured, and its number."""


def setup(
    recipe: Recipe, *, resume: bool = False, weights: str | Path | None = None
) -> dict[str, Any]:
    """Train as `recipe` says and return the last validation.

    Ctrl-C, SIGTERM and the end of the terminal (SIGHUP, unless it is ignored, as by `nohup`) end the run with its state saved.
    `resume` goes on from the state in the recipe's folder, on a CPU in float32 bit for bit where the rate follows the steps;
    `weights` starts from a weights file, with a new optimiser. Raises DerainError for data, weights or a recipe that cannot be
    used, TrainingError for a loss that is not finite.
    """
    folder = Path(recipe.record.folder)
    rank = int(os.environ.get("LOCAL_RANK", 0))
    if resume and weights is not None:
        raise TrainingError(
            "--resume goes on from the run's own state, --weights starts a new run; give one of them"
        )
    if exists(folder / STATE) and not resume and rank == 0:
        raise TrainingError(
            f"{folder / STATE}: a run is there already; go on with it by --resume, or give record.folder another value"
        )
    tune_malloc()
    machine = recipe.machine
    threads = machine.threads or max(1, available_cores() // machine.processes)
    torch.set_num_threads(threads)
    fabric, precision = launch(machine)
    recipe = replace(recipe, machine=replace(machine, precision=precision))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with run_lock(fabric, folder):
            return main(fabric, recipe, folder=folder, resume=resume, weights=weights)
    except OSError as error:
        raise TrainingError(
            f"{error.filename or folder}: {error.strerror or error}; what was saved before is kept, make room or give "
            f"record.folder another value"
        ) from error
    except (MemoryError, RuntimeError) as error:
        if "DataLoader worker" in str(error):
            raise TrainingError(
                f"{folder}: a process that prepares crops was killed, as by a full memory; what was saved before is kept, go on "
                f"by --resume with a lower machine.workers"
            ) from error
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"{folder}: the memory is full; what was saved before is kept, give optimiser.batch, data.crop_px or "
            f"network.channels a lower value, or name fewer pictures"
        ) from error


def is_out_of_memory(error: Exception) -> bool:
    """Whether numpy, a GPU or PyTorch's allocator of CPU memory says so, which has no error of its own."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "DefaultCPUAllocator" in str(
        error
    )


def launch(machine: Machine) -> tuple[Fabric, Precision]:
    """Start the processes of the run, all in one precision, and return which.

    Raises RecipeError for devices that are not there, and where `auto` comes to another precision in another process.
    """
    precision = machine.precision
    if precision == "auto":
        precision = cast(Precision, os.environ.get(PRECISION)) or fastest_precision(
            machine.accelerator
        )
    several = machine.processes * machine.nodes > 1
    try:
        fabric = Fabric(
            accelerator=machine.accelerator,
            devices=machine.processes,
            num_nodes=machine.nodes,
            strategy="ddp" if several else "auto",
            precision=precision,
        )
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise RecipeError(
            f"machine: {error}; give machine.processes or machine.accelerator another value"
        ) from error
    if PARENT in os.environ:
        die_with_parent(int(os.environ[PARENT]))
    os.environ |= {PRECISION: precision, PARENT: str(os.getpid())}
    try:
        fabric.launch()
    finally:
        del os.environ[PRECISION], os.environ[PARENT]
    choices = cast(
        Tensor, fabric.all_reduce(torch.tensor(float(precision == "bf16-mixed")), reduce_op="sum")
    )
    if choices not in (0, fabric.world_size):
        raise RecipeError(
            "machine.precision = 'auto' is bfloat16 in some processes and float32 in others; name one of them"
        )
    return fabric, precision


@contextmanager
def run_lock(fabric: Fabric, folder: Path) -> Iterator[None]:
    """Keep other runs out of `folder`. Raises TrainingError, in every process, where one is in it."""
    with ExitStack() as held:

        def enter() -> None:
            try:
                held.enter_context(FileLock(folder / ".lock", timeout=0))
            except Timeout as error:
                raise TrainingError(
                    f"{folder}: another run is training there; wait for its end, or give record.folder another value"
                ) from error
            remove_stale_temporaries(folder)

        on_rank_zero(fabric, enter)
        yield


def main(
    fabric: Fabric, recipe: Recipe, *, folder: Path, resume: bool, weights: str | Path | None
) -> dict[str, Any]:
    """Build data, network and state, train, validate and leave the weights in `folder`."""
    sources = load_sources(recipe.data)
    if small := sources.small:
        text = f"{len(small)} pictures are smaller than a crop of {recipe.data.crop_px} px and left out, the first: {small[0]}"
        fabric.print(text, file=sys.stderr)
    crops = Crops(sources, crop_px=recipe.data.crop_px, mix=recipe.data.mix, seed=recipe.seed)
    pairs, problems = validation_pairs(recipe.validation)
    for name, found in [
        *((collection.name, collection.problems) for collection in sources.collections),
        *problems.items(),
    ]:
        if found:
            text = f"{name}: {len(found)} files are in no pair, the first: {found[0]}; `derain data check` lists all"
            fabric.print(text, file=sys.stderr)
    trained = [(collection.name, collection.pairs) for collection in sources.collections]
    behind = background_paths(recipe.data.backgrounds, exclude=recipe.data.exclude)
    for text in [*shared_pair_warnings(trained, pairs), *shared_background_warnings(behind, pairs)]:
        fabric.print(
            f"{text}; exclude them from one or the other, or the figures say little",
            file=sys.stderr,
        )
    for _, pair in pairs:
        pair.load()  # one that cannot be decoded is told of now, not at the end; in all processes alike
    state = create_state(fabric, recipe, weights=weights)
    on_cpu = fabric.device.type == "cpu"
    if on_cpu:
        kernels.select(recipe.machine.kernels)
    by = (
        kernels.describe(recipe.network, with_discriminator=bool(recipe.loss.beta))
        if on_cpu
        else str(fabric.device)
    )
    fabric.print(f"training by {by}, precision {recipe.machine.precision}", file=sys.stderr)
    if resume:
        load_state(state, folder / STATE)
    on_rank_zero(
        fabric, lambda: write_text(folder / RECIPE, json.dumps(recipe.as_dict(), indent=1))
    )
    fit(fabric, recipe, state, crops=crops, pairs=pairs, folder=folder)
    return state.card


def is_over(length: Length, state: State) -> bool:
    """Whether a run has come to its length."""
    return bool(length.steps and state.step >= length.steps) or bool(
        length.hours and state.hours >= length.hours
    )


def set_rate(state: State, rate: float) -> None:
    """Give both optimisers their learning rate."""
    for optimiser in (state.optimiser, state.discriminator_optimiser):
        for group in optimiser.param_groups if optimiser else ():
            group["lr"] = rate


def load_sources(data: Data) -> TrainingPictures:
    """Decode everything that the recipe names."""
    collections = [
        load_pairs(pairs, with_layers=data.mix.recombined > 0, min_px=data.crop_px)
        for pairs in data.pairs
    ]
    backgrounds, small = load_pictures(data.backgrounds, exclude=data.exclude, min_px=data.crop_px)
    streaks, small_too = load_pictures(data.streaks, min_px=data.crop_px, grey=True)
    return TrainingPictures(collections, backgrounds, streaks, [*small, *small_too])


def fit(
    fabric: Fabric,
    recipe: Recipe,
    state: State,
    *,
    crops: Crops,
    pairs: list[tuple[str, Pair]],
    folder: Path,
) -> None:
    """Update until the recipe's length, a signal, or a loss that is not finite."""
    optimiser, length = recipe.optimiser, recipe.length
    batches = BatchSampler(
        batch=optimiser.batch,
        rank=fabric.global_rank,
        world=fabric.world_size,
        first_step=state.step,
    )
    workers = recipe.machine.workers
    loader: DataLoader[tuple[Tensor, Tensor]]  # rainy and clean
    loader = DataLoader(
        crops,  # type: ignore[arg-type]  # torch wants its own Dataset class
        batch_sampler=batches,
        num_workers=workers,
        worker_init_fn=ignore_sigterm,
    )
    log, means = RunLog(fabric, folder, step=state.step), RunningMeans()
    progress = Progress(recipe, enabled=fabric.is_global_zero)
    stop = StopSignal()
    saved = validated = time.monotonic()
    stopping = False
    state.network.train()
    clock = Clock()
    try:
        for rainy, clean in () if is_over(length, state) else loader:
            rainy, clean = fabric.to_device((rainy, clean))
            factor = rate_factor(recipe.schedule, length, step=state.step, hours=state.hours)
            set_rate(state, optimiser.learning_rate * factor)
            facts = training_step(
                fabric, state, Batch(rainy, clean, batches.of(state.step)), recipe
            )
            means.add(facts)
            state.step += 1
            stopping, state.hours = synchronise(fabric, stop.received, state.hours + clock.step())
            now = time.monotonic()
            ended = is_over(length, state)
            if state.step % recipe.record.log_every_steps == 0 or ended:
                log.write("train", state, rate=optimiser.learning_rate * factor, **means.take())
            progress.show(state, facts.get("loss"))
            if ended or stopping:
                break
            minutes, steps = recipe.validation.every_minutes, recipe.validation.every_steps
            if pairs and (
                (minutes and is_due(fabric, now - validated, minutes))
                or (steps and state.step % steps == 0)
            ):
                save_state(
                    fabric, state, folder
                )  # validation may take longer than whoever ends the run waits
                validate_and_save(fabric, state, pairs, log, recipe=recipe, folder=folder)
                saved = validated = time.monotonic()
            elif is_due(fabric, now - saved, recipe.record.save_every_minutes):
                save_state(fabric, state, folder)
                saved = time.monotonic()
            clock.resume()
        write_weights(fabric, state, recipe, folder)
        save_state(fabric, state, folder)
        if pairs and not stopping:
            validate_and_save(
                fabric, state, pairs, log, recipe=recipe, folder=folder
            )  # which writes the weights with their figures
            save_state(fabric, state, folder)
        progress.end(state, "stopped by a signal" if stopping else "done", folder=folder)
    finally:
        stop.close()
        log.close()
