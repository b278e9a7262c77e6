"""The training loop: setup -> main -> fit -> validate."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from derain.data.crops import Crops
from derain.data.pairs import Pair
from derain.data.sources import Sources, load_pairs, load_pictures
from derain.errors import DerainError
from derain.network import PLNLIN, kernels
from derain.train.ema import Average
from derain.train.memory import keep_memory
from derain.train.progress import Progress
from derain.train.recipe import Data, Machine, Recipe
from derain.train.schedule import rate_factor
from derain.train.speed import bfloat16_is_faster
from derain.train.state import NAME, State, load_state, make_optimiser, save_state
from derain.train.steps import restoration_loss
from derain.train.validation import summary, validate, validation_pairs
from derain.train.weights_file import fill, load_weights, save_weights

WEIGHTS = "weights.safetensors"


class TrainingError(DerainError):
    """A run that cannot go on."""


def setup(recipe: Recipe, *, resume: bool = False, weights: str | Path | None = None) -> dict[str, Any]:
    """Train as `recipe` says and return the last validation. Ctrl-C and SIGTERM end the run with its state saved.

    `resume` goes on from the state in the recipe's folder, bit for bit on a CPU in float32; `weights` starts from a weights file,
    with a new optimiser. Raises DerainError for data, weights or a recipe that cannot be used, TrainingError for a loss that is
    not finite.
    """
    folder = Path(recipe.record.folder)
    rank = int(os.environ.get("LOCAL_RANK", 0))
    if (folder / NAME).exists() and not resume and rank == 0:
        raise TrainingError(
            f"{folder / NAME}: a run is there already; go on with it by --resume, or give record.folder another value"
        )
    keep_memory()
    machine = recipe.machine
    threads = machine.threads or max(1, (os.cpu_count() or 1) // machine.processes)
    torch.set_num_threads(threads)
    fabric = launch(machine)
    return main(fabric, recipe, folder=folder, resume=resume, weights=weights)


def launch(machine: Machine) -> Fabric:
    """Start the processes of the run."""
    precision = machine.precision
    if precision == "auto":
        precision = "bf16-mixed" if bfloat16_is_faster() else "32-true"
    several = machine.processes * machine.nodes > 1
    fabric = Fabric(
        accelerator=machine.accelerator,
        devices=machine.processes,
        num_nodes=machine.nodes,
        strategy="ddp" if several else "auto",
        precision=precision,
    )
    fabric.launch()
    if fabric.device.type == "cpu":
        fabric.print(f"training by {kernels.choose(machine.kernels)}", file=sys.stderr)
    return fabric


def main(fabric: Fabric, recipe: Recipe, *, folder: Path, resume: bool, weights: str | Path | None) -> dict[str, Any]:
    """Build data, network and state, train, validate and leave the weights in `folder`."""
    torch.manual_seed(recipe.seed)
    folder.mkdir(parents=True, exist_ok=True)
    sources = load_sources(recipe.data)
    crops = Crops(sources, crop_px=recipe.data.crop_px, mix=recipe.data.mix, seed=recipe.seed)
    pairs = validation_pairs(recipe.validation)
    generator = PLNLIN(recipe.network)
    if weights is not None:
        fill(generator, load_weights(weights)[1], path=weights)
    network, optimiser = fabric.setup(generator, make_optimiser(generator, recipe.optimiser))
    network.mark_forward_method("hierarchy")
    average = Average(generator, decay=recipe.optimiser.ema) if recipe.optimiser.ema else None
    state = State(network, optimiser, average, recipe=recipe.as_dict())
    if resume:
        load_state(fabric, state, folder / NAME)
    if fabric.is_global_zero:
        (folder / "recipe.json").write_text(json.dumps(recipe.as_dict(), indent=1))
    fit(fabric, recipe, state, crops=crops, pairs=pairs, folder=folder)
    return state.card


def load_sources(data: Data) -> Sources:
    """Decode everything that the recipe names."""
    least_px = data.crop_px
    return Sources(
        collections=[
            load_pairs(p.folder, weight=p.weight, layers=p.layers, exclude=p.exclude, only=p.only, least_px=least_px)
            for p in data.pairs
        ],
        backgrounds=load_pictures(data.backgrounds, exclude=data.exclude, least_px=least_px),
        streaks=load_pictures(data.streaks, least_px=least_px, grey=True),
    )


class Batches:
    """Index lists for one process of `world`, from `first_step` on: step s takes the indices s * batch to (s + 1) * batch."""

    def __init__(self, *, batch: int, rank: int, world: int, first_step: int) -> None:
        self.batch, self.rank, self.world, self.first_step = batch, rank, world, first_step

    def of(self, step: int) -> list[int]:
        """The indices of one step."""
        share = self.batch // self.world
        first = step * self.batch + self.rank * share
        return list(range(first, first + share))

    def __iter__(self) -> Iterator[list[int]]:
        step = self.first_step
        while True:
            yield self.of(step)
            step += 1


class StopSignal:
    """Remembers Ctrl-C and SIGTERM until the step is over."""

    def __init__(self) -> None:
        self.received = False
        self.before = {s: signal.signal(s, self._receive) for s in (signal.SIGINT, signal.SIGTERM)}

    def _receive(self, number: int, _: FrameType | None) -> None:
        self.received = True
        signal.signal(number, self.before[signal.Signals(number)])  # a second one acts at once

    def close(self) -> None:
        """Give the signals back."""
        for number, handler in self.before.items():
            signal.signal(number, handler)


def fit(fabric: Fabric, recipe: Recipe, state: State, *, crops: Crops, pairs: list[tuple[str, Pair]], folder: Path) -> None:
    """Update until the recipe's length, a signal, or a loss that is not finite."""
    optimiser, length = recipe.optimiser, recipe.length
    batches = Batches(batch=optimiser.batch, rank=fabric.global_rank, world=fabric.world_size, first_step=state.step)
    loader = DataLoader(crops, batch_sampler=batches, num_workers=recipe.machine.workers)  # type: ignore[arg-type]
    log = Log(fabric, folder)
    progress = Progress(recipe, enabled=fabric.is_global_zero)
    stop = StopSignal()
    began = saved = validated = time.monotonic()
    hours_before = state.hours
    away = 0.0  # seconds in this session that were spent on validation and saving
    state.network.train()
    try:
        for rainy, clean in loader:
            rainy, clean = fabric.to_device((rainy, clean))
            factor = rate_factor(recipe.schedule, length, step=state.step, hours=state.hours, warm_steps=state.warm_steps)
            for group in state.optimiser.param_groups:
                group["lr"] = optimiser.learning_rate * factor
            terms, norm = update(fabric, state, rainy, clean, recipe, indices=batches.of(state.step))
            state.step += 1
            state.warm_steps += 1
            now = time.monotonic()
            state.hours = hours_before + (now - began - away) / 3600
            stopping, state.hours = agree(fabric, stop.received, state.hours)
            ended = bool(length.steps and state.step >= length.steps) or bool(length.hours and state.hours >= length.hours)
            if state.step % recipe.record.log_every_steps == 0 or ended:
                log.write(
                    "train", state, rate=optimiser.learning_rate * factor, norm=norm, **{k: float(v) for k, v in terms.items()}
                )
            progress.show(state, float(sum(terms.values())))
            if ended or stopping:
                break
            minutes, steps = recipe.validation.every_minutes, recipe.validation.every_steps
            if pairs and ((minutes and due(fabric, now - validated, minutes)) or (steps and state.step % steps == 0)):
                check(fabric, state, pairs, log, recipe=recipe, folder=folder)
                validated = time.monotonic()
            if due(fabric, now - saved, recipe.record.save_every_minutes):
                save_state(fabric, state, folder)
                saved = time.monotonic()
            away += time.monotonic() - now
        if pairs and not stopping:
            check(fabric, state, pairs, log, recipe=recipe, folder=folder)
        save_state(fabric, state, folder)
        write_weights(fabric, state, recipe, folder)
        progress.end(state, "stopped by a signal" if stopping else "done", folder=folder)
    finally:
        stop.close()
        log.close()


