"""One update of the generator and one of the discriminator: equations (8) to (12), to be read beside the paper."""

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
    """What the discriminator compares: a picture and its content on each side."""

    restored: Tensor
    """Y: (N, 3, H, W), and below what belongs to it: F_H of the rainy picture."""
    restored_content: list[Tensor]
    clean: Tensor
    """Z: (N, 3, H, W), and below what belongs to it: F_H of the clean picture."""
    clean_content: list[Tensor]


def restoration_loss(
    made: GeneratorOutput, clean: Tensor, loss: Loss
) -> tuple[Tensor, dict[str, Tensor]]:
    """Equation (9) without its adversarial term: the sum, with gradient, and its parts by name, without.

    `made` is what the generator made of the rainy crops; `clean` is (N, 3, H, W).
    """
    terms = {"pixel": loss.pixel * pixel_loss(made.restored, clean)}
    if loss.alpha:
        terms["hierarchical"] = loss.alpha * hierarchical_loss(made.scales, clean, loss.levels)
    if loss.absolute:
        terms["absolute"] = loss.absolute * absolute_loss(made.restored, clean)
    if loss.psnr:
        terms["psnr"] = loss.psnr * psnr_loss(made.restored, clean)
    return sum(terms.values(), clean.new_zeros(())), {
        name: term.detach() for name, term in terms.items()
    }


def adversarial_objective(
    discriminator: nn.Module, sides: AdversarialInputs, loss: Loss, *, real_gradient: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """The adversarial term of equation (9), beta times equation (12), and equation (8) at each side layer by name.

    The real side is constant, unless `real_gradient` lets the gradient reach the content of the clean picture too.
    The discriminator is held still: the gradient goes through it to the generator, and none stays in it.
    """
    with frozen(discriminator):
        real = discriminator(sides.clean, sides.clean_content)
        fake = discriminator(sides.restored, sides.restored_content)
    terms = generator_terms(fake, real, real_gradient=real_gradient)
    names = range(
        1 + len(loss.layers) - len(terms), 1 + len(loss.layers)
    )  # judged at the last layer alone, it is the fourth
    total = loss.beta * adversarial_loss(terms, loss.layers[-len(terms) :])
    return total, {"adversarial": total.detach()} | {
        f"side_{k}": term.detach() for k, term in zip(names, terms, strict=True)
    }


def discriminator_loss(discriminator: nn.Module, sides: AdversarialInputs, loss: Loss) -> Tensor:
    """Equation (12) with the mirror image of equation (8), with a gradient for the discriminator alone."""
    pictures = torch.cat(
        [sides.restored, sides.clean]
    ).detach()  # one pass for both sides: there is no batch norm to mix them
    content = [
        torch.cat(both).detach()
        for both in zip(sides.restored_content, sides.clean_content, strict=True)
    ]
    fake, real = zip(*(scores.chunk(2) for scores in discriminator(pictures, content)), strict=True)
    terms = discriminator_terms(fake, real)
    return adversarial_loss(terms, loss.layers[-len(terms) :])


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No parameter of `network` collects a gradient inside."""
    trained = [p for p in network.parameters() if p.requires_grad]
    for p in trained:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)
