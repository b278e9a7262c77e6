"""Scores every picture of a data set for every candidate.

A `Sample` is a picture with its clean side; a `Candidate` makes a restored picture of it: a model,
or a folder that another program wrote. A picture that cannot be scored becomes a problem that names
the file. Nothing is resized, and nothing is skipped silently.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from derain.data.alignment import MIN_LIKENESS, likeness
from derain.data.pairs.pair_set import PairSet
from derain.errors import DataError, DerainError
from derain.evaluate.light import fit_light
from derain.evaluate.metrics import Image, mae
from derain.evaluate.niqe import MIN_SIDE_PX, niqe
from derain.evaluate.protocols import PROTOCOLS, Protocol, Score, eight_bit, score
from derain.evaluate.scoring_pool import ScoringPool

UNTOUCHED = "untouched"
"""Name of the first row of every table: the rainy picture itself."""
_NO_MEMORY = "not enough memory to score it; select the others with `--only`, or crop it"


@dataclass(frozen=True)
class Sample:
    """A picture to score.

    `load() -> (rainy, clean)` returns (H, W, 3) uint8 or uint16, None for a missing side. It raises
    DerainError.
    """

    name: str
    load: Callable[[], tuple[Image | None, Image | None]]


Candidate = Callable[[Sample, Image | None], Image | None]
"""(sample, rainy) -> restored (H, W, 3), floats in 0..1 or integers over their whole range.

None if the candidate has no picture of this sample. Raises DerainError.
"""


@dataclass(frozen=True)
class Result:
    """Scores of one candidate on one picture, by protocol; empty without a clean picture."""

    sample: str
    scores: dict[str, Score]
    mae: float
    """Mean absolute error in 8-bit RGB levels; nan without a clean picture."""
    niqe: float = math.nan
    """nan for a picture that is too small."""
    scene: str = ""
    """Checksum of the clean picture, empty without one. Samples that share it show one background
    in different rain; it is the unit of the bootstrap, see `statistics.resampled_means`."""
    resembles_clean: bool = True
    """False if the picture shows another scene: a misleading name, or a network that failed."""


@dataclass(frozen=True)
class Row:
    """One candidate and all its results."""

    name: str
    results: list[Result] = field(default_factory=list)


@dataclass(frozen=True)
class Evaluation:
    """A data set, its rows (the untouched input first, if present), problems and notes."""

    data: str
    protocols: list[str]
    """Empty without clean pictures: photos are ranked by NIQE alone."""
    rows: list[Row]
    problems: list[str] = field(default_factory=list)
    """Pictures that could not be scored, and why."""
    notes: list[str] = field(default_factory=list)
    """Matched and unmatched names, and warnings."""
    was_interrupted: bool = False
    """True after Ctrl-C: pictures that were not scored by then are in no row."""


Outcome = Result | str | None
"""A result; the reason why there is none; or None if the candidate has no picture."""


def score_candidates(
    data: str,
    samples: Iterable[Sample],
    candidates: Mapping[str, Candidate],
    *,
    protocols: Sequence[str] = tuple(PROTOCOLS),
    untouched: bool = True,
    fits_light: bool = False,
    on_sample: Callable[[], None] | None = None,
) -> Evaluation:
    """Score every candidate, and the untouched input, on every sample.

    With `fits_light`, every picture is fitted to the clean one first, see `light.fit_light`.

    Samples are loaded and restored in this thread, one at a time, and scored in others. `on_sample`
    is called after each sample. After Ctrl-C (KeyboardInterrupt) the rows hold the samples that all
    candidates had finished, and a problem gives their number.
    """
    all_candidates = {**({UNTOUCHED: _untouched} if untouched else {}), **candidates}
    collector = _Collector(list(all_candidates), on_sample)
    scorer = _Scorer([PROTOCOLS[name] for name in protocols], fits_light)
    was_interrupted = False
    with ScoringPool[Outcome](_NO_MEMORY) as pool:
        try:
            for sample in samples:
                _submit(pool, sample, all_candidates, scorer, collector)
            pool.drain()
        except KeyboardInterrupt:
            was_interrupted = True
            pool.drain()
            collector.problems.append(
                f"{data}: stopped after {collector.done} pictures; the figures cover only these"
            )
    rows = collector.rows
    if untouched and not rows[UNTOUCHED].results:
        del rows[UNTOUCHED]
    return Evaluation(
        data,
        list(protocols),
        list(rows.values()),
        collector.problems,
        list(_warn_of_other_scenes(rows.values())),
        was_interrupted=was_interrupted,
    )


class _Collector:
    """Sorts the outcomes into rows and problems, a sample at a time."""

    def __init__(self, names: Sequence[str], on_sample: Callable[[], None] | None) -> None:
        self.rows = {name: Row(name) for name in names}
        self.problems: list[str] = []
        self.done = 0
        self._on_sample = on_sample
        self._outcomes: dict[str, Outcome] = {}

    def add(self, sample: Sample, name: str, outcome: Outcome) -> None:
        """Take the outcome of one candidate; the sample counts once all candidates have theirs."""
        self._outcomes[name] = outcome
        if len(self._outcomes) < len(self.rows):
            return
        outcomes, self._outcomes = self._outcomes, {}
        for row, result in outcomes.items():
            if isinstance(result, Result):
                self.rows[row].results.append(result)
        self._finish_sample(_describe_failures(sample, outcomes))

    def reject(self, problem: Outcome) -> None:
        """Report a sample that cannot be loaded."""
        self._finish_sample([str(problem)])

    def _finish_sample(self, problems: Iterable[str]) -> None:
        self.problems += problems
        self.done += 1
        if self._on_sample is not None:
            self._on_sample()


def _describe_failures(sample: Sample, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    """Say once for each cause which candidates failed; names are omitted if all of them did."""
    present = [name for name, outcome in outcomes.items() if outcome is not None]
    causes: dict[str, list[str]] = {}
    for name, outcome in outcomes.items():
        if isinstance(outcome, str):
            causes.setdefault(outcome, []).append(name)
    for cause, names in causes.items():
        prefix = "" if names == present else f"{', '.join(names)}, "
        yield f"{prefix}{sample.name}: {cause}"


def _submit(
    pool: ScoringPool[Outcome],
    sample: Sample,
    candidates: Mapping[str, Candidate],
    scorer: _Scorer,
    collector: _Collector,
) -> None:
    """Restore a sample with all candidates, and queue the restored pictures for scoring."""
    try:
        rainy, clean = pool.run_here(sample.load)
    except (DerainError, MemoryError) as error:
        problem = str(error) if isinstance(error, DerainError) else f"{sample.name}: {_NO_MEMORY}"
        pool.submit(lambda: problem, collector.reject, px=0)
        return
    for name, candidate in candidates.items():
        work, px = _restore(pool, candidate, sample, rainy, clean, scorer)
        pool.submit(work, partial(collector.add, sample, name), px=px)


def _restore(
    pool: ScoringPool[Outcome],
    candidate: Candidate,
    sample: Sample,
    rainy: Image | None,
    clean: Image | None,
    scorer: _Scorer,
) -> tuple[Callable[[], Outcome], int]:
    """Restore one picture. Returns the work that scores it, and its size in pixels."""
    try:
        restored = pool.run_here(partial(candidate, sample, rainy))
    except DerainError as error:
        problem = str(error)
        return lambda: problem, 0
    except MemoryError:
        return lambda: _NO_MEMORY, 0
    if restored is None:
        return lambda: None, 0
    work = partial(scorer.score_or_explain, sample, restored, clean)
    return work, restored.shape[0] * restored.shape[1]


def model_candidate(restorer: Callable[[Image], Image]) -> Candidate:
    """Make a candidate of a callable such as `derain.Restorer`.

    It receives float32, so that its output is not rounded.
    """

    def restore(sample: Sample, rainy: Image | None) -> Image:
        if rainy is None:
            raise DataError("there is no rainy picture to restore; give pairs with `--data`")
        return restorer(rainy.astype(np.float32) / np.float32(np.iinfo(rainy.dtype).max))

    return restore


def pair_samples(pairs: PairSet) -> list[Sample]:
    """Return the samples of a set of pairs, with all their bits; alpha is dropped."""
    return [Sample(pair.name, pair.read) for pair in pairs.pairs]


def join_names(names: Sequence[str], *, limit: int = 10) -> str:
    """Return `a, b, c`; of many names, the first ones and the number of the rest."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def _checksum(image: Image) -> str:
    """Return a checksum of the pixels; some sets store a clean picture once for each rain."""
    return hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=16).hexdigest()


