"""Restores whole validation pictures during a run and scores them with protocol `paper`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from derain.data.pairs import Pair
from derain.data.sources import chosen_pairs
from derain.evaluate.protocols import PROTOCOLS, score
from derain.train.recipe import Validation


def validation_pairs(validation: Validation) -> list[tuple[str, Pair]]:
    """(folder's name, pair) for every pair of the recipe. Raises DataError if nothing is left of a folder."""
    return [
        (Path(folder.folder).name, pair)
        for folder in validation.pairs
        for pair in chosen_pairs(folder.folder, exclude=folder.exclude, only=folder.only)
    ]


@torch.no_grad()
def validate(
    network: nn.Module, pairs: list[tuple[str, Pair]], *, device: torch.device, rank: int = 0, world: int = 1
) -> torch.Tensor:
    """(pairs, 2): PSNR in dB and SSIM of each pair, in float32; zero where another process has the pair."""
    scores = torch.zeros(len(pairs), 2, dtype=torch.float64)
    network.eval()
    for i in range(rank, len(pairs), world):
        rainy, clean = pairs[i][1].load()
        x = torch.from_numpy(rainy).to(device).permute(2, 0, 1)[None].float() / 255
        restored = network(x)[0].permute(1, 2, 0).float().cpu().numpy()
        result = score(PROTOCOLS["paper"], np.ascontiguousarray(restored), clean)
        scores[i] = torch.tensor([result.psnr, result.ssim])
    network.train()
    return scores


def summary(pairs: list[tuple[str, Pair]], scores: torch.Tensor) -> dict[str, list[float]]:
    """Mean PSNR and SSIM of each folder, and their mean over the folders under `mean`."""
    names = list(dict.fromkeys(name for name, _ in pairs))
    means = {name: scores[[i for i, (other, _) in enumerate(pairs) if other == name]].mean(dim=0) for name in names}
    means["mean"] = torch.stack(list(means.values())).mean(dim=0)
    return {name: [round(float(v), 4) for v in value] for name, value in means.items()}
