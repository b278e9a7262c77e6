"""What a run leaves behind: validated weights, a JSON line for each event, TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path

from lightning_fabric import Fabric
from torch.utils.tensorboard import SummaryWriter

from derain.data.pairs import Pair
from derain.train.recipe import Recipe
from derain.train.state import State, unwrapped
from derain.train.validation import summary, validate
from derain.train.weights_file import save_weights

WEIGHTS = "weights.safetensors"


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


def check(fabric: Fabric, state: State, pairs: list[tuple[str, Pair]], log: Log, *, recipe: Recipe, folder: Path) -> None:
    """Validate the averaged weights and write them with their figures."""
    network = unwrapped(state.network)
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
    network = unwrapped(state.network)
    if state.average:
        state.average.swap(network)
    card = {"steps": state.step, "hours": round(state.hours, 3), "validation": state.card}
    save_weights(folder / WEIGHTS, network, configuration=recipe.network, card=card)
    if state.average:
        state.average.swap(network)
