"""Folders of rain-free pictures without rainy ones, such as the backgrounds of a recipe."""

from __future__ import annotations

import os
from pathlib import Path

from derain.data.pairs.pair import Pair, checked_size
from derain.data.pairs.pair_set import PairSet, Problem
from derain.data.training_pictures import background_paths
from derain.errors import DataError

RAIN_FREE = "rain-free"
"""The `PairSet.layout` of these folders."""


def find_rain_free(folder: str | os.PathLike[str]) -> PairSet:
    """List the pictures directly in `folder`, each as a pair with itself.

    Reads file headers only; pictures that cannot be read become problems. Raises DataError for a
    missing folder, one that cannot be listed, and one without pictures.
    """
    result = PairSet(Path(folder), RAIN_FREE)
    for path in background_paths([Path(folder)]):
        _add(result, path)
    return result


def _add(result: PairSet, path: Path) -> None:
    try:
        result.pairs.append(Pair(path.name, path, path, checked_size(path)))
    except DataError as error:
        result.problems.append(Problem(path, str(error).removeprefix(f"{path}: ")))
