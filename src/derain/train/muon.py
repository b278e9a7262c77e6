"""Muon: momentum whose matrices are orthogonalised before each step.

Jordan et al., 2024; Liu et al., arXiv 2502.16982.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic that drives singular values towards one (Jordan et al.)."""
ITERATIONS = 5
EPSILON = 1e-7
RMS = 0.2
"""Root mean square of an update's entries. AdamW's updates have about the same, so one learning
rate suits both (Liu et al., section 2.2)."""


class Muon(torch.optim.AdamW):
    """Muon for matrices and convolution kernels, AdamW for the rest.

    The rest are vectors, kernels with a picture's three channels on one side, and groups of
    parameters with `matrices` False, such as tables of position biases. A kernel (out, in, h, w)
    counts as the matrix (out, in * h * w). `torch.optim.Muon` supports neither kernels nor several
    matrices at once.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        momentum: float = 0.95,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, fused=True)
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient. The gradients of matrices are consumed."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in (group for group in self.param_groups if group.get("matrices", True)):
            by_shape = defaultdict(list)
            for parameter in filter(is_matrix, group["params"]):
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for matrices in by_shape.values():
                self.step_matrices(matrices, rate=group["lr"], decay=group["weight_decay"])
        super().step()
        return loss

    def step_matrices(self, matrices: Sequence[nn.Parameter], *, rate: float, decay: float) -> None:
        """Update parameters of one shape together. All of them must have a gradient."""
        gradients = [parameter.grad for parameter in matrices if parameter.grad is not None]
        for parameter in matrices:
            if not self.state[parameter]:
                # AdamW does not load a state without a step
                self.state[parameter].update(
                    momentum=torch.zeros_like(parameter), step=torch.zeros(())
                )
            parameter.grad = None
        momenta = [self.state[parameter]["momentum"] for parameter in matrices]
        torch._foreach_lerp_(momenta, gradients, 1 - self.momentum)
        directions = torch._foreach_lerp(gradients, momenta, self.momentum)  # Nesterov
        updates = orthogonal(torch.stack(directions).flatten(2))
        scale = rate * RMS * max(updates.shape[1:]) ** 0.5
        weights: tuple[Tensor, ...] = tuple(matrices)
        torch._foreach_mul_(weights, 1 - rate * decay)
        torch._foreach_sub_(weights, updates.view(-1, *matrices[0].shape).unbind(), alpha=scale)


def is_matrix(parameter: Tensor) -> bool:
    """True if Muon updates it: at least two dimensions, both above a picture's three channels."""
    return parameter.ndim > 1 and min(parameter.shape[:2]) > 3


def orthogonal(matrices: Tensor) -> Tensor:
    """Return matrices (N, R, C) with the same singular vectors and singular values of about one.

    Newton-Schulz iteration: five steps bring singular values above 1/300 of the norm to between
    0.68 and 1.2; smaller ones stay smaller.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + EPSILON)
    gram = x @ x.mT
    linear = a * torch.eye(gram.shape[1], dtype=x.dtype, device=x.device)
    factors = factor = torch.baddbmm(b * gram, gram, gram, alpha=c) + linear
    # x becomes factor x, and x x^T factor gram factor: the long side is multiplied only twice
    for _ in range(ITERATIONS - 1):
        gram = factor @ gram @ factor
        factor = torch.baddbmm(b * gram, gram, gram, alpha=c) + linear
        factors = factor @ factors
    x = factors @ x
    return x.mT if tall else x
