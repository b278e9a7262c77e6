"""Initial weights with which eight stages neither overflow nor stall (docs/network.md)."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def scale_init(layer: nn.Conv2d | nn.Linear, factor: float = 0.1) -> None:
    """Scale the last layer of a residual branch, so that the block starts near the identity."""
    layer.weight.mul_(factor)
    if layer.bias is not None:
        layer.bias.mul_(factor)


@torch.no_grad()
def zero_init(layer: nn.Conv2d | nn.Linear) -> None:
    """Set a layer to zero, so that the modulation it belongs to starts as the identity."""
    layer.weight.zero_()
    if layer.bias is not None:
        layer.bias.zero_()
