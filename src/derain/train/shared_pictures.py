"""Pictures that are used for both training and validation, so that scores are not meaningful.

Files are compared, links followed, not pixels: a crop in another file is not found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from derain.data.pairs.pair import Pair


def shared_names(pairs: Sequence[Pair], validated: Sequence[tuple[str, Pair]]) -> list[str]:
    """Return the names of the `pairs` that share a file with a validation pair."""
    paths = _files(pair for _, pair in validated)
    return [pair.name for pair in pairs if not paths.isdisjoint(_files([pair]))]


def shared_background_warnings(
    trained: Mapping[str, Sequence[Path]], validated: Sequence[tuple[str, Pair]]
) -> list[str]:
    """Return a warning for each key of `trained` that names sides of validation pairs."""
    paths = _files(pair for _, pair in validated)
    return [
        f"{key}: {len(shared)} of {len(pictures)} are used for both training and "
        f"validation, the first: {shared[0]}"
        for key, pictures in trained.items()
        if (shared := [path for path in pictures if path.resolve() in paths])
    ]


def shared_pair_warnings(
    trained: Sequence[tuple[str, Sequence[Pair]]], validated: Sequence[tuple[str, Pair]]
) -> list[str]:
    """Return a warning for each training folder, (name, pairs), that holds validation pairs."""
    return [
        f"{folder}: {len(shared)} of its {len(pairs)} pairs are used for both training and "
        f"validation, the first: {shared[0]}"
        for folder, pairs in trained
        if (shared := shared_names(pairs, validated))
    ]


def _files(pairs: Iterable[Pair]) -> set[Path]:
    """Return the files of pairs, links followed: one file for a pair that shares one."""
    return {path.resolve() for pair in pairs for path in (pair.rainy_path, pair.clean_path)}
