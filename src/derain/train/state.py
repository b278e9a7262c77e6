"""The state of a run, saved and loaded as one file: weights, average, optimiser, progress."""

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
from derain.network.growing import can_grow, grow
from derain.network.run_files import STATE
from derain.network.weights_file import load_into, load_weights
from derain.rivals.checkpoint import load_into as load_checkpoint
from derain.rivals.checkpoint import read_checkpoint
from derain.rivals.configuration import RivalConfiguration
from derain.rivals.rival import Rival
from derain.train.distributed import on_rank_zero
from derain.train.ema import WeightAverage
from derain.train.manners import get_manner
from derain.train.muon import Muon
from derain.train.recipe import Optimiser, Recipe
from derain.train.running_means import RunningMeans

PROBE_PX = 32
"""Side of the picture that shows which parameters a loss reaches."""


@dataclass(frozen=True)
class InitialWeights:
    """The training of the weights that a run started from."""

    steps: int = 0
    hours: float = 0.0
    data: tuple[str, ...] = ()
    """Names of the data folders, as in the card."""

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> InitialWeights:
        """Read the training of weights from their card, which may be empty."""
        return cls(int(card.get("steps", 0)), float(card.get("hours", 0)), _data_names(card))


@dataclass
class State:
    """The state of one run.

    Crops are a function of (seed, index) and the learning rate one of progress; neither has a
    state.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    average: WeightAverage | None = None
    discriminator: nn.Module | None = None
    discriminator_optimiser: torch.optim.Optimizer | None = None
    step: int = 0
    """Updates so far."""
    hours: float = 0.0
    """Hours of training so far, over all sessions."""
    means: RunningMeans = field(default_factory=RunningMeans)
    """Means of the metrics since the last line of the log."""
    initial: InitialWeights = InitialWeights()
    stored_discriminator: dict[str, Any] = field(default_factory=dict)
    """Discriminator, its optimiser and its recipe, while a resumed run trains without them
    (loss.beta = 0)."""
    recipe: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    """Latest validation scores."""

    @property
    def generator(self) -> PLNLIN:
        """The network without Fabric's wrapper; a rival has the same methods, except for heads."""
        return cast(PLNLIN, unwrapped(self.network))

    @contextmanager
    def averaged(self) -> Iterator[PLNLIN]:
        """Yield the generator with the averaged parameters, if there is an average."""
        if self.average is not None:
            self.average.swap(self.generator)
        try:
            yield self.generator
        finally:
            if self.average is not None:
                self.average.swap(self.generator)


def create_state(fabric: Fabric, recipe: Recipe, *, weights: str | Path | None = None) -> State:
    """Return the state of a run before its first step, with a discriminator if the loss uses one.

    The generator's weights are read from the file `weights`, or drawn from the seed. Weights of a
    network with fewer channels or stages are grown. Raises WeightsError for a file that does not
    fit.
    """
    torch.manual_seed(recipe.seed)
    if isinstance(recipe.network, RivalConfiguration):
        return _create_rival_state(fabric, recipe, recipe.network, weights=weights)
    generator = PLNLIN(recipe.network)
    initial = InitialWeights()
    if weights is not None:
        configuration, tensors, card = load_weights(weights)
        if can_grow(configuration, recipe.network):
            tensors = grow(tensors, configuration, recipe.network, seed=recipe.seed)
        elif names := differences(configuration, recipe.network):
            theirs, ours = (getattr(c, names[0]) for c in (configuration, recipe.network))
            raise WeightsError(
                f"{weights}: was trained with network.{names[0]} = {theirs}, but the recipe has "
                f"{ours}; set it to {theirs}"
            )
        load_into(generator, tensors, path=weights)
        initial = InitialWeights.from_card(card)
    # otherwise several processes would wait for gradients that are never computed
    generator.heads.requires_grad_(recipe.trains_heads)
    network, optimiser = fabric.setup(generator, make_optimiser(generator, recipe.optimiser))
    network.mark_forward_method("forward_with_heads")
    average = WeightAverage(generator, decay=recipe.optimiser.ema) if recipe.optimiser.ema else None
    state = State(network, optimiser, average, initial=initial, recipe=recipe.as_dict())
    if recipe.loss.beta:
        discriminator = get_manner(recipe.adversarial.manner).discriminator(recipe.network)
        state.discriminator, state.discriminator_optimiser = fabric.setup(
            discriminator, make_optimiser(discriminator, recipe.optimiser)
        )
    return state


def _create_rival_state(
    fabric: Fabric, recipe: Recipe, configuration: RivalConfiguration, *, weights: str | Path | None
) -> State:
    """Return the state of a run that trains a rival, from random or from official weights."""
    rival = configuration.build()
    initial = InitialWeights()
    if weights is not None:
        checkpoint = read_checkpoint(weights)
        load_checkpoint(rival, checkpoint, path=weights)
        initial = InitialWeights.from_card(checkpoint.card)
    _freeze_idle_parameters(rival, own=recipe.loss.own)
    network, optimiser = fabric.setup(rival, make_optimiser(rival, recipe.optimiser))
    network.mark_forward_method("outputs")
    average = WeightAverage(rival, decay=recipe.optimiser.ema) if recipe.optimiser.ema else None
    return State(network, optimiser, average, initial=initial, recipe=recipe.as_dict())


def _freeze_idle_parameters(rival: Rival, *, own: bool) -> None:
    """Freeze what the loss does not reach; several processes would wait for its gradients."""
    rival.eval()  # running statistics of normalisations stay
    picture = torch.full((1, 3, PROBE_PX, PROBE_PX), 0.5)
    outputs = rival.outputs(picture) if own else [rival.restore(picture)]
    torch.stack([output.mean() for output in outputs]).sum().backward()
    for parameter in rival.parameters():
        parameter.requires_grad_(parameter.grad is not None)
        parameter.grad = None
    rival.train()


def differences(first: PLNLINConfiguration, second: PLNLINConfiguration) -> list[str]:
    """Return the fields by which generators with the same parameters compute something else."""
    names = ("unit", "frames", "shift_px", "bounded_sft", "attention_heads")
    return [name for name in names if getattr(first, name) != getattr(second, name)]


def make_optimiser(network: nn.Module, optimiser: Optimiser) -> torch.optim.Optimizer:
    """Return Adam, AdamW or Muon. Biases, position biases and norms do not decay."""
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


def _data_names(card: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the data that a card names: a list of names, or one text written by hand."""
    data = card.get("data", ())
    return (data,) if isinstance(data, str) else tuple(data)


def _restore_optimiser(optimiser: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Restore the moments but not the settings: the recipe may have changed them since."""
    settings = [
        {key: group[key] for key in ("weight_decay", "betas", "fused", "matrices")}
        for group in optimiser.param_groups
    ]
    optimiser.load_state_dict(saved)
    for group, ours in zip(optimiser.param_groups, settings, strict=True):
        group.update(ours)


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network itself, without Fabric's wrapper."""
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
