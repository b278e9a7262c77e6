"""The adversarial terms, relativistic and averaged, on logits (equations 8 and 12; Jolicoeur-Martineau, ICLR 2019).

Y is fake: restored pictures with the features that the generator made of rainy ones. Z is real: clean pictures with the features
that it made of clean ones. D_ra(P; Q) = sigmoid(D(P) - E[D(Q)]).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional as F


def expectation(scores: Tensor) -> Tensor:
    """E[D(.)], a scalar: the mean over positions and over the batch of all processes, with its gradient."""
    mean = scores.float().mean()
    if (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    ):
        return _Sum.apply(mean) / distributed.get_world_size()
    return mean


class _Sum(torch.autograd.Function):
    """The sum over all processes, with the gradient that all of them have of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def _summed(x: Tensor) -> Tensor:
    total = x.detach().clone()
    distributed.all_reduce(total)
    return total


def generator_terms(
    fake: Sequence[Tensor], real: Sequence[Tensor], *, real_gradient: bool = False
) -> list[Tensor]:
    """Equation (8) at each side layer: -E_Z[log(1 - D_ra(Z; Y))] - E_Y[log D_ra(Y; Z)].

    `fake` and `real` are score maps (N, 1, H_l, W_l). `real` counts as constant, since it does not depend on what is restored,
    unless there is to be a `real_gradient`: it does depend on the generator, by whose features the clean picture is judged.
    """
    real = real if real_gradient else [scores.detach() for scores in real]
    return [_relativistic(winning=y, losing=z) for y, z in zip(fake, real, strict=True)]


def discriminator_terms(fake: Sequence[Tensor], real: Sequence[Tensor]) -> list[Tensor]:
    """The mirror image of equation (8) at each side layer: -E_Z[log D_ra(Z; Y)] - E_Y[log(1 - D_ra(Y; Z))]."""
    return [_relativistic(winning=z, losing=y) for y, z in zip(fake, real, strict=True)]


def _relativistic(*, winning: Tensor, losing: Tensor) -> Tensor:
    """Small where `winning` scores above the average of `losing`, and `losing` below that of `winning`."""
    above = F.softplus(
        expectation(losing) - winning.float()
    ).mean()  # -log sigmoid(winning - E[losing])
    below = F.softplus(
        losing.float() - expectation(winning)
    ).mean()  # -log(1 - sigmoid(losing - E[winning]))
    return above + below


def adversarial_loss(terms: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Equation (12): the weighted sum over the side layers."""
    return torch.stack([w * term for w, term in zip(weights, terms, strict=True)]).sum()
