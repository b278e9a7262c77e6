"""An exponential moving average of the weights: what is validated and shipped."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class WeightAverage:
    """Follows the parameters of `network` with `decay`; early on with less, so that the start is soon forgotten."""

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.values = [p.detach().clone() for p in network.parameters()]

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take one step towards the present parameters."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.values, [p.detach() for p in network.parameters()], 1 - decay)

    @torch.no_grad()
    def swap(self, network: nn.Module) -> None:
        """Exchange the averaged and the present parameters; called twice, nothing has changed."""
        for average, parameter in zip(self.values, network.parameters(), strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        """The average and the number of updates."""
        return {"updates": self.updates, "values": self.values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.updates = int(state["updates"])
        torch._foreach_copy_(self.values, list(state["values"]))
