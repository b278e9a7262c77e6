"""Checks of data sets: contents, problems, and shared backgrounds. `check([training, test])`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from derain.data.duplicates.matches import connected_groups, find_matches
from derain.data.inspection import (
    Inspection,
    InspectionTask,
    Progress,
    clean_comparison_image,
    inspect_pairs,
    inspection_tasks,
)
from derain.data.pairs.find import find_pairs
from derain.data.pairs.pair_set import PairSet, Problem
from derain.data.pairs.rain_free import RAIN_FREE, find_rain_free
from derain.errors import DataError


@dataclass(frozen=True)
class FolderCheck:
    """The contents of one folder."""

    pair_set: PairSet
    problems: list[Problem]
    """Those of `pair_set`, then undecodable files and measured pairs that are not aligned."""
    sizes: dict[str, int]
    """Number of pairs by size, such as `481x321`, the most frequent first."""
    formats: dict[str, int]
    """Number of pairs by format, such as `png`, the most frequent first."""
    input_psnr_db: float | None
    """Mean PSNR (RGB) of rainy against clean pictures over the measured pairs; None without any.
    Pairs of equal pictures are problems and do not count."""
    measured: int
    """Number of pairs in that mean."""
    backgrounds: int
    """Number of different backgrounds among the clean pictures that can be decoded."""
    duplicates: list[list[Path]]
    """Groups of two or more clean pictures of this folder that show the same background."""
    shared: int
    """Number of clean pictures whose background is also in another folder."""


@dataclass(frozen=True)
class Check:
    """The contents of several folders, and the backgrounds that they share."""

    folders: list[FolderCheck]
    shared: list[list[Path]]
    """Groups of clean pictures of one background, from two or more folders."""

    @property
    def is_sound(self) -> bool:
        """True if no folder has a problem and no background is in two folders."""
        return not self.shared and not any(folder.problems for folder in self.folders)


@dataclass(frozen=True)
class _Inspected:
    """The inspection of one pair, and the index of its folder."""

    folder: int
    task: InspectionTask
    inspection: Inspection


_Group = list[_Inspected]
"""Pairs with the same background."""


def check(
    folders: Sequence[str | os.PathLike[str]],
    *,
    rain_free: Sequence[str | os.PathLike[str]] = (),
    layout: str | None = None,
    measured: int = 200,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Check:
    """Decode every picture in `folders` and compare all their backgrounds with each other.

    `rain_free` are folders of clean pictures without rainy ones; subfolders are not searched.
    PSNR and alignment are measured on at most `measured` pairs of each folder;
    `progress(done, total)` is called after each pair. Raises DataError where `find_pairs` and
    `find_rain_free` do, and for a folder that is given twice.
    """
    sets = [
        *(find_pairs(folder, layout=layout) for folder in folders),
        *map(find_rain_free, rain_free),
    ]
    count = Counter(pair_set.origin.resolve() for pair_set in sets)
    if repeated := [path for path, times in count.items() if times > 1]:
        raise DataError(f"{repeated[0]}: given twice; name each data set once")
    tasks = [
        (index, task)
        for index, pair_set in enumerate(sets)
        for task in inspection_tasks(
            pair_set, measured=0 if pair_set.layout == RAIN_FREE else measured
        )
    ]
    inspections = inspect_pairs([task for _, task in tasks], processes=processes, progress=progress)
    inspected = [
        _Inspected(index, task, inspection)
        for (index, task), inspection in zip(tasks, inspections, strict=True)
    ]
    groups = _same_background(inspected)
    shared = [group for group in groups if len({pair.folder for pair in group}) > 1]
    checks = [
        _summarise(
            pair_set,
            [pair for pair in inspected if pair.folder == index],
            groups=[inside for group in groups if (inside := _of_folder(index, group))],
            shared=sum(len(_of_folder(index, group)) for group in shared),
        )
        for index, pair_set in enumerate(sets)
    ]
    return Check(checks, [_clean_paths(group) for group in shared])


def _same_background(inspected: Sequence[_Inspected]) -> list[_Group]:
    """Return groups of two or more pairs that show the same background."""
    fingerprints, pairs = [], []
    for pair in inspected:
        if pair.inspection.fingerprint is not None:
            fingerprints.append(pair.inspection.fingerprint)
            pairs.append(pair)
    matches = find_matches(
        fingerprints, lambda index: clean_comparison_image(pairs[index].task.pair)
    )
    return [[pairs[index] for index in group] for group in connected_groups(len(pairs), matches)]


def _of_folder(folder: int, group: _Group) -> _Group:
    return [pair for pair in group if pair.folder == folder]


def _clean_paths(group: _Group) -> list[Path]:
    return [pair.task.pair.clean_path for pair in group]


def _summarise(
    pair_set: PairSet, inspected: Sequence[_Inspected], *, groups: Sequence[_Group], shared: int
) -> FolderCheck:
    """Summarise one folder; `groups` are the members in this folder of each background."""
    inspections = [pair.inspection for pair in inspected]
    psnrs = [item.psnr_db for item in inspections if item.psnr_db is not None]
    fingerprinted = sum(item.fingerprint is not None for item in inspections)
    return FolderCheck(
        pair_set=pair_set,
        problems=[*pair_set.problems, *(item.problem for item in inspections if item.problem)],
        sizes=_count("x".join(map(str, pair.size_px)) for pair in pair_set.pairs),
        formats=_count(pair.rainy_path.suffix.lower().removeprefix(".") for pair in pair_set.pairs),
        input_psnr_db=float(np.mean(psnrs)) if psnrs else None,
        measured=len(psnrs),
        backgrounds=fingerprinted - sum(len(group) - 1 for group in groups),
        duplicates=[_clean_paths(group) for group in groups if len(group) > 1],
        shared=shared,
    )


def _count(values: Iterable[str]) -> dict[str, int]:
    """Count values, the most frequent first."""
    return dict(Counter(values).most_common())