def _untouched(_: Sample, rainy: Image | None) -> Image | None:
    return rainy


def _warn_of_other_scenes(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        names = [result.sample for result in row.results if not result.resembles_clean]
        if names:
            yield (
                f"{row.name}: {join_names(names)} do not look like their clean pictures; "
                "check that they show the same scenes"
            )


@dataclass(frozen=True)
class _Scorer:
    """Scores one restored picture; safe to use in several threads."""

    protocols: Sequence[Protocol]
    fits_light: bool

    def score_or_explain(
        self, sample: Sample, restored: Image, clean: Image | None
    ) -> Result | str:
        """Return the result, or the reason why there is none."""
        try:
            return self._score(sample, restored, clean)
        except DerainError as error:
            return str(error)

    def _score(self, sample: Sample, restored: Image, clean: Image | None) -> Result:
        height, width = restored.shape[:2]
        self._check(restored, clean)
        restored = np.clip(restored, 0, 1) if restored.dtype.kind == "f" else restored
        naturalness = niqe(restored) if min(height, width) >= MIN_SIDE_PX else math.nan
        if clean is None:
            if math.isnan(naturalness):
                raise DataError(
                    f"is {width}x{height}, smaller than the {MIN_SIDE_PX}x{MIN_SIDE_PX} "
                    "that NIQE needs; leave it out"
                )
            return Result(sample.name, {}, math.nan, naturalness)
        fitted = fit_light(restored, clean) if self.fits_light else restored
        target = eight_bit(clean)
        return Result(
            sample.name,
            {protocol.name: score(protocol, fitted, clean) for protocol in self.protocols},
            mae(eight_bit(fitted), target),
            naturalness,
            _checksum(clean),
            resembles_clean=likeness(eight_bit(restored), target) >= MIN_LIKENESS,
        )

    def _check(self, restored: Image, clean: Image | None) -> None:
        height, width = restored.shape[:2]
        clean_height, clean_width = restored.shape[:2] if clean is None else clean.shape[:2]
        if (height, width) != (clean_height, clean_width):
            raise DataError(
                f"is {width}x{height}, but its clean picture is {clean_width}x{clean_height}; "
                "derain never resizes what it scores: save it in full size, or crop both alike"
            )
        if not np.all(np.isfinite(restored)):
            raise DataError("contains NaN or infinity; the network diverged or the file is damaged")
        min_side_px = max((protocol.min_side_px for protocol in self.protocols), default=1)
        if clean is not None and min(height, width) < min_side_px:
            raise DataError(
                f"is {width}x{height}, smaller than the {min_side_px}x{min_side_px} window of "
                "SSIM; leave it out"
            )
