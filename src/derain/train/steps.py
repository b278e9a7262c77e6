"""Algorithm 1: which network is updated when, and the update itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor

from derain.errors import TrainingError
from derain.network.generator import GeneratorOutput
from derain.train.manners import get_manner
from derain.train.objective import (
    AdversarialInputs,
    adversarial_objective,
    discriminator_loss,
    restoration_loss,
)
from derain.train.recipe import Recipe
from derain.train.state import State, unwrapped


@dataclass(frozen=True)
class Batch:
    """The crops of one step: rainy and clean, (N, 3, H, W) in 0..1."""

    rainy: Tensor
    clean: Tensor
    indices: list[int]


def training_step(fabric: Fabric, state: State, batch: Batch, recipe: Recipe) -> dict[str, float]:
    """One iteration of Algorithm 1. Returns the terms of the losses and the norm of the generator's gradient before clipping.

    Raises TrainingError if a loss or its gradient is not finite, before the network that it belongs to is touched.
    """
    turns = recipe.adversarial
    if state.discriminator is None:
        return generator_update(fabric, state, batch, recipe, clean_content=None)[0]
    warming = state.step < turns.warmup_steps
    with fabric.autocast():
        clean_content = get_manner(turns.manner).of_clean(
            state.generator, batch.clean, turns.real_gradient and not warming
        )
    facts: dict[str, float] = {}
    if warming or state.step % turns.generator_every == 0:
        facts, made = generator_update(
            fabric, state, batch, recipe, clean_content=None if warming else clean_content
        )
    else:
        with fabric.autocast():  # no gradient of it is taken; unwrapped, none is to be exchanged
            made = state.generator.hierarchy(batch.rainy)
    if warming or state.step % turns.discriminator_every == 0:
        sides = AdversarialInputs(
            made.restored, get_manner(turns.manner).of_restored(made), batch.clean, clean_content
        )
        facts["discriminator"] = discriminator_update(fabric, state, sides, batch, recipe)
    return facts


def generator_update(
    fabric: Fabric,
    state: State,
    batch: Batch,
    recipe: Recipe,
    *,
    clean_content: list[Tensor] | None,
) -> tuple[dict[str, float], GeneratorOutput]:
    """Equation (9) for the generator, without its adversarial term where `clean_content` is None."""
    with fabric.autocast():
        if recipe.trains_heads:
            made: GeneratorOutput = state.network.hierarchy(batch.rainy)  # type: ignore[operator]
        else:
            made = GeneratorOutput(state.network(batch.rainy), [], [])
    total, terms = restoration_loss(made, batch.clean, recipe.loss)
    if clean_content is not None and state.discriminator is not None:
        with fabric.autocast():
            # not through what Fabric wraps it in: no gradient of the discriminator is to be exchanged here
            sides = AdversarialInputs(
                made.restored,
                get_manner(recipe.adversarial.manner).of_restored(made),
                batch.clean,
                clean_content,
            )
            critic, real_gradient = unwrapped(state.discriminator), recipe.adversarial.real_gradient
            part, more = adversarial_objective(
                critic, sides, recipe.loss, real_gradient=real_gradient
            )
        total, terms = total + part, terms | more
    if recipe.trains_heads and not recipe.loss.alpha:
        total = total + 0 * zero_head_loss(made)
    fabric.backward(total)
    norm = _step(
        fabric, state.network, state.optimiser, total, state=state, batch=batch, recipe=recipe
    )
    if state.average:
        state.average.update(state.network)
    return {name: float(term) for name, term in terms.items()} | {
        "norm": norm,
        "loss": total.item(),
    }, made


def zero_head_loss(made: GeneratorOutput) -> Tensor:
    """The sum of what the heads made: without the hierarchical loss, no term may look at some of it.

    Several processes wait for the gradient of every parameter that the forward pass has met, and so it is to be one of zeros.
    """
    return torch.stack([found.float().sum() for found in (*made.features, *made.scales)]).sum()


def discriminator_update(
    fabric: Fabric, state: State, sides: AdversarialInputs, batch: Batch, recipe: Recipe
) -> float:
    """Equation (12), mirrored, for the discriminator. Returns its loss."""
    assert state.discriminator is not None and state.discriminator_optimiser is not None
    with fabric.autocast():
        total = discriminator_loss(state.discriminator, sides, recipe.loss)
    fabric.backward(total)
    _step(
        fabric,
        state.discriminator,
        state.discriminator_optimiser,
        total,
        state=state,
        batch=batch,
        recipe=recipe,
    )
    return total.item()


def _step(
    fabric: Fabric,
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    total: Tensor,
    *,
    state: State,
    batch: Batch,
    recipe: Recipe,
) -> float:
    """Clip the gradient, check it, update. Returns its norm before clipping."""
    most = recipe.optimiser.clip_norm or math.inf
    norm = float(fabric.clip_gradients(network, optimiser, max_norm=most, error_if_nonfinite=False))  # type: ignore[arg-type]
    if not math.isfinite(norm) or not math.isfinite(total.item()):
        # the gradient is averaged over all processes, so that all of them see this in the same step, before any weight is touched
        raise TrainingError(
            f"step {state.step}: the loss is {total.item()} and the gradient's norm {norm} on crops {batch.indices[0]} to "
            f"{batch.indices[-1]} of seed {recipe.seed}; begin again with a lower optimiser.learning_rate or with "
            f"optimiser.clip_norm, or resume the last saved state with them, if it is from before the losses grew (log.jsonl)"
        )
    optimiser.step()
    optimiser.zero_grad()
    return norm
