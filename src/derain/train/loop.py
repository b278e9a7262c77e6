"""The training loop: setup -> main -> fit -> validate."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch.utils.data import DataLoader

from derain import kernels
from derain.data.crops import Crops
from derain.data.pairs.pair import Pair
from derain.environment import available_cores
from derain.errors import TrainingError
from derain.files.atomic import write_text
from derain.files.paths import exists
from derain.network.run_files import RECIPE, STATE
from derain.rivals.configuration import RivalConfiguration
from derain.train.batches import Batches, Sides
from derain.train.checkpoint import load_state, save_state
from derain.train.clock import Clock, Every
from derain.train.distributed import (
    BatchSampler,
    StopSignal,
    ignore_sigterm,
    leaving_group,
    on_all_ranks,
    on_rank_zero,
    synchronise,
)
from derain.train.launch import launch, run_lock, training_errors
from derain.train.malloc import tune_malloc
from derain.train.progress import Progress
from derain.train.recipe import Length, Recipe
from derain.train.run_log import RunLog
from derain.train.schedule import rate_factor
from derain.train.state import State, create_state
from derain.train.steps import Batch, training_step
from derain.train.training_data import data_warnings, make_crops, open_training_pictures
from derain.train.validation import validation_pairs
from derain.train.weights import validate_and_save, write_weights


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
            state.set_rate(rate)

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
