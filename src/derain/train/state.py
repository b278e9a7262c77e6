"""The state of a run: network, average, optimiser, progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import nn

from derain.errors import WeightsError
from derain.network import PLNLIN, PLNLINConfiguration
from derain.network.growing import can_grow, grow
from derain.network.weights_file import load_into, load_weights
from derain.rivals.checkpoint import load_into as load_checkpoint
from derain.rivals.checkpoint import read_checkpoint
from derain.rivals.configuration import RivalConfiguration
from derain.rivals.rival import Rival
from derain.train.ema import WeightAverage
from derain.train.manners import get_manner
from derain.train.optimisers import make_optimiser
from derain.train.recipe import Recipe
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

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of both optimisers."""
        for optimiser in (self.optimiser, self.discriminator_optimiser):
            for group in optimiser.param_groups if optimiser else ():
                group["lr"] = rate

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


def _data_names(card: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the data that a card names: a list of names, or one text written by hand."""
    data = card.get("data", ())
    return (data,) if isinstance(data, str) else tuple(data)


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network itself, without Fabric's wrapper."""
    inner = getattr(network, "module", None)
    return inner if isinstance(inner, nn.Module) else network
