"""What is minimised: the generator's side of equation (9)."""

from __future__ import annotations

from torch import Tensor

from derain.network.generator import Hierarchy
from derain.train.losses import absolute_loss, hierarchical_loss, pixel_loss
from derain.train.recipe import Loss


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
