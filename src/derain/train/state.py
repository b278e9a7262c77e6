"""Everything that a run is, saved and loaded as one file: weights, average, optimiser, progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import nn

from derain.errors import RecipeError, TrainingError, WeightsError
from derain.files.atomic import atomic_write
from derain.files.messages import explain_os_error
from derain.network import PLNLIN, PLNLINConfiguration
from derain.network.run_files import STATE
from derain.network.weights_file import load_into, load_weights
from derain.network.widening import can_widen, widen
from derain.train.distributed import on_rank_zero
from derain.train.ema import WeightAverage
from derain.train.manners import get_manner
from derain.train.muon import Muon
from derain.train.recipe import Optimiser, Recipe


@dataclass(frozen=True)
class InitialWeights:
    """What went into the weights that a run began with."""

    steps: int = 0
    hours: float = 0.0
    data: tuple[str, ...] = ()
    """Names of its folders, as in the card."""


@dataclass
class State:
    """One run. Crops are a function of (seed, index) and the schedule one of progress, so neither has a state."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    average: WeightAverage | None = None
    discriminator: nn.Module | None = None
    discriminator_optimiser: torch.optim.Optimizer | None = None
    step: int = 0
    """Updates so far."""
    hours: float = 0.0
    """Of training so far, over all sessions."""
    earlier: InitialWeights = InitialWeights()
    laid_aside: dict[str, Any] = field(default_factory=dict)
    """Discriminator, its optimiser and its recipe, of a run that goes on without them, loss.beta = 0."""
    recipe: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    """Latest validation figures."""

    @property
    def generator(self) -> PLNLIN:
        """The network without what Fabric puts around it."""
        return cast(PLNLIN, unwrapped(self.network))

    @contextmanager
    def averaged(self) -> Iterator[PLNLIN]:
        """The generator with the averaged parameters, where there is an average, until the block ends."""
        if self.average is not None:
            self.average.swap(self.generator)
        try:
            yield self.generator
        finally:
            if self.average is not None:
                self.average.swap(self.generator)


def create_state(fabric: Fabric, recipe: Recipe, *, weights: str | Path | None = None) -> State:
    """A run before its first step, with a discriminator if the recipe's loss has a place for one.

    The generator's weights are those of the file `weights`, or drawn from the seed. Those of a network of fewer channels are
    widened. Raises WeightsError for a file that does not fit.
    """
    torch.manual_seed(recipe.seed)
    generator = PLNLIN(recipe.network)
    earlier = InitialWeights()
    if weights is not None:
        configuration, tensors, card = load_weights(weights)
        if can_widen(configuration, recipe.network):
            tensors = widen(tensors, configuration, recipe.network, seed=recipe.seed)
        elif different := differences(configuration, recipe.network):
            raise WeightsError(
                f"{weights}: was trained with network.{different[0]} = {getattr(configuration, different[0])}, and the recipe's "
                f"network has {getattr(recipe.network, different[0])}; give the recipe that"
            )
        load_into(generator, tensors, path=weights)
        earlier = InitialWeights(
            int(card.get("steps", 0)), float(card.get("hours", 0)), _data_of(card)
        )
    generator.heads.requires_grad_(
        recipe.trains_heads
    )  # or the processes would wait for gradients that never come
    network, optimiser = fabric.setup(generator, make_optimiser(generator, recipe.optimiser))
    network.mark_forward_method("hierarchy")
    average = WeightAverage(generator, decay=recipe.optimiser.ema) if recipe.optimiser.ema else None
    state = State(network, optimiser, average, earlier=earlier, recipe=recipe.as_dict())
    if recipe.loss.beta:
        critic = get_manner(recipe.adversarial.manner).discriminator(recipe.network)
        state.discriminator, state.discriminator_optimiser = fabric.setup(
            critic, make_optimiser(critic, recipe.optimiser)
        )
    return state


def differences(one: PLNLINConfiguration, other: PLNLINConfiguration) -> list[str]:
    """The fields by which two generators of the same parameters may compute something else."""
    names = ("unit", "shift_px", "bounded_sft", "attention_heads")
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def make_optimiser(network: nn.Module, optimiser: Optimiser) -> torch.optim.Optimizer:
    """Adam, AdamW or Muon; weight decay leaves biases, those of positions among them, and norms alone."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "muon": Muon}[optimiser.name]
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in network.named_parameters():
        groups[parameter.ndim > 1 and not name.endswith("position_bias")].append(parameter)
    settings = [
        {
            "params": parameters,
            "matrices": are_matrices,
            "weight_decay": optimiser.weight_decay * are_matrices,
        }
        for are_matrices, parameters in groups.items()
    ]
    return kind(
        settings, lr=optimiser.learning_rate, betas=(optimiser.betas[0], optimiser.betas[1])
    )


def save_state(fabric: Fabric, state: State, folder: Path) -> Path:
    """Write `folder`/state.ckpt, all processes together, and rename it at the end: a kill at any moment keeps the last one.

    Raises TrainingError where it cannot be written; the last one stays.
    """
    path = folder / STATE

    def save() -> None:
        try:
            with atomic_write(path) as file:
                torch.save(_contents(state), file)
        except (
            OSError,
            RuntimeError,
        ) as error:  # torch's writer has an error of its own for a full disk
            cause = error.__context__ if isinstance(error.__context__, OSError) else error
            kept = "; the state before it is kept" if path.exists() else ""
            raise TrainingError(f"{path}: {explain_os_error(cause)}{kept}") from error

    on_rank_zero(fabric, save)
    return path


def load_state(state: State, path: Path) -> None:
    """Continue where `path` was saved.

    Raises WeightsError for a file that is missing or damaged, RecipeError for what cannot go on: another network, optimiser or
    discriminator.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{path}: there is no state to resume; start without --resume") from None
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror}); check its permissions"
        ) from None
    except Exception as error:
        raise _damaged(path, error) from None
    try:
        _check_compatible(state, saved, path)
        _restore(state, saved)
    except (
        KeyError,
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:  # a file of torch's that is none of ours
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path}: is damaged ({error.__class__.__name__}); start anew with --weights and the last exported weights"
    )


