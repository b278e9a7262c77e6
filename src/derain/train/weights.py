"""The weights of a run: validated, and written with a card about their training."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

from lightning_fabric import Fabric
from torch import Tensor

from derain import __version__
from derain.data.pairs.pair import Pair
from derain.environment import git_commit
from derain.network.run_files import WEIGHTS
from derain.network.weights_file import save_weights
from derain.rivals.configuration import RivalConfiguration
from derain.rivals.rival import Rival
from derain.rivals.weights_file import save_rival
from derain.train.distributed import on_all_ranks, on_rank_zero
from derain.train.recipe import Recipe
from derain.train.run_log import RunLog
from derain.train.state import State
from derain.train.validation import clip_names, distinct_suffixes, mean_scores, validate


def validate_and_save(
    fabric: Fabric,
    state: State,
    pairs: list[tuple[str, Pair]],
    log: RunLog,
    *,
    recipe: Recipe,
    folder: Path,
) -> None:
    """Validate the averaged weights and write them with their scores."""
    with state.averaged() as network:
        scores = on_all_ranks(
            fabric,
            lambda: validate(
                network,
                pairs,
                device=fabric.device,
                clips=clip_names(recipe.validation),
                is_aligned=recipe.data.aligned,
                rank=fabric.global_rank,
                world_size=fabric.world_size,
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
    metrics: dict[str, float] = {}
    for name, (psnr, ssim) in state.card["validation"].items():
        metrics |= {f"{name}_psnr": psnr, f"{name}_ssim": ssim}
    log.write("validation", state, **metrics)
    write_weights(fabric, state, recipe, folder)


def model_card(state: State, recipe: Recipe) -> dict[str, Any]:
    """Return how the weights were trained, initial weights included, and their latest scores."""
    data, commit = recipe.data, git_commit()
    folders = [
        *(pairs.folder for pairs in data.pairs),
        *data.backgrounds,
        *data.streaks,
        *data.hard,
    ]
    card = {
        "steps": state.initial.steps + state.step,
        "hours": round(state.initial.hours + state.hours, 3),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "derain": f"{__version__}, commit {commit}" if commit else __version__,
        "precision": recipe.machine.precision,
        "data": list(dict.fromkeys([*state.initial.data, *distinct_suffixes(folders)])),
    }
    if state.card.get("step") == state.step:
        card |= {"protocol": state.card["protocol"], "validation": state.card["validation"]}
    return card


def write_weights(fabric: Fabric, state: State, recipe: Recipe, folder: Path) -> None:
    """Write the averaged weights to `folder`, all processes together."""
    card = model_card(state, recipe)
    with state.averaged() as network:

        def write() -> None:
            if isinstance(network, Rival):
                rival = cast(RivalConfiguration, recipe.network)
                options = {"kind": rival.kind, "options": rival.options}
                save_rival(folder / WEIGHTS, network, card=card, **options)  # type: ignore[arg-type]
            else:
                save_weights(folder / WEIGHTS, network, configuration=recipe.plnlin, card=card)

        on_rank_zero(fabric, write)
