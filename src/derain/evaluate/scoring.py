"""Scores every picture of a data set for every candidate: a restorer, or a folder that another program wrote.

A `Sample` is a scene with a clean picture, a `Candidate` makes a restored picture of it. What cannot be scored becomes a problem
that names the file; nothing is resized and nothing is left out in silence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from derain.data.alignment import ALIKE, likeness
from derain.data.pairs.find import PairSet
from derain.errors import DataError, DerainError
from derain.evaluate.metrics import Image, mae
from derain.evaluate.niqe import SMALLEST_PX, niqe
from derain.evaluate.protocols import PROTOCOLS, Protocol, Score, eight_bit, score

_NO_MEMORY = "there is not enough memory to score it; name the others with `--only`, or cut it up"
UNTOUCHED = "untouched"
"The first row of every table: the rainy picture itself."


@dataclass(frozen=True)
class Sample:
    """A picture. `load() -> (rainy, clean)`, (H, W, 3) uint8 or uint16, None for a side that is not there; raises DerainError."""

    name: str
    load: Callable[[], tuple[Image | None, Image | None]]
    scene: str = ""
    "What several samples have in common that are one background in different rain; its own name where there is none."


Candidate = Callable[[Sample, Image | None], Image | None]
"""(sample, rainy) -> restored (H, W, 3), float in 0..1 or an integer type over its whole range; None: it has none for this
sample. Raises DerainError."""


@dataclass(frozen=True)
class Result:
    """What one candidate reached on one picture: a score by protocol, and the mean absolute error in 8-bit RGB levels.

    Without a clean picture there are no scores, and `mae` is nan.
    """

    sample: str
    scores: dict[str, Score]
    mae: float
    niqe: float = math.nan
    "nan for a picture that is too small for it."
    scene: str = ""
    "That of the sample: what of chance is in the figures is in these, and not in each picture by itself."
    resembles_clean: bool = True
    "False for a picture that shows another scene: its name was misleading, or the network failed."


@dataclass(frozen=True)
class Row:
    """One candidate and all its results."""

    name: str
    results: list[Result] = field(default_factory=list)


@dataclass(frozen=True)
class Evaluation:
    """A data set, its rows (the untouched input first, if there is one) and everything that went wrong or was left over."""

    data: str
    protocols: list[str]
    "None where there are no clean pictures: photos are ranked by NIQE alone."
    rows: list[Row]
    problems: list[str] = field(default_factory=list)
    "Pictures that should have been scored and could not be."
    notes: list[str] = field(default_factory=list)
    "What was matched to what, and what was left over."
    was_interrupted: bool = False
    "By Ctrl-C: the pictures that had not been scored by then are in no row."


def score_candidates(
    data: str,
    samples: Iterable[Sample],
    candidates: Mapping[str, Candidate],
    *,
    protocols: Sequence[str] = tuple(PROTOCOLS),
    untouched: bool = True,
) -> Evaluation:
    """Score every candidate, and the untouched input, on every sample; one sample is in memory at a time.

    After Ctrl-C (KeyboardInterrupt) the figures are those of the samples that were scored by all, which is a problem of its own.
    """
    chosen = [PROTOCOLS[name] for name in protocols]
    everyone = {**({UNTOUCHED: _untouched} if untouched else {}), **candidates}
    rows = {name: Row(name) for name in everyone}
    problems: list[str] = []
    was_interrupted, done = False, 0
    try:
        for sample in samples:
            outcomes = _outcomes(sample, everyone, chosen)
            if isinstance(outcomes, str):
                problems.append(outcomes)
            else:
                for name, outcome in outcomes.items():
                    if isinstance(outcome, Result):
                        rows[name].results.append(outcome)
                    elif outcome:
                        problems.append(f"{name}, {sample.name}: {outcome}")
            done += 1
    except KeyboardInterrupt:
        was_interrupted = True
        problems.append(f"{data}: stopped after {done} pictures; the figures are of these alone")
    if untouched and not rows[UNTOUCHED].results:
        del rows[UNTOUCHED]
    notes = [*_notes_on_others(rows.values())]
    return Evaluation(
        data, list(protocols), list(rows.values()), problems, notes, was_interrupted=was_interrupted
    )


def model_candidate(restorer: Callable[[Image], Image]) -> Candidate:
    """Make a candidate of a callable such as `derain.Restorer`; it is given float32, so that what it returns is not rounded."""

    def restore(sample: Sample, rainy: Image | None) -> Image:
        if rainy is None:
            raise DataError("there is no rainy picture to restore; give the pairs with `--data`")
        return restorer(rainy.astype(np.float32) / np.float32(np.iinfo(rainy.dtype).max))

    return restore


def samples_of(pairs: PairSet) -> list[Sample]:
    """The samples of the pairs that `derain.data` found, with all their bits; alpha is dropped."""
    return [
        Sample(p.name, p.read, str(p.clean_path) if p.clean_side is None else p.name)
        for p in pairs.pairs
    ]


def join_names(names: Sequence[str], *, most: int = 10) -> str:
    """`a, b, c`, or the first of many and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _untouched(_: Sample, rainy: Image | None) -> Image | None:
    return rainy


