"""The optimiser of a network: Adam, AdamW or Muon."""

from __future__ import annotations

import torch
from torch import nn

from derain.train.muon import Muon
from derain.train.recipe import Optimiser


def make_optimiser(network: nn.Module, optimiser: Optimiser) -> torch.optim.Optimizer:
    """Return Adam, AdamW or Muon. Biases, position biases and norms do not decay."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "muon": Muon}[optimiser.name]
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in network.named_parameters():
        groups[parameter.ndim > 1 and not name.endswith("position_bias")].append(parameter)
    settings = [
        {
            "params": parameters,
            "matrices": are_matrices,
            "weight_decay": optimiser.weight_decay * are_matrices,
        }
        for are_matrices, parameters in groups.items()
    ]
    return kind(
        settings, lr=optimiser.learning_rate, betas=(optimiser.betas[0], optimiser.betas[1])
    )
