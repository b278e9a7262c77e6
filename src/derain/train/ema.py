"""An exponential moving average of the weights, which is validated and exported."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class WeightAverage:
    """The average of the parameters of `network` with `decay`.

    The decay is smaller in the first updates, so that the initial weights are soon forgotten.
    """

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.values = [p.detach().clone() for p in network.parameters()]

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average one step towards the current parameters."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.values, [p.detach() for p in network.parameters()], 1 - decay)

    @torch.no_grad()
    def swap(self, network: nn.Module) -> None:
        """Exchange the averaged and the current parameters. A second call restores both."""
        for average, parameter in zip(self.values, network.parameters(), strict=True):
            current = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(current)

    def state_dict(self) -> dict[str, Any]:
        """Return the average and the number of updates."""
        return {"updates": self.updates, "values": self.values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.updates = int(state["updates"])
        torch._foreach_copy_(self.values, list(state["values"]))
