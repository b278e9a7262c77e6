"""Size and cost of a network, counted without computing anything."""

from __future__ import annotations

from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from derain.rivals.networks import build


@cache
def count_parameters(name: str) -> int:
    """Return the number of parameters of a rival."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(name).parameters())


def count_gmacs(name: str, *, height: int = 256, width: int = 256) -> float:
    """Return 10^9 multiply-accumulate operations of convolutions and matrix products.

    Element-wise operations, such as SPANet's scans, do not count.
    """
    with torch.device("meta"), torch.inference_mode():
        network, rainy = build(name).eval(), torch.empty(1, 3, height, width)
        with FlopCounterMode(display=False) as counter:
            network.restore(rainy)
    return float(counter.get_total_flops()) / 2e9