def update(
    fabric: Fabric, state: State, rainy: Tensor, clean: Tensor, recipe: Recipe, *, indices: list[int]
) -> tuple[dict[str, Tensor], float]:
    """One update of the generator (equation 9). Returns the terms of the loss and the norm of the gradient before clipping."""
    with fabric.autocast():
        made = state.network.hierarchy(rainy)
    total, terms = restoration_loss(made, clean, recipe.loss)
    fabric.backward(total)
    norm = fabric.clip_gradients(
        state.network, state.optimiser, max_norm=recipe.optimiser.clip_norm or math.inf, error_if_nonfinite=False
    )
    if not bool(torch.isfinite(norm)) or not bool(torch.isfinite(total)):
        # the gradient is averaged over all processes, so that all of them see this in the same step, before any weight is touched
        raise TrainingError(
            f"step {state.step}: the loss is {total.item()} and the gradient's norm {float(norm)} on crops {indices[0]} to "
            f"{indices[-1]} of seed {recipe.seed}; the last saved state is whole: resume it with a lower optimiser.learning_rate "
            f"or with optimiser.clip_norm"
        )
    state.optimiser.step()
    state.optimiser.zero_grad()
    if state.average:
        state.average.update(state.network)
    return terms, float(norm)


def agree(fabric: Fabric, stopping: bool, hours: float) -> tuple[bool, float]:
    """Let all processes stop together, and go by the clock of the first."""
    if fabric.world_size == 1:
        return stopping, hours
    facts = torch.tensor([float(stopping), hours if fabric.is_global_zero else 0.0], dtype=torch.float64)
    facts = fabric.all_reduce(facts, reduce_op="sum")
    return bool(facts[0] > 0), float(facts[1])


