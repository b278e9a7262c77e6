"""The adversarial terms, relativistic and averaged, on logits.

Equations (8) and (12); Jolicoeur-Martineau, ICLR 2019. Y is fake: restored pictures with the
features that the generator computes for rainy ones. Z is real: clean pictures with the features
that it computes for clean ones. D_ra(P; Q) = sigmoid(D(P) - E[D(Q)]).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional as F


def expectation(scores: Tensor) -> Tensor:
    """Return E[D(.)], a scalar with gradient.

    The mean runs over positions and over the batch of all processes.
    """
    mean = scores.float().mean()
    if (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    ):
        return _Sum.apply(mean) / distributed.get_world_size()
    return mean


class _Sum(torch.autograd.Function):
    """The sum over all processes. Its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _sum_processes(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _sum_processes(gradient)


def _sum_processes(x: Tensor) -> Tensor:
    total = x.detach().clone()
    distributed.all_reduce(total)
    return total


def generator_terms(
    fake: Sequence[Tensor], real: Sequence[Tensor], *, real_gradient: bool = False
) -> list[Tensor]:
    """Return equation (8) at each side layer: -E_Z[log(1 - D_ra(Z; Y))] - E_Y[log D_ra(Y; Z)].

    `fake` and `real` are score maps (N, 1, H_l, W_l). `real` is constant, since it does not depend
    on the restored picture. With `real_gradient` it is not: it depends on the generator, whose
    features of the clean picture the discriminator sees.
    """
    real = real if real_gradient else [scores.detach() for scores in real]
    return [_relativistic(winning=y, losing=z) for y, z in zip(fake, real, strict=True)]


def discriminator_terms(fake: Sequence[Tensor], real: Sequence[Tensor]) -> list[Tensor]:
    """Return the mirror image of equation (8) at each side layer.

    -E_Z[log D_ra(Z; Y)] - E_Y[log(1 - D_ra(Y; Z))]
    """
    return [_relativistic(winning=z, losing=y) for y, z in zip(fake, real, strict=True)]


def _relativistic(*, winning: Tensor, losing: Tensor) -> Tensor:
    """Return a loss that is small if each side scores on its own side of the other's average."""
    # -log sigmoid(winning - E[losing])
    above = F.softplus(expectation(losing) - winning.float()).mean()
    # -log(1 - sigmoid(losing - E[winning]))
    below = F.softplus(losing.float() - expectation(winning)).mean()
    return above + below


def adversarial_loss(terms: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return equation (12): the weighted sum over the side layers."""
    return torch.stack([w * term for w, term in zip(weights, terms, strict=True)]).sum()
