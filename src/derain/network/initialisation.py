"""How layers start, so that eight interacting stages neither overflow nor stall (docs/network.md)."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def scale_init(layer: nn.Conv2d | nn.Linear, factor: float = 0.1) -> None:
    """Scale the last layer of a residual branch, so that the block begins near the identity."""
    layer.weight.mul_(factor)
    if layer.bias is not None:
        layer.bias.mul_(factor)


@torch.no_grad()
def zero_init(layer: nn.Conv2d | nn.Linear) -> None:
    """Make the layer return zero, so that what it modulates begins as the identity."""
    layer.weight.zero_()
    if layer.bias is not None:
        layer.bias.zero_()
