"""The training loop: setup -> main -> fit -> validate."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import torch
from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.utils.data import DataLoader

from derain import kernels
from derain.data.clip_crops import ClipCrops
from derain.data.crops import Crops
from derain.data.pairs.pair import Pair
from derain.data.pairs.pair_set import Problem
from derain.data.picture_cache import PictureCache
from derain.data.training_pictures import (
    TrainingPictures,
    background_paths,
    open_pairs,
    open_pictures,
    unknown_stems,
)
from derain.environment import available_cores
from derain.errors import RecipeError, TrainingError
from derain.files.atomic import remove_stale_temporaries, write_text
from derain.files.paths import exists
from derain.network.run_files import RECIPE, STATE
from derain.rivals.configuration import RivalConfiguration
from derain.train.batches import Batches, Sides
from derain.train.checkpoint import validate_and_save, write_weights
from derain.train.clock import Clock, Every
from derain.train.distributed import (
    BatchSampler,
    StopSignal,
    die_with_parent,
    ignore_sigterm,
    leaving_group,
    on_all_ranks,
    on_rank_zero,
    synchronise,
)
from derain.train.log import RunLog
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
"""Environment variables that pass the chosen precision and the number of the first process of a
machine to the others."""


def setup(
    recipe: Recipe, *, resume: bool = False, weights: str | Path | None = None
) -> dict[str, Any]:
    """Train as `recipe` says and return the last validation.

    Ctrl-C, SIGTERM and the end of the terminal (SIGHUP, unless it is ignored, as by `nohup`) end
    the run and save its state. `resume` continues from the checkpoint in the recipe's folder: on a
    CPU in float32 bit for bit, if the rate follows the steps. `weights` starts from a weights
    file, with a new optimiser. Raises DerainError for unusable data, weights or recipes,
    TrainingError for a non-finite loss.
    """
    folder = Path(recipe.record.folder)
    rank = int(os.environ.get("LOCAL_RANK", 0))
    if resume and weights is not None:
        raise TrainingError(
            "--resume continues from the run's own checkpoint, --weights starts a new run; "
            "use one of them"
        )
    if exists(folder / STATE) and not resume and rank == 0:
        raise TrainingError(
            f"{folder / STATE}: this folder already holds a run; "
            f"continue it with --resume, or change record.folder"
        )
    tune_malloc()
    machine = recipe.machine
    threads = machine.threads or max(1, available_cores() // machine.processes)
    torch.set_num_threads(threads)
    with leaving_group():
        fabric, precision = launch(machine)
        recipe = replace(recipe, machine=replace(machine, precision=precision))
        with training_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with run_lock(fabric, folder):
                return main(fabric, recipe, folder=folder, resume=resume, weights=weights)


@contextmanager
def training_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the disk and the memory into a TrainingError with a remedy."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"{error.filename or folder}: {error.strerror or error}; what was saved before is "
            f"kept, free some space or change record.folder"
        ) from error
    except (MemoryError, RuntimeError) as error:
        if "DataLoader worker" in str(error):
            raise TrainingError(
                f"{folder}: a process that prepares crops was killed, as by a full memory; what "
                f"was saved before is kept, continue with --resume and a lower machine.workers"
            ) from error
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"{folder}: the memory is full; what was saved before is kept, reduce "
            f"optimiser.batch, data.crop_px, network.channels or machine.cache_mib"
        ) from error


def is_out_of_memory(error: Exception) -> bool:
    """True for a full memory, reported by numpy, a GPU or PyTorch's allocator of CPU memory.

    The latter has no exception of its own.
    """
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        "DefaultCPUAllocator" in str(error)
    )


def launch(machine: Machine) -> tuple[Fabric, Precision]:
    """Start the processes of the run in one precision, and return it.

    Raises RecipeError for missing devices, and if `auto` selects different precisions in
    different processes.
    """
    precision = machine.precision
    if precision == "auto":
        precision = cast(Precision, os.environ.get(PRECISION)) or fastest_precision(
            machine.accelerator
        )
    try:
        fabric = Fabric(
            accelerator=machine.accelerator,
            devices=machine.processes,
            num_nodes=machine.nodes,
            strategy="ddp" if machine.processes * machine.nodes > 1 else "auto",
            precision=precision,
        )
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise RecipeError(
            f"machine: {error}; change machine.processes or machine.accelerator"
        ) from error
    if PARENT in os.environ:
        die_with_parent(int(os.environ[PARENT]))
    os.environ |= {PRECISION: precision, PARENT: str(os.getpid())}
    try:
        fabric.launch()
    finally:
        del os.environ[PRECISION], os.environ[PARENT]
    is_bfloat16 = torch.tensor(float(precision == "bf16-mixed"))
    count = cast(Tensor, fabric.all_reduce(is_bfloat16, reduce_op="sum"))
    if count not in (0, fabric.world_size):
        raise RecipeError(
            "machine.precision = 'auto' selects bfloat16 in some processes and float32 in "
            "others; set one of them"
        )
    return fabric, precision


@contextmanager
def run_lock(fabric: Fabric, folder: Path) -> Iterator[None]:
    """Keep other runs out of `folder`.

    Raises TrainingError, in every process, if another run is training there.
    """
    with ExitStack() as locks:

        def enter() -> None:
            try:
                locks.enter_context(FileLock(folder / ".lock", timeout=0))
            except Timeout as error:
                raise TrainingError(
                    f"{folder}: another run is training in this folder; "
                    f"wait until it ends, or change record.folder"
                ) from error
            remove_stale_temporaries(folder)

        on_rank_zero(fabric, enter)
        yield


def main(
    fabric: Fabric, recipe: Recipe, *, folder: Path, resume: bool, weights: str | Path | None
) -> dict[str, Any]:
    """Build data, network and state, train, validate and leave the weights in `folder`."""
    pictures = open_training_pictures(recipe)
    crops = make_crops(recipe, pictures)
    pairs, problems = validation_pairs(recipe.validation)
    for warning in data_warnings(recipe.data, pictures, pairs, problems):
        fabric.print(warning, file=sys.stderr)
    for _, pair in pairs:
        pair.load()  # fail on an unreadable picture now, not at the end, and in all processes
    state = create_state(fabric, recipe, weights=weights)
    backend = attach_kernels(state, recipe, fabric.device)
    fabric.print(f"training by {backend}, precision {recipe.machine.precision}", file=sys.stderr)
    if resume:
        load_state(state, folder / STATE)
    on_rank_zero(
        fabric, lambda: write_text(folder / RECIPE, json.dumps(recipe.as_dict(), indent=1))
    )
    fit(fabric, recipe, state, crops=crops, pairs=pairs, folder=folder)
    return state.card


def attach_kernels(state: State, recipe: Recipe, device: torch.device) -> str:
    """Let the C++ kernels compute both networks on a CPU, and return what computes them."""
    if device.type != "cpu" or isinstance(recipe.network, RivalConfiguration):
        return str(device)
    for network in (state.network, state.discriminator):
        if network is not None:
            kernels.accelerate(network, recipe.machine.kernels)
    return kernels.describe(
        recipe.plnlin, recipe.machine.kernels, with_discriminator=bool(recipe.loss.beta)
    )


def data_warnings(
    data: Data,
    pictures: TrainingPictures,
    pairs: list[tuple[str, Pair]],
    problems: dict[str, list[Problem]],
) -> Iterator[str]:
    """Yield warnings: small pictures, unpaired files, unused exclusions, shared validation data.

    `pairs` are the validation pairs, `problems` the unpaired files of their folders.
    """
    if small := pictures.too_small:
        yield (
            f"{len(small)} pictures are smaller than a crop of {data.crop_px} px and are skipped, "
            f"the first: {small[0]}"
        )
    collections = pictures.collections
    unpaired = [(c.name, c.problems) for c in collections] + list(problems.items())
    for name, files in unpaired:
        if files:
            yield (
                f"{name}: {len(files)} files have no counterpart and are skipped, the first: "
                f"{files[0]}; `derain data check` lists all"
            )
    if unknown := unknown_stems(data.backgrounds, data.exclude):
        yield (
            f"data.exclude: {len(unknown)} of {len(data.exclude)} names are not those of a "
            f"background, the first: {unknown[0]}; check their spelling"
        )
    trained = [(c.name, c.pairs) for c in collections]
    rain_free = {
        "data.backgrounds": background_paths(data.backgrounds, exclude=data.exclude),
        "data.hard": background_paths(data.hard),
    }
    for shared in [
        *shared_pair_warnings(trained, pairs),
        *shared_background_warnings(rain_free, pairs),
    ]:
        yield f"{shared}; exclude them from one of the two, or the scores are not meaningful"


def is_over(length: Length, state: State) -> bool:
    """True if a run has reached its length."""
    return bool(length.steps and state.step >= length.steps) or bool(
        length.hours and state.hours >= length.hours
    )


def reason_to_end(
    length: Length, state: State, *, stopping: bool, failed: bool
) -> Literal["signal", "length", "data"] | None:
    """Return why a run ends after this step; None if it continues.

    `failed` is true if the next batch could not be prepared. A run that has reached its length
    does not need that batch.
    """
    if stopping:
        return "signal"
    if is_over(length, state):
        return "length"
    return "data" if failed else None


def set_rate(state: State, rate: float) -> None:
    """Set the learning rate of both optimisers."""
    for optimiser in (state.optimiser, state.discriminator_optimiser):
        for group in optimiser.param_groups if optimiser else ():
            group["lr"] = rate


def make_crops(recipe: Recipe, pictures: TrainingPictures) -> Crops:
    """Return the crops of a recipe: of three frames for a network for clips."""
    data = recipe.data
    if recipe.network.frames == 1:
        return Crops(pictures, crop_px=data.crop_px, mix=data.mix, seed=recipe.seed)
    return ClipCrops(
        pictures,
        crop_px=data.crop_px,
        mix=data.mix,
        seed=recipe.seed,
        is_aligned=data.aligned,
    )


def open_training_pictures(recipe: Recipe) -> TrainingPictures:
    """Return all pictures that the recipe names, with neighbours for a network for clips."""
    data, machine = recipe.data, recipe.machine
    cache = PictureCache(machine.cache_mib / max(1, machine.workers))
    min_px, with_layers = data.crop_px, data.mix.recombined > 0
    collections = [
        open_pairs(
            pairs,
            cache,
            with_layers=with_layers,
            with_neighbours=recipe.network.frames > 1 and data.mix.pair > 0,
            is_aligned=data.aligned,
            min_px=min_px,
        )
        for pairs in data.pairs
    ]
    backgrounds, small = open_pictures(data.backgrounds, cache, exclude=data.exclude, min_px=min_px)
    streaks, small_streaks = open_pictures(data.streaks, cache, min_px=min_px, grey=True)
    hard, small_hard = open_pictures(data.hard, cache, min_px=min_px)
    too_small = [*small, *small_streaks, *small_hard]
    return TrainingPictures(collections, backgrounds, streaks, too_small, hard)


def fit(
    fabric: Fabric,
    recipe: Recipe,
    state: State,
    *,
    crops: Crops,
    pairs: list[tuple[str, Pair]],
    folder: Path,
) -> None:
    """Update until the recipe's length, a signal, a damaged picture, or a non-finite loss."""
    length, record, validation = recipe.length, recipe.record, recipe.validation
    sampler = BatchSampler(
        batch=recipe.optimiser.batch,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
        first_step=state.step,
    )
    loader: DataLoader[Sides] = DataLoader(
        crops,  # type: ignore[arg-type]  # torch wants its own Dataset class
        batch_sampler=sampler,
        num_workers=recipe.machine.workers,
        worker_init_fn=ignore_sigterm,
    )
    log = RunLog(fabric, folder, step=state.step)
    progress = Progress(recipe, enabled=fabric.is_global_zero)
    saving = Every(fabric, minutes=record.save_every_minutes)
    validating = Every(
        fabric, minutes=validation.every_minutes or None, steps=validation.every_steps
    )
    reason = reason_to_end(length, state, stopping=False, failed=False)
    state.network.train()
    clock = Clock()
    with closing(Batches(loader)) as batches, StopSignal() as stop:
        if reason is None:
            on_all_ranks(fabric, batches.begin)
        for rainy, clean in batches:
            # 1. Set the learning rate of this step.
            rate = recipe.optimiser.learning_rate * rate_factor(
                recipe.schedule, length, step=state.step, hours=state.hours
            )
            set_rate(state, rate)

            # 2. Update the networks.
            rainy, clean = fabric.to_device((rainy, clean))
            batch = Batch(rainy, clean, sampler.indices(state.step))
            metrics = training_step(fabric, state, batch, recipe)
            state.step += 1

            # 3. Let all processes agree on the time and on whether to stop.
            stopping, failed, state.hours = synchronise(
                fabric,
                stopping=stop.received,
                failed=batches.failed,
                hours=state.hours + clock.step(),
            )
            reason = reason_to_end(length, state, stopping=stopping, failed=failed)

            # 4. Log and show progress.
            state.means.add(metrics)
            if state.step % record.log_every_steps == 0 or is_over(length, state):
                log.write("train", state, rate=rate, **state.means.take())
            progress.show(state, metrics.get("loss"))
            if reason is not None:
                break

            # 5. Validate or save, if due. Save before a validation, which may take longer than
            # the sender of a signal waits.
            if pairs and validating.is_due(state.step):
                save_state(fabric, state, folder)
                validate_and_save(fabric, state, pairs, log, recipe=recipe, folder=folder)
                validating.restart()
                saving.restart()
            elif saving.is_due(state.step):
                write_weights(fabric, state, recipe, folder)
                save_state(fabric, state, folder)
                saving.restart()
            clock.resume()

        # At the end of the run, save before validating, for the same reason.
        write_weights(fabric, state, recipe, folder)
        save_state(fabric, state, folder)
        if reason == "data":
            on_all_ranks(fabric, batches.check)
        is_validated = state.card.get("step") == state.step
        if pairs and reason == "length" and not is_validated:
            validate_and_save(fabric, state, pairs, log, recipe=recipe, folder=folder)
            save_state(fabric, state, folder)
        progress.end(state, "stopped by a signal" if reason == "signal" else "done", folder=folder)