def _notes_on_others(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        others = [result.sample for result in row.results if not result.resembles_clean]
        if others:
            names = join_names(others)
            yield f"{row.name}: {names} do not look like their clean pictures: are they of other scenes with the same names?"


def _outcomes(
    sample: Sample, candidates: Mapping[str, Candidate], protocols: Sequence[Protocol]
) -> dict[str, Result | str | None] | str:
    """What `_attempt` gives for each candidate, or in words why the sample cannot be scored at all."""
    try:
        rainy, clean = sample.load()
    except DerainError as error:
        return str(error)
    except MemoryError:
        return f"{sample.name}: {_NO_MEMORY}"
    return {
        name: _attempt(candidate, sample, rainy, clean, protocols)
        for name, candidate in candidates.items()
    }


def _attempt(
    candidate: Candidate,
    sample: Sample,
    rainy: Image | None,
    clean: Image | None,
    protocols: Sequence[Protocol],
) -> Result | str | None:
    """The result, or in words why there is none, or None where the candidate has nothing for this sample."""
    try:
        restored = candidate(sample, rainy)
        return None if restored is None else _result(sample, restored, clean, protocols)
    except DerainError as error:
        return str(error)
    except MemoryError:
        return _NO_MEMORY


def _result(
    sample: Sample, restored: Image, clean: Image | None, protocols: Sequence[Protocol]
) -> Result:
    height, width = restored.shape[:2]
    clean_height, clean_width = restored.shape[:2] if clean is None else clean.shape[:2]
    if (height, width) != (clean_height, clean_width):
        raise DataError(
            f"is {width}x{height} but its clean picture is {clean_width}x{clean_height}; "
            "derain does not resize what it scores: save it in full size, or crop the clean one in the same way"
        )
    if not np.all(np.isfinite(restored)):
        raise DataError(
            "holds values that are not numbers (NaN or infinity); the network diverged or the file is damaged"
        )
    restored = np.clip(restored, 0, 1) if restored.dtype.kind == "f" else restored
    naturalness = niqe(restored) if min(height, width) >= SMALLEST_PX else math.nan
    if clean is None:
        if math.isnan(naturalness):
            raise DataError(
                f"is {width}x{height}, smaller than the {SMALLEST_PX}x{SMALLEST_PX} of NIQE; leave it out"
            )
        return Result(sample.name, {}, math.nan, naturalness, sample.scene)
    smallest = max(protocol.smallest_px for protocol in protocols)
    if min(height, width) < smallest:
        raise DataError(
            f"is {width}x{height}, smaller than the {smallest}x{smallest} window of SSIM; leave it out"
        )
    scores = {protocol.name: score(protocol, restored, clean) for protocol in protocols}
    saved, target = eight_bit(restored), eight_bit(clean)
    alike = likeness(saved, target) >= ALIKE
    return Result(
        sample.name, scores, mae(saved, target), naturalness, sample.scene, resembles_clean=alike
    )
