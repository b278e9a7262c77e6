"""The objectives of both networks: equations (8) to (12), meant to be read beside the paper."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from derain.network.generator import GeneratorOutput
from derain.train.adversarial import adversarial_loss, discriminator_terms, generator_terms
from derain.train.losses import absolute_loss, hierarchical_loss, pixel_loss, psnr_loss
from derain.train.recipe import Loss


@dataclass(frozen=True)
class AdversarialInputs:
    """The two sides that the discriminator compares: a picture and its content on each."""

    restored: Tensor
    """Y: (N, 3, H, W)."""
    restored_content: list[Tensor]
    """Content of the restored picture: F_H of the rainy picture."""
    clean: Tensor
    """Z: (N, 3, H, W)."""
    clean_content: list[Tensor]
    """Content of the clean picture: F_H of the clean picture."""


def restoration_loss(
    output: GeneratorOutput, clean: Tensor, loss: Loss
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return equation (9) without its adversarial term: the sum with gradient, its terms without.

    `output` is the generator's for the rainy crops; `clean` is (N, 3, H, W).
    """
    terms = {"pixel": loss.pixel * pixel_loss(output.restored, clean)}
    if loss.alpha:
        hierarchical = hierarchical_loss(output.scales, clean, loss.level_weights)
        terms["hierarchical"] = loss.alpha * hierarchical
    if loss.absolute:
        terms["absolute"] = loss.absolute * absolute_loss(output.restored, clean)
    if loss.psnr:
        terms["psnr"] = loss.psnr * psnr_loss(output.restored, clean)
    total = sum(terms.values(), clean.new_zeros(()))
    return total, {name: term.detach() for name, term in terms.items()}


def adversarial_objective(
    discriminator: nn.Module, inputs: AdversarialInputs, loss: Loss, *, real_gradient: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the adversarial term of equation (9) with gradient, and its terms by name without.

    The term is beta times equation (12); its terms are equation (8) at each side layer. The real
    side is constant, unless `real_gradient` lets the gradient reach the content of the clean
    picture. The discriminator is frozen: gradients pass through it to the generator only.
    """
    with frozen(discriminator):
        real = discriminator(inputs.clean, inputs.clean_content)
        fake = discriminator(inputs.restored, inputs.restored_content)
    terms = generator_terms(fake, real, real_gradient=real_gradient)
    # a discriminator that judges only at the last layer has the fourth
    layers = range(1 + len(loss.layer_weights) - len(terms), 1 + len(loss.layer_weights))
    total = loss.beta * adversarial_loss(terms, loss.layer_weights[-len(terms) :])
    return total, {"adversarial": total.detach()} | {
        f"side_{layer}": term.detach() for layer, term in zip(layers, terms, strict=True)
    }


def discriminator_loss(discriminator: nn.Module, inputs: AdversarialInputs, loss: Loss) -> Tensor:
    """Return equation (12) with the mirror image of equation (8), for the discriminator only."""
    # one pass for both sides: there is no batch norm that would mix them
    pictures = torch.cat([inputs.restored, inputs.clean]).detach()
    content = [
        torch.cat(sides).detach()
        for sides in zip(inputs.restored_content, inputs.clean_content, strict=True)
    ]
    fake, real = zip(*(scores.chunk(2) for scores in discriminator(pictures, content)), strict=True)
    terms = discriminator_terms(fake, real)
    return adversarial_loss(terms, loss.layer_weights[-len(terms) :])


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Let no parameter of `network` collect a gradient inside the block."""
    trained = [p for p in network.parameters() if p.requires_grad]
    for p in trained:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)
