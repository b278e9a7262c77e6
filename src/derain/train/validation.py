"""Restores whole validation pictures during a run and scores them with protocol `paper`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from derain.data.pairs.find import Pair, Problem
from derain.data.pairs.folder import select_pairs
from derain.errors import TrainingError
from derain.evaluate.protocols import PROTOCOLS, score
from derain.inference.tile_plan import plan_tiles
from derain.inference.tiling import restore_tiled
from derain.network import PLNLIN
from derain.train.recipe import Validation

TILE_PX = 1008
MEAN = "mean"
"""Beside the names of folders, what their mean is called."""


def validation_pairs(
    validation: Validation,
) -> tuple[list[tuple[str, Pair]], dict[str, list[Problem]]]:
    """(folder's name, pair) for every pair of the recipe, and by folder the files that are in none.

    Raises DataError if nothing is left of a folder.
    """
    names = distinct_suffixes([folder.folder for folder in validation.pairs])
    sets = [select_pairs(folder) for folder in validation.pairs]
    pairs = [(name, pair) for name, found in zip(names, sets, strict=True) for pair in found.pairs]
    return pairs, {name: found.problems for name, found in zip(names, sets, strict=True)}


def shared_names(pairs: Sequence[Pair], others: Sequence[tuple[str, Pair]]) -> list[str]:
    """Names of those of `pairs` whose rainy or clean picture is that of a validation pair of `others` too, by their paths."""
    paths = {path for _, pair in others for path in files_of(pair)}
    return [pair.name for pair in pairs if files_of(pair) & paths]


def files_of(pair: Pair) -> set[Path]:
    """The files of a pair: one, if both sides are in it."""
    return {pair.rainy_path.resolve(), pair.clean_path.resolve()}


def shared_background_warnings(
    backgrounds: Sequence[Path], evaluated: Sequence[tuple[str, Pair]]
) -> list[str]:
    """A sentence, if there are some, on backgrounds that are a side of a validation pair."""
    paths = {path for _, pair in evaluated for path in files_of(pair)}
    both = [path for path in backgrounds if path.resolve() in paths]
    if not both:
        return []
    return [
        f"data.backgrounds: {len(both)} of {len(backgrounds)} are both trained and evaluated on, the first {both[0]}"
    ]


def shared_pair_warnings(
    trained: Sequence[tuple[str, Sequence[Pair]]], evaluated: Sequence[tuple[str, Pair]]
) -> list[str]:
    """A sentence for each training folder, (name, pairs), of which pairs are evaluated on too."""
    return [
        f"{folder}: {len(both)} of its {len(pairs)} pairs are both trained and evaluated on, the first {both[0]}"
        for folder, pairs in trained
        if (both := shared_names(pairs, evaluated))
    ]


def distinct_suffixes(folders: Sequence[str]) -> list[str]:
    """As much of the end of each path as tells them all apart: `test`, or `Rain200H/test` beside `Rain200L/test`."""
    parts = [Path(folder).parts for folder in folders]
    longest = max(map(len, parts), default=0)
    for depth in range(1, longest + 1):
        names = ["/".join(path[-depth:]) for path in parts]
        if len(set(names)) == len(set(parts)) and (MEAN not in names or depth == longest):
            return names
    return list(folders)


@torch.no_grad()
def validate(
    network: PLNLIN,
    pairs: list[tuple[str, Pair]],
    *,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
) -> torch.Tensor:
    """(pairs, 2): PSNR in dB and SSIM of each pair, in float32; zero where another process has the pair.

    Raises TrainingError for a network that gives numbers that are not finite. A picture above 1008 px a side is restored in
    tiles, as the restorer does: whole, eight megapixels would take 14 GB.
    """

    def restore(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        restored: NDArray[np.float32] = (
            network(torch.from_numpy(batch).to(device)).float().cpu().numpy()
        )
        if not np.isfinite(restored).all():
            raise TrainingError(
                "validation: the network gives numbers that are not finite; begin again with a lower learning rate"
            )
        return restored

    scores = torch.zeros(len(pairs), 2, dtype=torch.float64)
    multiple_px = network.configuration.multiple_px
    network.eval()
    for i in range(rank, len(pairs), world):
        rainy, clean = pairs[i][1].load()
        plan = plan_tiles(rainy.shape[:2], tile_px=TILE_PX, multiple_px=multiple_px)
        restored = restore_tiled(rainy.astype(np.float32) / 255, network=restore, plan=plan)
        result = score(
            PROTOCOLS["paper"], np.clip(restored, 0, 1), clean
        )  # as the protocol does, however far it is off
        scores[i] = torch.tensor([result.psnr, result.ssim])
    network.train()
    return scores


def mean_scores(pairs: list[tuple[str, Pair]], scores: torch.Tensor) -> dict[str, list[float]]:
    """Mean PSNR and SSIM of each folder, and their mean over the folders under MEAN."""
    names = list(dict.fromkeys(name for name, _ in pairs))
    means = {
        name: scores[[i for i, (other, _) in enumerate(pairs) if other == name]].mean(dim=0)
        for name in names
    }
    means[MEAN] = torch.stack(list(means.values())).mean(dim=0)
    return {name: [round(float(v), 4) for v in value] for name, value in means.items()}
