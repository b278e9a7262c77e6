"""Everything that a run is, saved and loaded as one file: weights, average, optimiser, progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from derain.errors import RecipeError, WeightsError
from derain.network import PLNLINConfiguration
from derain.train.ema import Average
from derain.train.muon import Muon
from derain.train.recipe import Optimiser

NAME = "state.ckpt"


@dataclass
class State:
    """One run. Crops are a function of (seed, index) and the schedule one of progress, so neither has a state."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    average: Average | None = None
    discriminator: nn.Module | None = None
    discriminator_optimiser: torch.optim.Optimizer | None = None
    step: int = 0
    """Updates so far."""
    hours: float = 0.0
    """Of training so far, over all sessions."""
    warm_steps: int = 0
    """Updates since the optimiser began from nothing."""
    recipe: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    """Latest validation figures."""


def make_optimiser(network: nn.Module, optimiser: Optimiser) -> torch.optim.Optimizer:
    """Adam, AdamW or Muon; weight decay leaves vectors (biases, norms) alone."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "muon": Muon}[optimiser.name]
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": optimiser.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return kind(groups, lr=optimiser.learning_rate, betas=(optimiser.betas[0], optimiser.betas[1]))


def save_state(fabric: Fabric, state: State, folder: Path) -> Path:
    """Write `folder`/state.ckpt, all processes together, and rename it at the end: a kill at any moment keeps the last one."""
    path, temporary = folder / NAME, folder / f".{NAME}.tmp"
    fabric.save(temporary, _contents(state))
    fabric.barrier()
    if fabric.is_global_zero:
        temporary.replace(path)
    fabric.barrier()
    return path


def load_state(fabric: Fabric, state: State, path: Path) -> None:
    """Continue where `path` was saved. Raises WeightsError for a damaged file, RecipeError for another network."""
    contents = _contents(state)
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{path}: there is no state to resume; start without --resume") from None
    except Exception as error:
        raise WeightsError(
            f"{path}: is damaged ({error.__class__.__name__}); start anew with --weights and the last exported weights"
        ) from None
    own, other = (PLNLINConfiguration.from_mapping(found["recipe"]["network"]) for found in (contents, saved))
    if own != other:
        raise RecipeError(f"{path}: was saved by a run with another network; resume it with its own recipe")
    unwrapped(state.network).load_state_dict(saved["network"])
    state.optimiser.load_state_dict(saved["optimiser"])
    if state.discriminator is not None and state.discriminator_optimiser is not None and saved.get("discriminator"):
        unwrapped(state.discriminator).load_state_dict(saved["discriminator"])
        state.discriminator_optimiser.load_state_dict(saved["discriminator_optimiser"])
    if state.average is not None and saved["average"] is not None:
        state.average.load_state_dict(saved["average"])
    torch.set_rng_state(saved["random"])
    state.step, state.hours, state.warm_steps, state.card = saved["step"], saved["hours"], saved["warm_steps"], saved["card"]


def unwrapped(network: nn.Module) -> nn.Module:
    """The network itself, without what Fabric puts around it."""
    inner = getattr(network, "module", None)
    return inner if isinstance(inner, nn.Module) else network


def _contents(state: State) -> dict[str, Any]:
    return {
        "network": unwrapped(state.network).state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "average": state.average.state_dict() if state.average else None,
        "discriminator": unwrapped(state.discriminator).state_dict() if state.discriminator else None,
        "discriminator_optimiser": state.discriminator_optimiser.state_dict() if state.discriminator_optimiser else None,
        "random": torch.get_rng_state(),
        "step": state.step,
        "hours": state.hours,
        "warm_steps": state.warm_steps,
        "recipe": state.recipe,
        "card": state.card,
    }
