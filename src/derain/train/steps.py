"""One update of the generator and one of the discriminator: equations (8) to (12), to be read beside the paper."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from derain.network.generator import Hierarchy
from derain.train.adversarial import adversarial_loss, discriminator_terms, generator_terms
from derain.train.losses import absolute_loss, hierarchical_loss, pixel_loss
from derain.train.recipe import Loss


@dataclass(frozen=True)
class Sides:
    """What the discriminator compares: a picture and the generator's features on each side, none of them with a gradient."""

    restored: Tensor
    """Y: (N, 3, H, W), and below F_H of the rainy picture."""
    restored_features: list[Tensor]
    clean: Tensor
    """Z: (N, 3, H, W), and below F_H of the clean picture: rain-free features come from the generator fed with it."""
    clean_features: list[Tensor]


def restoration_loss(made: Hierarchy, clean: Tensor, loss: Loss) -> tuple[Tensor, dict[str, Tensor]]:
    """Equation (9) without its adversarial term: the sum, with gradient, and its parts by name, without.

    `made` is what the generator made of the rainy crops; `clean` is (N, 3, H, W).
    """
    terms = {
        "pixel": loss.pixel * pixel_loss(made.restored, clean),
        "hierarchical": loss.alpha * hierarchical_loss(made.scales, clean, loss.levels),
    }
    if loss.absolute:
        terms["absolute"] = loss.absolute * absolute_loss(made.restored, clean)
    return sum(terms.values(), clean.new_zeros(())), {name: term.detach() for name, term in terms.items()}


def rain_free_features(generator: nn.Module, clean: Tensor) -> list[Tensor]:
    """F_H of the clean picture, without gradient."""
    with torch.no_grad():
        features: list[Tensor] = generator.hierarchy(clean).features  # type: ignore[operator]
    return features


def adversarial_part(
    discriminator: nn.Module, made: Hierarchy, clean: Tensor, clean_features: list[Tensor], loss: Loss
) -> tuple[Tensor, dict[str, Tensor]]:
    """The adversarial term of equation (9), beta times equation (12), and equation (8) at each side layer by name.

    The discriminator is held still: the gradient goes through it to the generator, and none stays in it.
    """
    with held_still(discriminator):
        with torch.no_grad():
            real = discriminator(clean, clean_features)
        fake = discriminator(made.restored, made.features)
    terms = generator_terms(fake, real)
    total = loss.beta * adversarial_loss(terms, loss.layers)
    return total, {"adversarial": total.detach()} | {f"side_{k}": term.detach() for k, term in enumerate(terms, 1)}


def discriminator_loss(discriminator: nn.Module, sides: Sides, loss: Loss) -> Tensor:
    """Equation (12) with the mirror image of equation (8), with a gradient for the discriminator alone."""
    pictures = torch.cat([sides.restored, sides.clean])  # one pass for both sides: there is no batch norm to mix them
    features = [torch.cat(both) for both in zip(sides.restored_features, sides.clean_features, strict=True)]
    fake, real = zip(*(scores.chunk(2) for scores in discriminator(pictures, features)), strict=True)
    return adversarial_loss(discriminator_terms(fake, real), loss.layers)


@contextmanager
def held_still(network: nn.Module) -> Iterator[None]:
    """No parameter of `network` collects a gradient inside."""
    trained = [p for p in network.parameters() if p.requires_grad]
    for p in trained:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)
