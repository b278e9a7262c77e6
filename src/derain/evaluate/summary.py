"""From the results of single pictures to what a report says: means, intervals and differences, worked out once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from derain.evaluate.scoring import UNTOUCHED, Evaluation, Result, Row
from derain.evaluate.statistics import Comparison, Mean, compare, holm, mean, pooled_psnr

Metric = Literal["psnr", "ssim", "niqe"]


@dataclass(frozen=True)
class ScoreSummary:
    """One candidate under one protocol."""

    psnr: Mean
    "Of the dB of single pictures, as papers take it; identical pictures are left out."
    ssim: Mean
    pooled_psnr: float
    "Of the squared error averaged over pictures: what a few bad pictures do to the whole shows here."
    identical: int
    "Pictures equal to the clean one under this protocol, whose PSNR is infinite."


@dataclass(frozen=True)
class RowSummary:
    """One candidate: its scores by protocol and its mean absolute error in 8-bit RGB levels."""

    name: str
    pictures: int
    mae: float
    niqe: Mean
    "Lower is better; over the pictures that are large enough."
    scores: dict[str, ScoreSummary]


@dataclass(frozen=True)
class Difference:
    """Two candidates under one protocol in one metric; p is corrected for all the pairs compared so. NIQE has no protocol."""

    protocol: str
    metric: Metric
    comparison: Comparison


@dataclass(frozen=True)
class Summary:
    """All of a data set: the untouched input first, then the candidates from the best to the worst."""

    data: str
    protocols: list[str]
    rows: list[RowSummary]
    differences: list[Difference]
    problems: list[str]
    notes: list[str]


def summarise(evaluation: Evaluation) -> Summary:
    """Summarise and rank, by the mean PSNR of the first protocol (photos by NIQE); candidates without a picture come last.

    Where a candidate restored pictures perfectly, which are in no mean, all are ranked by the pooled PSNR.
    """
    by_name = {row.name: row for row in evaluation.rows}
    first = next(iter(evaluation.protocols), None)
    rows = [_row(row, evaluation.protocols) for row in evaluation.rows]
    pooled = first is not None and any(
        row.scores[first].identical for row in rows if row.name != UNTOUCHED
    )
    summaries = sorted(rows, key=lambda row: _rank(row, first, pooled=pooled))
    last = sorted(
        summaries, key=lambda row: row.name == UNTOUCHED
    )  # `model - untouched` is the gain
    compared = [by_name[row.name] for row in last if row.pictures]
    notes = list(evaluation.notes)
    if len({frozenset(result.sample for result in row.results) for row in evaluation.rows}) > 1:
        notes.append(
            "The rows are means over different pictures; the differences are over those that both candidates have."
        )
    notes += [
        f"{a.name} and {b.name} have no picture in common and are not compared: rename the files of one as those of the other."
        for a, b in combinations(compared, 2)
        if {result.sample for result in a.results}.isdisjoint(result.sample for result in b.results)
    ]
    pictures = {
        result.sample: result.scene or result.sample
        for row in evaluation.rows
        for result in row.results
    }
    if len(scenes := set(pictures.values())) < len(pictures):
        notes.append(
            f"Its {len(pictures)} pictures are of {len(scenes)} scenes, over which intervals and p are taken."
        )
    differences = list(_differences(compared, evaluation.protocols))
    return Summary(
        evaluation.data, evaluation.protocols, summaries, differences, evaluation.problems, notes
    )


def _row(row: Row, protocols: list[str]) -> RowSummary:
    errors = [result.mae for result in row.results]
    natural = [result for result in row.results if not math.isnan(result.niqe)]
    return RowSummary(
        row.name,
        len(row.results),
        math.fsum(errors) / len(errors) if errors else math.nan,
        mean([result.niqe for result in natural], _scenes(natural)),
        {protocol: _score(row, protocol) for protocol in protocols},
    )


def _score(row: Row, protocol: str) -> ScoreSummary:
    scores = [result.scores[protocol] for result in row.results]
    decibels = [score.psnr for score in scores]
    scenes = _scenes(row.results)
    similarity = mean([score.ssim for score in scores], scenes)
    ends = np.clip(
        [similarity.low, similarity.high], -1, 1
    )  # over few pictures the interval may reach beyond what SSIM can be
    within = replace(similarity, low=float(ends[0]), high=float(ends[1]))
    return ScoreSummary(
        mean(decibels, scenes), within, pooled_psnr(decibels), sum(map(math.isinf, decibels))
    )


def _rank(row: RowSummary, protocol: str | None, *, pooled: bool) -> tuple[bool, float]:
    if protocol is None:
        worse = row.niqe.value
    else:
        score = row.scores[protocol]
        worse = -(score.pooled_psnr if pooled else score.psnr.value)
    return row.name != UNTOUCHED, math.inf if math.isnan(worse) else worse


def _differences(rows: list[Row], protocols: list[str]) -> Iterator[Difference]:
    metrics: tuple[Metric, ...] = ("psnr", "ssim")
    for protocol in protocols:
        for metric in metrics:
            compared = [_compare(a, b, protocol, metric) for a, b in combinations(rows, 2)]
            for comparison in holm(compared):
                yield Difference(protocol, metric, comparison)
    if not protocols:
        for comparison in holm([_compare(a, b, None, "niqe") for a, b in combinations(rows, 2)]):
            yield Difference("", "niqe", comparison)


def _compare(first: Row, second: Row, protocol: str | None, metric: Metric) -> Comparison:
    theirs = {result.sample: result for result in second.results}
    both = [result for result in first.results if result.sample in theirs]
    differences = [
        _figure(result, protocol, metric) - _figure(theirs[result.sample], protocol, metric)
        for result in both
    ]
    return compare(
        first.name, second.name, differences, _scenes(both), lower_is_better=metric == "niqe"
    )


def _scenes(results: Sequence[Result]) -> list[str]:
    return [result.scene or result.sample for result in results]


def _figure(result: Result, protocol: str | None, metric: Metric) -> float:
    return float(getattr(result.scores[protocol] if protocol else result, metric))