def _check_compatible(state: State, saved: dict[str, Any], path: Path) -> None:
    """Raise RecipeError if the run that saved had other parts."""
    own, other = state.recipe, saved["recipe"]
    network = PLNLINConfiguration.from_saved(own["network"])
    if network.of_generator != PLNLINConfiguration.from_saved(other["network"]).of_generator:
        raise RecipeError(
            f"{path}: was saved by a run with another network; resume it with its own recipe"
        )
    if own["optimiser"]["name"] != other["optimiser"]["name"]:
        raise RecipeError(
            f"{path}: was saved by a run with optimiser.name = {other['optimiser']['name']!r}; resume it with that one, "
            f"or start a new run from its weights with --weights"
        )
    if _sizes(saved["optimiser"]) != _sizes(state.optimiser.state_dict()):
        raise RecipeError(
            f"{path}: was saved by an earlier derain, which let other parameters decay; start anew from its weights by --weights"
        )
    if state.discriminator is None:
        return
    if not saved["discriminator"]:
        raise RecipeError(
            f"{path}: was saved by a run without a discriminator; resume it with loss.beta=0, "
            f"or start a new run from its weights with --weights"
        )
    trained_by = (
        saved.get("discriminator_recipe") or other
    )  # states of before it was kept have that of the latest session
    if network != PLNLINConfiguration.from_saved(trained_by["network"]):
        raise RecipeError(
            f"{path}: its discriminator was trained with other settings of [network]; resume it with those, or with loss.beta=0"
        )
    if own["adversarial"]["manner"] != trained_by["adversarial"]["manner"]:
        raise RecipeError(
            f"{path}: its discriminator was trained with adversarial.manner = {trained_by['adversarial']['manner']!r}; resume it "
            f"with that one, or with loss.beta=0"
        )


def _sizes(optimiser: dict[str, Any]) -> list[int]:
    """How many parameters each group has."""
    return [len(group["params"]) for group in optimiser["param_groups"]]


def _restore(state: State, saved: dict[str, Any]) -> None:
    state.generator.load_state_dict(saved["network"])
    _fill_optimiser(state.optimiser, saved["optimiser"])
    if state.discriminator is not None and state.discriminator_optimiser is not None:
        unwrapped(state.discriminator).load_state_dict(saved["discriminator"])
        _fill_optimiser(state.discriminator_optimiser, saved["discriminator_optimiser"])
    else:
        state.laid_aside = {key: saved[key] for key in ("discriminator", "discriminator_optimiser")}
        if saved["discriminator"]:
            state.laid_aside["discriminator_recipe"] = (
                saved.get("discriminator_recipe") or saved["recipe"]
            )
    if state.average is not None:
        if saved["average"] is not None:
            state.average.load_state_dict(saved["average"])
        else:
            state.average = WeightAverage(state.generator, decay=state.average.decay)
    torch.set_rng_state(saved["random"])
    state.step, state.hours, state.card = saved["step"], saved["hours"], saved["card"]
    state.earlier = InitialWeights(**saved.get("earlier", {}))


def _data_of(card: Mapping[str, Any]) -> tuple[str, ...]:
    """What a card names as its data: a list of names, or one text that somebody wrote."""
    data = card.get("data", ())
    return (data,) if isinstance(data, str) else tuple(data)


def _fill_optimiser(optimiser: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Take over the moments, but not the settings: those are the recipe's, which may have been changed since."""
    settings = [
        {key: group[key] for key in ("weight_decay", "betas", "fused", "matrices")}
        for group in optimiser.param_groups
    ]
    optimiser.load_state_dict(saved)
    for group, own in zip(optimiser.param_groups, settings, strict=True):
        group.update(own)


def unwrapped(network: nn.Module) -> nn.Module:
    """The network itself, without what Fabric puts around it."""
    inner = getattr(network, "module", None)
    return inner if isinstance(inner, nn.Module) else network


def _contents(state: State) -> dict[str, Any]:
    contents = {
        "network": state.generator.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "average": state.average.state_dict() if state.average else None,
        "discriminator": None,
        "discriminator_optimiser": None,
        "discriminator_recipe": None,
        **state.laid_aside,
        "random": torch.get_rng_state(),
        "step": state.step,
        "hours": state.hours,
        "earlier": asdict(state.earlier),
        "recipe": state.recipe,
        "card": state.card,
    }
    if state.discriminator is not None and state.discriminator_optimiser is not None:
        contents["discriminator"] = unwrapped(state.discriminator).state_dict()
        contents["discriminator_optimiser"] = state.discriminator_optimiser.state_dict()
        contents["discriminator_recipe"] = state.recipe
    return contents
