"""Algorithm 1: which network is updated when, and the update itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from derain.errors import TrainingError
from derain.network.generator import GeneratorOutput
from derain.rivals.configuration import RivalConfiguration
from derain.train.manners import get_manner
from derain.train.objective import (
    AdversarialInputs,
    adversarial_objective,
    discriminator_loss,
    restoration_loss,
)
from derain.train.recipe import Recipe
from derain.train.rival_losses import own_loss
from derain.train.state import State, unwrapped


@dataclass(frozen=True)
class Batch:
    """The crops of one step: rainy and clean, (N, 3, H, W) in 0..1."""

    rainy: Tensor
    clean: Tensor
    indices: list[int]


def training_step(fabric: Fabric, state: State, batch: Batch, recipe: Recipe) -> dict[str, float]:
    """Run one iteration of Algorithm 1.

    Returns the terms of the losses and the norm of the generator's gradient before clipping.
    Raises TrainingError for a non-finite loss or gradient, before its network is changed.
    """
    settings = recipe.adversarial
    if state.discriminator is None:
        return generator_update(fabric, state, batch, recipe, clean_content=None)[0]
    manner = get_manner(settings.manner)
    is_warmup = state.step < settings.warmup_steps
    with fabric.autocast():
        clean_content = manner.clean_content(
            state.generator, batch.clean, settings.real_gradient and not is_warmup
        )
    metrics: dict[str, float] = {}
    if is_warmup or state.step % settings.generator_every == 0:
        metrics, output = generator_update(
            fabric, state, batch, recipe, clean_content=None if is_warmup else clean_content
        )
    else:
        # without Fabric's wrapper, because no gradient is computed that could be exchanged
        with fabric.autocast():
            output = state.generator.forward_with_heads(batch.rainy)
    if is_warmup or state.step % settings.discriminator_every == 0:
        inputs = AdversarialInputs(
            output.restored, manner.restored_content(output), batch.clean, clean_content
        )
        metrics["discriminator"] = discriminator_update(fabric, state, inputs, batch, recipe)
    return metrics


def generator_update(
    fabric: Fabric,
    state: State,
    batch: Batch,
    recipe: Recipe,
    *,
    clean_content: list[Tensor] | None,
) -> tuple[dict[str, float], GeneratorOutput]:
    """Update the generator by equation (9), without its adversarial term if there is no content."""
    output, total, terms = _restore_crops(fabric, state.network, batch, recipe)
    if clean_content is not None and state.discriminator is not None:
        content = get_manner(recipe.adversarial.manner).restored_content(output)
        inputs = AdversarialInputs(output.restored, content, batch.clean, clean_content)
        with fabric.autocast():
            # without Fabric's wrapper: the discriminator's gradients must not be exchanged here
            adversarial, adversarial_terms = adversarial_objective(
                unwrapped(state.discriminator),
                inputs,
                recipe.loss,
                real_gradient=recipe.adversarial.real_gradient,
            )
        total, terms = total + adversarial, terms | adversarial_terms
    if recipe.trains_heads and not recipe.loss.alpha:
        total = total + 0 * zero_head_loss(output)
    norm = _update(
        fabric, state.network, state.optimiser, total, state=state, batch=batch, recipe=recipe
    )
    if state.average:
        state.average.update(state.network)
    metrics = {name: float(term) for name, term in terms.items()}
    return metrics | {"norm": norm, "loss": total.item()}, output


def _restore_crops(
    fabric: Fabric, network: nn.Module, batch: Batch, recipe: Recipe
) -> tuple[GeneratorOutput, Tensor, dict[str, Tensor]]:
    """Return the restored crops, their loss without its adversarial term, and its terms."""
    if isinstance(recipe.network, RivalConfiguration) and recipe.loss.own:
        with fabric.autocast():
            outputs: list[Tensor] = network.outputs(batch.rainy)  # type: ignore[operator]
        total = own_loss(recipe.network.kind, outputs, batch.rainy, batch.clean)
        return GeneratorOutput(outputs[0], [], []), total, {"own": total.detach()}
    with fabric.autocast():
        if recipe.trains_heads:
            output = network.forward_with_heads(batch.rainy)  # type: ignore[operator]
        else:
            output = GeneratorOutput(network(batch.rainy), [], [])
    return output, *restoration_loss(output, batch.clean, recipe.loss)


def zero_head_loss(output: GeneratorOutput) -> Tensor:
    """Return the sum of all outputs of the heads, to be multiplied by zero.

    Several processes wait for the gradient of every parameter in the forward pass. Without the
    hierarchical loss some would have none; the product gives them a gradient of zeros.
    """
    return torch.stack([head.float().sum() for head in (*output.features, *output.scales)]).sum()


def discriminator_update(
    fabric: Fabric, state: State, inputs: AdversarialInputs, batch: Batch, recipe: Recipe
) -> float:
    """Update the discriminator by the mirror image of equation (12) and return its loss."""
    assert state.discriminator is not None and state.discriminator_optimiser is not None
    with fabric.autocast():
        total = discriminator_loss(state.discriminator, inputs, recipe.loss)
    _update(
        fabric,
        state.discriminator,
        state.discriminator_optimiser,
        total,
        state=state,
        batch=batch,
        recipe=recipe,
    )
    return total.item()


def _update(
    fabric: Fabric,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    total: Tensor,
    *,
    state: State,
    batch: Batch,
    recipe: Recipe,
) -> float:
    """Compute the gradient, clip it, check it, update. Returns its norm before clipping."""
    fabric.backward(total)
    max_norm = recipe.optimiser.clip_norm or math.inf
    norm = float(
        fabric.clip_gradients(network, optimiser, max_norm=max_norm, error_if_nonfinite=False)  # type: ignore[arg-type]
    )
    if not math.isfinite(norm) or not math.isfinite(total.item()):
        # The gradient is averaged over all processes, so all of them detect this in the same step,
        # before any weight is changed.
        raise TrainingError(
            f"step {state.step}: the loss is {total.item()} and the gradient norm {norm} on crops "
            f"{batch.indices[0]} to {batch.indices[-1]} of seed {recipe.seed}; restart with a "
            f"lower optimiser.learning_rate or with optimiser.clip_norm, or resume with them from "
            f"the last checkpoint, if it is older than the growth of the losses (log.jsonl)"
        )
    optimiser.step()
    optimiser.zero_grad()
    return norm
