"""Inspection of every file of a data set, by several processes: damage, alignment, background."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from derain.data.alignment import misalignment
from derain.data.duplicates.fingerprints import (
    MAX_SIDE_PX,
    Fingerprint,
    comparison_image,
    fingerprint,
)
from derain.data.pairs.pair import Pair, decode, read
from derain.data.pairs.pair_set import PairSet, Problem, sample_pairs
from derain.data.psnr import psnr_db
from derain.environment import available_cores
from derain.errors import DataError

Progress = Callable[[int, int], None]
"""Called with the number of inspected pairs and the number of all pairs."""

CHUNK = 8
"""Pairs that are sent to a process at a time."""
MAX_PROCESSES = 61
"""Windows waits for no more at once."""


@dataclass(frozen=True)
class InspectionTask:
    """A pair and what to determine about it."""

    pair: Pair
    measured: bool
    """True for PSNR and alignment too, which need both pictures at full size."""
    fingerprinted: bool
    """True for the background of the clean picture; set for one pair per clean picture."""


@dataclass(frozen=True)
class Inspection:
    """The outcome of an `InspectionTask`."""

    psnr_db: float | None = None
    problem: Problem | None = None
    fingerprint: Fingerprint | None = None


def inspection_tasks(pair_set: PairSet, *, measured: int) -> list[InspectionTask]:
    """Return one task for each pair. At most `measured` of them, a random sample, are measured."""
    pairs = pair_set.pairs
    sampled = {pair.name for pair in sample_pairs(pairs, measured)} if measured else set()
    tasks: list[InspectionTask] = []
    seen: set[Path] = set()
    for pair in pairs:
        tasks.append(InspectionTask(pair, pair.name in sampled, pair.clean_path not in seen))
        seen.add(pair.clean_path)
    return tasks


def inspect_pairs(
    tasks: Sequence[InspectionTask],
    *,
    processes: int | None = None,
    progress: Progress | None = None,
) -> list[Inspection]:
    """Run the tasks in `processes` processes (None: one for each core); returns them in order.

    Raises DataError if a process is killed.
    """
    processes = min(processes or available_cores(), 1 + len(tasks) // CHUNK, MAX_PROCESSES)
    inspections: list[Inspection] = []

    def collect(inspection: Inspection) -> None:
        inspections.append(inspection)
        if progress is not None:
            progress(len(inspections), len(tasks))

    if processes == 1:
        for task in tasks:
            collect(_inspect(task))
    else:
        try:
            with ProcessPoolExecutor(processes) as pool:
                for inspection in pool.map(_inspect, tasks, chunksize=CHUNK):
                    collect(inspection)
        except BrokenProcessPool as error:
            raise DataError(
                "a process that inspects pictures was killed, as by a full memory; use fewer --jobs"
            ) from error
    return inspections


def clean_comparison_image(pair: Pair) -> Image.Image:
    """Return the clean picture of a pair as backgrounds are compared. Raises DataError.

    A large JPEG is decoded at a fraction of its size.
    """
    try:
        with Image.open(pair.clean_path) as file:
            if file.format == "JPEG":
                file.draft("L", (MAX_SIDE_PX, MAX_SIDE_PX))
                return comparison_image(_clean_part(file, pair))
        decoded = Image.fromarray(decode(pair.clean_path, grey=True))
        return comparison_image(_clean_part(decoded, pair))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{pair.clean_path}: cannot be decoded ({error}); "
            "replace it or remove its pair from the data set"
        ) from error


def _clean_part(image: Image.Image, pair: Pair) -> Image.Image:
    """Return the clean picture from the picture in the file, which may be downscaled."""
    if pair.clean_side is None:
        return image
    middle = image.width // 2
    left, right = (0, middle) if pair.clean_side == "left" else (middle, 2 * middle)
    return image.crop((left, 0, right, image.height))


def _inspect(task: InspectionTask) -> Inspection:
    pair = task.pair
    try:
        background = fingerprint(clean_comparison_image(pair)) if task.fingerprinted else None
    except DataError as error:
        return Inspection(problem=_as_problem(pair, error))
    try:
        decibels, reason = _measure(pair) if task.measured else (None, None)
        if not task.measured and pair.clean_side is None:
            read(pair.rainy_path)
    except DataError as error:
        return Inspection(problem=_as_problem(pair, error), fingerprint=background)
    return Inspection(decibels, Problem(pair.rainy_path, reason) if reason else None, background)


def _as_problem(pair: Pair, error: DataError) -> Problem:
    """Turn `PATH: reason` into a problem of that file of the pair."""
    text = str(error)
    path = pair.clean_path if text.startswith(f"{pair.clean_path}: ") else pair.rainy_path
    return Problem(path, text.removeprefix(f"{path}: "))


def _measure(pair: Pair) -> tuple[float | None, str | None]:
    """Return the PSNR of a pair and what is wrong with it."""
    rainy, clean = pair.load()
    decibels = psnr_db(rainy, clean)
    if decibels == math.inf:
        return None, "equals its clean picture, pixel for pixel"
    return decibels, misalignment(rainy, clean)
