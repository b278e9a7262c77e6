"""What is in data sets, what is wrong with them, and which backgrounds they share: `check([training, test])`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from derain.data.duplicates.matches import find_matches, groups
from derain.data.inspection import (
    Inspection,
    InspectionTask,
    Progress,
    inspect_pairs,
    inspection_tasks,
    working_clean,
)
from derain.data.pairs.find import PairSet, Problem, find_pairs
from derain.errors import DataError


@dataclass(frozen=True)
class FolderCheck:
    """What one folder holds."""

    found: PairSet
    problems: list[Problem]
    """Those of `found`, then files that cannot be decoded and measured pairs that are not aligned."""
    sizes: dict[str, int]
    """Pairs of each size, `481x321`, the most frequent first."""
    formats: dict[str, int]
    """Pairs of each kind of file, `png`, the most frequent first."""
    input_psnr_db: float | None
    """Mean PSNR (RGB) of the rainy pictures against the clean ones, over `measured` pairs; None if none was.
    Pairs of two equal pictures are problems and not measured."""
    measured: int
    backgrounds: int
    """Different ones, among the clean pictures that can be decoded."""
    duplicates: list[list[Path]]
    """Clean pictures of this folder that show the same background, two and more each."""
    shared: int
    """Clean pictures whose background another folder has too."""


@dataclass(frozen=True)
class Check:
    """What several folders hold, and what they have in common."""

    folders: list[FolderCheck]
    shared: list[list[Path]]
    """Clean pictures of one background that lie in two folders or more."""

    @property
    def is_sound(self) -> bool:
        """Has no folder a problem, and do no two share a background?"""
        return not self.shared and not any(folder.problems for folder in self.folders)


@dataclass(frozen=True)
class _Seen:
    """What was found out about one pair, and the place of its folder."""

    folder: int
    job: InspectionTask
    look: Inspection


def check(
    folders: Sequence[str | os.PathLike[str]],
    *,
    layout: str | None = None,
    measured: int = 200,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Check:
    """Decode every picture in `folders`, and compare all their backgrounds with one another.

    PSNR and alignment are taken on at most `measured` pairs of each folder; `progress(done, all)` is called as pairs are done.
    Raises DataError where find_pairs does, and for a folder that is given twice.
    """
    sets = [find_pairs(folder, layout=layout) for folder in folders]
    if twice := [
        path
        for path, count in Counter(found.origin.resolve() for found in sets).items()
        if count > 1
    ]:
        raise DataError(f"{twice[0]}: is given twice; name each data set once")
    jobs = [
        (index, job)
        for index, found in enumerate(sets)
        for job in inspection_tasks(found, measured=measured)
    ]
    looks = inspect_pairs([job for _, job in jobs], processes=processes, progress=progress)
    seen = [_Seen(index, job, look) for (index, job), look in zip(jobs, looks, strict=True)]
    alike = _alike(seen)
    shared = [group for group in alike if len({one.folder for one in group}) > 1]
    checks = []
    for index, found in enumerate(sets):
        here = [one for one in seen if one.folder == index]
        checks.append(
            _summary(
                found,
                here,
                alike=[own for group in alike if (own := _inside(index, group))],
                shared=shared,
            )
        )
    return Check(checks, [_paths(group) for group in shared])


def _alike(seen: Sequence[_Seen]) -> list[list[_Seen]]:
    """Groups of two and more that show one background."""
    known = [(one, print_) for one in seen if (print_ := one.look.fingerprint) is not None]
    overlaps = find_matches(
        [print_ for _, print_ in known], lambda index: working_clean(known[index][0].job.pair)
    )
    return [[known[index][0] for index in group] for group in groups(len(known), overlaps)]


def _inside(folder: int, group: Sequence[_Seen]) -> list[_Seen]:
    return [one for one in group if one.folder == folder]


def _paths(group: Sequence[_Seen]) -> list[Path]:
    return [one.job.pair.clean_path for one in group]


def _summary(
    found: PairSet,
    seen: Sequence[_Seen],
    *,
    alike: Sequence[Sequence[_Seen]],
    shared: Sequence[Sequence[_Seen]],
) -> FolderCheck:
    """`alike` has the groups' members in this folder, `shared` whole groups that other folders are in too."""
    psnrs = [one.look.psnr_db for one in seen if one.look.psnr_db is not None]
    fingerprinted = sum(one.look.fingerprint is not None for one in seen)
    folder = seen[0].folder
    return FolderCheck(
        found=found,
        problems=[
            *found.problems,
            *(one.look.problem for one in seen if one.look.problem is not None),
        ],
        sizes=_counted("x".join(map(str, pair.size_px)) for pair in found.pairs),
        formats=_counted(pair.rainy_path.suffix.lower().removeprefix(".") for pair in found.pairs),
        input_psnr_db=float(np.mean(psnrs)) if psnrs else None,
        measured=len(psnrs),
        backgrounds=fingerprinted - sum(len(group) - 1 for group in alike),
        duplicates=[_paths(group) for group in alike if len(group) > 1],
        shared=sum(len(_inside(folder, group)) for group in shared),
    )


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
