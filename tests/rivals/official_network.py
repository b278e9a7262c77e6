"""An official network, whatever its library: parameter shapes, and a function that runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Restore = Callable[[nn.Module, Tensor], Tensor]
"""(network, rainy (1, 3, H, W), R, G, B in 0..1) -> restored in the same form."""


@dataclass(frozen=True)
class Official:
    """An official network: shapes of its parameters, and a function that runs it with weights."""

    shapes: dict[str, tuple[int, ...]]
    run: Callable[[dict[str, Tensor], Tensor], Tensor]
    """(parameters, rainy (1, 3, H, W), R, G, B in 0..1) -> restored in the same form."""


def of_module(network: nn.Module, restore: Restore, *, multiple_px: int = 1) -> Official:
    """Wrap a module of PyTorch; pictures are extended by reflection where it needs multiples.

    Only the first name of a shared parameter is listed. Constants are not listed.
    """
    statistics = {
        name: buffer
        for name, buffer in network.named_buffers()
        if name.endswith(("running_mean", "running_var"))
    }
    tensors = {**dict(network.named_parameters()), **statistics}

    def run(weights: dict[str, Tensor], rainy: Tensor) -> Tensor:
        # assigned, because some are views of one number
        result = network.load_state_dict(weights, strict=False, assign=True)
        assert not result.unexpected_keys
        with torch.inference_mode():
            return cropped(lambda x: restore(network.eval(), x), rainy, multiple_px=multiple_px)

    return Official({name: tuple(t.shape) for name, t in tensors.items()}, run)


def cropped(restore: Callable[[Tensor], Tensor], rainy: Tensor, *, multiple_px: int) -> Tensor:
    """Extend a picture to multiples by reflection, restore it, and crop the result."""
    height, width = rainy.shape[2:]
    extended = F.pad(rainy, (0, -width % multiple_px, 0, -height % multiple_px), mode="reflect")
    return restore(extended)[:, :, :height, :width]