def due(fabric: Fabric, seconds: float, minutes: float) -> bool:
    """Whether `minutes` have gone by on the clock of the first process."""
    return bool(fabric.broadcast(seconds >= 60 * minutes)) if fabric.world_size > 1 else seconds >= 60 * minutes


def check(fabric: Fabric, state: State, pairs: list[tuple[str, Pair]], log: Log, *, recipe: Recipe, folder: Path) -> None:
    """Validate the averaged weights and write them with their figures."""
    network = state.network.module
    if state.average:
        state.average.swap(network)
    try:
        scores = validate(network, pairs, device=fabric.device, rank=fabric.global_rank, world=fabric.world_size)
    finally:
        if state.average:
            state.average.swap(network)
    if fabric.world_size > 1:
        scores = fabric.all_reduce(scores, reduce_op="sum")
    state.card = {"step": state.step, "hours": round(state.hours, 3), "protocol": "paper", "validation": summary(pairs, scores)}
    log.write(
        "validation",
        state,
        **{
            f"{name}_{what}": v
            for name, pair in state.card["validation"].items()
            for what, v in zip(("psnr", "ssim"), pair, strict=True)
        },
    )
    write_weights(fabric, state, recipe, folder)


def write_weights(fabric: Fabric, state: State, recipe: Recipe, folder: Path) -> None:
    """Leave the averaged weights in `folder`."""
    if not fabric.is_global_zero:
        return
    network = state.network.module
    if state.average:
        state.average.swap(network)
    card = {"steps": state.step, "hours": round(state.hours, 3), "validation": state.card}
    save_weights(folder / WEIGHTS, network, configuration=recipe.network, card=card)
    if state.average:
        state.average.swap(network)


class Log:
    """A JSON line for each event, and TensorBoard's scalars, from the first process."""

    def __init__(self, fabric: Fabric, folder: Path) -> None:
        self.path = folder / "log.jsonl"
        self.board = SummaryWriter(str(folder)) if fabric.is_global_zero else None

    def write(self, event: str, state: State, **values: float) -> None:
        """Append one event."""
        if self.board is None:
            return
        line = {"event": event, "step": state.step, "hours": round(state.hours, 5), **values}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in values.items():
            self.board.add_scalar(f"{event}/{name}", value, state.step)

    def close(self) -> None:
        """Flush TensorBoard's file."""
        if self.board is not None:
            self.board.close()
