"""Every file of a set decoded once, by several processes: is it whole, is its pair aligned, what is its background?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from derain.data.alignment import misalignment
from derain.data.duplicates.fingerprints import LONGEST_PX, Fingerprint, fingerprint, working
from derain.data.pairs.find import Image8, Pair, PairSet, Problem, sample
from derain.data.pairs.pair import decode, read
from derain.environment import available_cores
from derain.errors import DataError

Progress = Callable[[int, int], None]

CHUNK = 8  # pairs for a process at a time


@dataclass(frozen=True)
class InspectionTask:
    """What to find out about a pair."""

    pair: Pair
    measured: bool
    """PSNR and alignment too, which takes both pictures in full."""
    fingerprinted: bool
    """The clean picture's background; of many pairs with one clean picture, the first only."""


@dataclass(frozen=True)
class Inspection:
    """What was found out."""

    psnr_db: float | None = None
    problem: Problem | None = None
    fingerprint: Fingerprint | None = None


def inspection_tasks(found: PairSet, *, measured: int) -> list[InspectionTask]:
    """One job for each pair; at most `measured` of them, spread over the set, are measured."""
    chosen = {pair.name for pair in sample(found.pairs, measured)} if measured else set()
    jobs: list[InspectionTask] = []
    known: set[Path] = set()
    for pair in found.pairs:
        jobs.append(InspectionTask(pair, pair.name in chosen, pair.clean_path not in known))
        known.add(pair.clean_path)
    return jobs


def inspect_pairs(
    jobs: Sequence[InspectionTask],
    *,
    processes: int | None = None,
    progress: Progress | None = None,
) -> list[Inspection]:
    """Do the jobs, in order, in `processes` processes (None: one for each processor)."""
    processes = min(processes or available_cores(), 1 + len(jobs) // CHUNK)
    looks: list[Inspection] = []

    def note(look: Inspection) -> None:
        looks.append(look)
        if progress is not None:
            progress(len(looks), len(jobs))

    if processes == 1:
        for job in jobs:
            note(_look(job))
    else:
        with ProcessPoolExecutor(processes) as pool:
            for look in pool.map(_look, jobs, chunksize=CHUNK):
                note(look)
    return looks


def working_clean(pair: Pair) -> Image.Image:
    """The working picture of a pair's clean side. A large JPEG is decoded at a fraction of its size. Raises DataError."""
    try:
        with Image.open(pair.clean_path) as file:
            if file.format == "JPEG":
                file.draft("L", (LONGEST_PX, LONGEST_PX))
                return working(_clean_part(file, pair))
        return working(_clean_part(Image.fromarray(decode(pair.clean_path, grey=True)), pair))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{pair.clean_path}: cannot be decoded ({error}); replace it or take its pair out of the set"
        ) from error


def _clean_part(image: Image.Image, pair: Pair) -> Image.Image:
    """The clean picture in what its file shows, at any scale."""
    if pair.clean_side is None:
        return image
    middle = image.width // 2
    return image.crop(
        (0, 0, middle, image.height)
        if pair.clean_side == "left"
        else (middle, 0, 2 * middle, image.height)
    )


def _look(job: InspectionTask) -> Inspection:
    try:
        background = fingerprint(working_clean(job.pair)) if job.fingerprinted else None
    except DataError as error:
        return Inspection(problem=_told(job.pair, error))
    try:
        psnr_db, fact = _measured(job.pair) if job.measured else (None, None)
        if not job.measured and job.pair.clean_side is None:
            read(job.pair.rainy_path)
        return Inspection(psnr_db, Problem(job.pair.rainy_path, fact) if fact else None, background)
    except DataError as error:
        return Inspection(problem=_told(job.pair, error), fingerprint=background)


def _told(pair: Pair, error: DataError) -> Problem:
    path = pair.clean_path if str(error).startswith(f"{pair.clean_path}: ") else pair.rainy_path
    return Problem(path, str(error).removeprefix(f"{path}: "))


def _measured(pair: Pair) -> tuple[float | None, str | None]:
    """PSNR, and what is wrong with the pair."""
    rainy, clean = pair.load()
    psnr_db = _psnr_db(rainy, clean)
    return psnr_db, "is its clean picture, pixel for pixel" if psnr_db is None else misalignment(
        rainy, clean
    )


def _psnr_db(rainy: Image8, clean: Image8) -> float | None:
    """RGB, over all pixels; None for equal pictures."""
    difference = rainy.astype(np.float32) - clean
    error = float(np.mean(np.square(difference), dtype=np.float64))
    return float(10 * np.log10(255**2 / error)) if error else None
