"""What a run leaves behind: validated weights, a JSON line for each event, TensorBoard."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from derain import __version__
from derain.data.pairs.find import Pair
from derain.environment import git_commit
from derain.files.atomic import write_text
from derain.network.run_files import LOG, WEIGHTS
from derain.network.weights_file import save_weights
from derain.train.distributed import on_all_ranks, on_rank_zero
from derain.train.recipe import Recipe
from derain.train.run_log import read_log
from derain.train.state import State
from derain.train.validation import distinct_suffixes, mean_scores, validate

LAST_WORDS_SECONDS = 2.0
"""For what a thread that has failed does until its end."""


class RunningMeans:
    """Facts of single steps, averaged from one line of the log to the next: not every step has each of them."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}

    def add(self, facts: Mapping[str, float]) -> None:
        """Take the facts of one step."""
        for name, value in facts.items():
            self.values.setdefault(name, []).append(value)

    def take(self) -> dict[str, float]:
        """The means, to begin anew."""
        means = {name: math.fsum(values) / len(values) for name, values in self.values.items()}
        self.values.clear()
        return means


class RunLog:
    """A JSON line for each event, and TensorBoard's scalars, from the first process.

    What is there of steps after `step` was done by a run that was killed; it is done again, and its lines go.
    """

    def __init__(self, fabric: Fabric, folder: Path, *, step: int) -> None:
        self.fabric, self.path = fabric, folder / LOG
        self.board: SummaryWriter | None = None
        self.hook = threading.excepthook
        self.others: set[threading.Thread] = set()
        on_rank_zero(fabric, lambda: self._open(step))

    def write(self, event: str, state: State, **values: float) -> None:
        """Append one event, all processes together."""
        line = {"event": event, "step": state.step, "hours": round(state.hours, 7), **values}

        def append() -> None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            for name, value in values.items():
                self.board.add_scalar(f"{event}/{name}", value, state.step)  # type: ignore[union-attr]  # the first process has one

        on_rank_zero(self.fabric, append)

    def _open(self, step: int) -> None:
        self._cut(step)
        self.others = set(threading.enumerate())
        threading.excepthook = self._unhandled
        try:
            self.board = SummaryWriter(str(self.path.parent), purge_step=step + 1)
        except OSError:
            self._unhook()
            raise

    def _unhandled(self, failure: threading.ExceptHookArgs) -> None:
        """What ends the thread of TensorBoard's file, as a full disk does, is raised at its next line, and is printed there."""
        if not (isinstance(failure.exc_value, OSError) and _is_of_tensorboard(failure.thread)):
            self.hook(failure)

    def _cut(self, step: int) -> None:
        if self.path.exists():
            text = self.path.read_text(encoding="utf-8")
            write_text(
                self.path, "".join(line for line, event in read_log(text) if event["step"] <= step)
            )

    def close(self) -> None:
        """Flush TensorBoard's file."""
        try:
            if self.board is not None:
                self.board.close()
        finally:
            self._unhook()

    def _unhook(self) -> None:
        for thread in set(threading.enumerate()) - self.others:
            if _is_of_tensorboard(thread):
                thread.join(LAST_WORDS_SECONDS)  # one that has failed is about to call the hook
        threading.excepthook = self.hook


def _is_of_tensorboard(thread: threading.Thread | None) -> bool:
    return type(thread).__module__.startswith("tensorboard.")


def validate_and_save(
    fabric: Fabric,
    state: State,
    pairs: list[tuple[str, Pair]],
    log: RunLog,
    *,
    recipe: Recipe,
    folder: Path,
) -> None:
    """Validate the averaged weights and write them with their figures."""
    with state.averaged() as network:
        scores = on_all_ranks(
            fabric,
            lambda: validate(
                network,
                pairs,
                device=fabric.device,
                rank=fabric.global_rank,
                world=fabric.world_size,
            ),
        )
    if fabric.world_size > 1:
        scores = cast(Tensor, fabric.all_reduce(scores, reduce_op="sum"))
    state.card = {
        "step": state.step,
        "hours": round(state.hours, 3),
        "protocol": "paper",
        "validation": mean_scores(pairs, scores),
    }
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


def model_card(state: State, recipe: Recipe) -> dict[str, Any]:
    """What went into the weights, that of the weights they began with included, and what they reached, if that was measured."""
    own = distinct_suffixes(
        [
            *(pairs.folder for pairs in recipe.data.pairs),
            *recipe.data.backgrounds,
            *recipe.data.streaks,
        ]
    )
    card = {
        "steps": state.earlier.steps + state.step,
        "hours": round(state.earlier.hours + state.hours, 3),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "derain": f"{__version__}, commit {made_at}" if (made_at := git_commit()) else __version__,
        "precision": recipe.machine.precision,
        "data": list(dict.fromkeys([*state.earlier.data, *own])),
    }
    if state.card.get("step") == state.step:
        card |= {"protocol": state.card["protocol"], "validation": state.card["validation"]}
    return card


def write_weights(fabric: Fabric, state: State, recipe: Recipe, folder: Path) -> None:
    """Leave the averaged weights in `folder`, all processes together."""
    card = model_card(state, recipe)
    with state.averaged() as network:
        on_rank_zero(
            fabric,
            lambda: save_weights(
                folder / WEIGHTS, network, configuration=recipe.network, card=card
            ),
        )
