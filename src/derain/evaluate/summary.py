"""Means, intervals and differences over the results of single pictures."""

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
    """Mean of the dB of single pictures, as in papers; identical pictures are left out."""
    ssim: Mean
    """Mean over pictures."""
    pooled_psnr: float
    """PSNR of the squared error averaged over pictures, which exposes a few bad ones."""
    identical: int
    """Number of pictures equal to the clean one under this protocol, whose PSNR is infinite."""


@dataclass(frozen=True)
class RowSummary:
    """One candidate."""

    name: str
    pictures: int
    mae: float
    """Mean absolute error in 8-bit RGB levels."""
    niqe: Mean
    """Mean over the pictures that are large enough; lower is better."""
    scores: dict[str, ScoreSummary]
    """By protocol."""


@dataclass(frozen=True)
class Difference:
    """Two candidates in one metric; p is corrected for the number of pairs in this metric."""

    protocol: str
    """Empty for NIQE, which has no protocol."""
    metric: Metric
    comparison: Comparison


@dataclass(frozen=True)
class Summary:
    """A data set: the untouched input first, then the candidates from best to worst."""

    data: str
    protocols: list[str]
    rows: list[RowSummary]
    differences: list[Difference]
    problems: list[str]
    notes: list[str]


def summarise(evaluation: Evaluation) -> Summary:
    """Summarise and rank by the mean PSNR of the first protocol, photos by NIQE.

    Candidates without a picture come last. If any candidate restored a picture perfectly, which no
    mean of dB can include, all are ranked by the pooled PSNR.
    """
    by_name = {row.name: row for row in evaluation.rows}
    first = next(iter(evaluation.protocols), None)
    rows = [_row(row, evaluation.protocols) for row in evaluation.rows]
    pooled = first is not None and any(
        row.scores[first].identical for row in rows if row.name != UNTOUCHED
    )
    summaries = sorted(rows, key=lambda row: _rank(row, first, pooled=pooled))
    # the untouched input comes last, so that differences read `model - untouched`, the gain
    ranked = sorted(summaries, key=lambda row: row.name == UNTOUCHED)
    compared = [by_name[row.name] for row in ranked if row.pictures]
    return Summary(
        evaluation.data,
        evaluation.protocols,
        summaries,
        list(_differences(compared, evaluation.protocols)),
        evaluation.problems,
        [*evaluation.notes, *_notes(evaluation.rows, compared)],
    )


def _notes(rows: Sequence[Row], compared: Sequence[Row]) -> Iterator[str]:
    names = {row.name: {result.sample for result in row.results} for row in rows}
    if len(set(map(frozenset, names.values()))) > 1:
        yield (
            "The rows are means over different pictures; differences use the pictures that both "
            "candidates have."
        )
    for a, b in combinations(compared, 2):
        if names[a.name].isdisjoint(names[b.name]):
            yield (
                f"{a.name} and {b.name} have no picture in common and are not compared; "
                "rename the files of one to match the other."
            )
    scenes = {
        result.sample: result.scene or result.sample for row in rows for result in row.results
    }
    if len(set(scenes.values())) < len(scenes):
        yield (
            f"The {len(scenes)} pictures show {len(set(scenes.values()))} scenes; "
            "intervals and p are over scenes."
        )


def _row(row: Row, protocols: list[str]) -> RowSummary:
    errors = [result.mae for result in row.results]
    with_niqe = [result for result in row.results if not math.isnan(result.niqe)]
    return RowSummary(
        row.name,
        len(row.results),
        math.fsum(errors) / len(errors) if errors else math.nan,
        mean([result.niqe for result in with_niqe], _scenes(with_niqe)),
        {protocol: _score(row, protocol) for protocol in protocols},
    )


def _score(row: Row, protocol: str) -> ScoreSummary:
    scores = [result.scores[protocol] for result in row.results]
    decibels = [score.psnr for score in scores]
    scenes = _scenes(row.results)
    similarity = mean([score.ssim for score in scores], scenes)
    # over few pictures the interval may extend beyond the range of SSIM
    low, high = np.clip([similarity.low, similarity.high], -1, 1)
    return ScoreSummary(
        mean(decibels, scenes),
        replace(similarity, low=float(low), high=float(high)),
        pooled_psnr(decibels),
        sum(map(math.isinf, decibels)),
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
    second_results = {result.sample: result for result in second.results}
    shared = [result for result in first.results if result.sample in second_results]
    differences = [
        _figure(result, protocol, metric) - _figure(second_results[result.sample], protocol, metric)
        for result in shared
    ]
    return compare(
        first.name, second.name, differences, _scenes(shared), lower_is_better=metric == "niqe"
    )


def _scenes(results: Sequence[Result]) -> list[str]:
    return [result.scene or result.sample for result in results]


def _figure(result: Result, protocol: str | None, metric: Metric) -> float:
    return float(getattr(result.scores[protocol] if protocol else result, metric))
