"""The checkpoint of a run, state.ckpt: written, and read into the state of a resumed run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from derain.errors import RecipeError, TrainingError, WeightsError
from derain.files.atomic import atomic_write
from derain.files.messages import explain_os_error
from derain.network import PLNLINConfiguration
from derain.network.run_files import STATE
from derain.rivals.configuration import RivalConfiguration
from derain.train.distributed import on_rank_zero
from derain.train.ema import WeightAverage
from derain.train.running_means import RunningMeans
from derain.train.state import InitialWeights, State, unwrapped


def save_state(fabric: Fabric, state: State, folder: Path) -> Path:
    """Write `folder`/state.ckpt atomically, all processes together.

    A kill at any moment keeps the previous checkpoint. Raises TrainingError if it cannot be
    written.
    """
    path = folder / STATE

    def save() -> None:
        try:
            with atomic_write(path) as file:
                torch.save(_contents(state), file)
        except (OSError, RuntimeError) as error:
            # torch's writer raises its own error for a full disk, in the context of an OSError
            cause = error.__context__ if isinstance(error.__context__, OSError) else error
            remark = "; the previous checkpoint is kept" if path.exists() else ""
            raise TrainingError(f"{path}: {explain_os_error(cause)}{remark}") from error

    on_rank_zero(fabric, save)
    return path


def load_state(state: State, path: Path) -> None:
    """Restore the state that was saved at `path`.

    Raises WeightsError for a missing or damaged file, RecipeError for a run that cannot be
    resumed with another network, optimiser or discriminator.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such checkpoint; start without --resume") from None
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror}); check its permissions"
        ) from None
    except Exception as error:
        raise _damaged(path, error) from None
    try:
        _check_compatible(state, saved, path)
        _restore(state, saved)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        # a file of torch's that is not one of our checkpoints
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path}: is damaged ({error.__class__.__name__}); "
        f"start a new run from the last exported weights with --weights"
    )


def _check_compatible(state: State, saved: dict[str, Any], path: Path) -> None:
    """Raise RecipeError if the saved run had other parts."""
    ours, theirs = state.recipe, saved["recipe"]
    if _generator(ours["network"]) != _generator(theirs["network"]):
        raise RecipeError(
            f"{path}: was saved by a run with another network; resume it with its own recipe"
        )
    if ours["optimiser"]["name"] != theirs["optimiser"]["name"]:
        raise RecipeError(
            f"{path}: was saved by a run with optimiser.name = {theirs['optimiser']['name']!r}; "
            f"resume it with that optimiser, or start a new run from its weights with --weights"
        )
    if _group_sizes(saved["optimiser"]) != _group_sizes(state.optimiser.state_dict()):
        raise RecipeError(
            f"{path}: was saved by an earlier version of derain, in which other parameters "
            f"decayed; start a new run from its weights with --weights"
        )
    if state.discriminator is None:
        return
    if not saved["discriminator"]:
        raise RecipeError(
            f"{path}: was saved by a run without a discriminator; resume it with loss.beta=0, "
            f"or start a new run from its weights with --weights"
        )
    # checkpoints of early versions have no recipe of the discriminator, only that of the session
    trained_by = saved.get("discriminator_recipe") or theirs
    network = PLNLINConfiguration.from_saved(ours["network"])
    if network != PLNLINConfiguration.from_saved(trained_by["network"]):
        raise RecipeError(
            f"{path}: its discriminator was trained with other settings of [network]; "
            f"resume it with those, or with loss.beta=0"
        )
    manner = trained_by["adversarial"]["manner"]
    if ours["adversarial"]["manner"] != manner:
        raise RecipeError(
            f"{path}: its discriminator was trained with adversarial.manner = {manner!r}; "
            f"resume it with that manner, or with loss.beta=0"
        )


def _generator(network: dict[str, Any]) -> object:
    """Return what two saved networks must have in common to resume one with the other."""
    if "kind" in network:
        return RivalConfiguration(**network)
    return PLNLINConfiguration.from_saved(network).generator_only


def _group_sizes(optimiser: dict[str, Any]) -> list[int]:
    """Return the number of parameters in each group."""
    return [len(group["params"]) for group in optimiser["param_groups"]]


def _restore(state: State, saved: dict[str, Any]) -> None:
    state.generator.load_state_dict(saved["network"])
    _restore_optimiser(state.optimiser, saved["optimiser"])
    if state.discriminator is not None and state.discriminator_optimiser is not None:
        unwrapped(state.discriminator).load_state_dict(saved["discriminator"])
        _restore_optimiser(state.discriminator_optimiser, saved["discriminator_optimiser"])
    else:
        stored = {key: saved[key] for key in ("discriminator", "discriminator_optimiser")}
        if saved["discriminator"]:
            stored["discriminator_recipe"] = saved.get("discriminator_recipe") or saved["recipe"]
        state.stored_discriminator = stored
    if state.average is not None:
        if saved["average"] is not None:
            state.average.load_state_dict(saved["average"])
        else:
            state.average = WeightAverage(state.generator, decay=state.average.decay)
    torch.set_rng_state(saved["random"])
    state.step, state.hours = saved["step"], saved["hours"]
    state.means = RunningMeans(saved.get("means", {}))  # early checkpoints have none
    if _has_scores_for(state.recipe, saved["recipe"]):
        state.card = saved["card"]
    state.initial = InitialWeights(**saved.get("earlier", {}))


def _has_scores_for(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """True if the saved scores are of weights averaged alike, and of our validation pictures."""
    averages = [bool(recipe["optimiser"].get("ema")) for recipe in (ours, theirs)]
    pictures, others = (
        (recipe.get("validation", {}).get("pairs"), recipe.get("data", {}).get("aligned"))
        for recipe in (ours, theirs)
    )
    return averages[0] == averages[1] and (not pictures[0] or pictures == others)


def _restore_optimiser(optimiser: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Restore the moments but not the settings: the recipe may have changed them since."""
    settings = [
        {key: group[key] for key in ("weight_decay", "betas", "fused", "matrices")}
        for group in optimiser.param_groups
    ]
    optimiser.load_state_dict(saved)
    for group, ours in zip(optimiser.param_groups, settings, strict=True):
        group.update(ours)


def _contents(state: State) -> dict[str, Any]:
    contents = {
        "network": state.generator.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "average": state.average.state_dict() if state.average else None,
        "discriminator": None,
        "discriminator_optimiser": None,
        "discriminator_recipe": None,
        **state.stored_discriminator,
        "random": torch.get_rng_state(),
        "step": state.step,
        "hours": state.hours,
        "means": state.means.values,
        "earlier": asdict(state.initial),
        "recipe": state.recipe,
        "card": state.card,
    }
    if state.discriminator is not None and state.discriminator_optimiser is not None:
        contents["discriminator"] = unwrapped(state.discriminator).state_dict()
        contents["discriminator_optimiser"] = state.discriminator_optimiser.state_dict()
        contents["discriminator_recipe"] = state.recipe
    return contents
