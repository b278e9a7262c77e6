"""Restores whole validation pictures during a run and scores them with protocol `paper`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from derain.data.clips import aligned_neighbours, neighbour_indices
from derain.data.pairs.folder import select_pairs
from derain.data.pairs.pair import Image8, Pair
from derain.data.pairs.pair_set import Problem
from derain.errors import TrainingError
from derain.evaluate.protocols import PROTOCOLS, score
from derain.inference.dtypes import to_unit_range
from derain.inference.tile_plan import plan_tiles
from derain.inference.tiling import restore_tiled
from derain.network import PLNLIN
from derain.train.recipe import Validation

TILE_PX = 1008
MEAN = "mean"
"""Key of the mean over the folders, beside their names."""


def validation_pairs(
    validation: Validation,
) -> tuple[list[tuple[str, Pair]], dict[str, list[Problem]]]:
    """Return (folder's name, pair) for every validation pair, and the unpaired files by folder.

    Raises DataError if no pair of a folder is left.
    """
    names = distinct_suffixes([folder.folder for folder in validation.pairs])
    sets = [select_pairs(folder) for folder in validation.pairs]
    by_name = list(zip(names, sets, strict=True))
    pairs = [(name, pair) for name, pair_set in by_name for pair in pair_set.pairs]
    return pairs, {name: pair_set.problems for name, pair_set in by_name}


def clip_names(validation: Validation) -> set[str]:
    """Return the names of the folders, as in `validation_pairs`, that hold frames of clips."""
    names = distinct_suffixes([folder.folder for folder in validation.pairs])
    return {name for name, folder in zip(names, validation.pairs, strict=True) if folder.clip}


def distinct_suffixes(folders: Sequence[str]) -> list[str]:
    """Return the shortest ends of the paths that distinguish them.

    These are `test` and `train`, or `Rain200H/test` and `Rain200L/test`.
    """
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
    clips: Collection[str] = (),
    is_aligned: bool = True,
    rank: int = 0,
    world_size: int = 1,
) -> torch.Tensor:
    """Return (pairs, 2): PSNR in dB and SSIM of each pair, in float32.

    `clips` are the folders whose pairs are frames of clips; a network for clips sees their
    neighbours, and elsewhere the same picture three times. Pairs of other processes are zero.
    Pictures with a side above 1008 px are restored in tiles,
    as by the restorer: restored whole, eight megapixels would take 14 GB. Raises TrainingError
    for a network that returns non-finite values.
    """

    def restore(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        restored: NDArray[np.float32] = (
            network(torch.from_numpy(batch).to(device)).float().cpu().numpy()
        )
        if not np.isfinite(restored).all():
            raise TrainingError(
                "validation: the network returns non-finite values; "
                "start a new run with a lower learning rate"
            )
        return restored

    scores = torch.zeros(len(pairs), 2, dtype=torch.float64)
    multiple_px = network.configuration.multiple_px
    sees_neighbours = network.configuration.frames > 1
    places = neighbour_places(pairs, clips) if sees_neighbours else {}
    network.eval()
    for i in range(rank, len(pairs), world_size):
        rainy, clean = pairs[i][1].load()
        neighbours: tuple[Image8, Image8] | tuple[()] = ()
        if i in places:
            neighbours = load_neighbours(pairs, i, places[i], is_aligned=is_aligned)
        elif sees_neighbours:
            neighbours = rainy, rainy
        plan = plan_tiles(rainy.shape[:2], tile_px=TILE_PX, multiple_px=multiple_px)
        restored = restore_tiled(
            to_unit_range(rainy),
            network=restore,
            plan=plan,
            neighbours=tuple(map(to_unit_range, neighbours)),  # type: ignore[arg-type]  # 0 or 2
        )
        # the protocol clips, too
        result = score(PROTOCOLS["paper"], np.clip(restored, 0, 1), clean)
        scores[i] = torch.tensor([result.psnr, result.ssim])
    network.train()
    return scores


def neighbour_places(
    pairs: Sequence[tuple[str, Pair]], clips: Collection[str]
) -> dict[int, tuple[int, int]]:
    """Return the indices of the pairs before and after each pair of the folders `clips`."""
    members: dict[str, list[int]] = {}
    for index, (folder, _) in enumerate(pairs):
        if folder in clips:
            members.setdefault(folder, []).append(index)
    return {
        index: (indices[before], indices[after])
        for indices in members.values()
        for index, (before, after) in zip(
            indices, neighbour_indices([pairs[index][1] for index in indices]), strict=True
        )
    }


def load_neighbours(
    pairs: Sequence[tuple[str, Pair]], index: int, places: tuple[int, int], *, is_aligned: bool
) -> tuple[Image8, Image8]:
    """Return the rainy frames of the pairs at `places`, aligned with that at `index` if asked to.

    A pair without a neighbour is its own.
    """
    frames = {place: pairs[place][1].load()[0] for place in {index, *places}}
    return aligned_neighbours(frames, index, places, is_aligned=is_aligned)


def mean_scores(pairs: list[tuple[str, Pair]], scores: torch.Tensor) -> dict[str, list[float]]:
    """Return mean PSNR and SSIM of each folder, and the mean over the folders under MEAN."""
    means = {}
    for folder in dict.fromkeys(name for name, _ in pairs):
        means[folder] = scores[[i for i, (name, _) in enumerate(pairs) if name == folder]].mean(0)
    means[MEAN] = torch.stack(list(means.values())).mean(dim=0)
    return {name: [round(float(v), 4) for v in value] for name, value in means.items()}
