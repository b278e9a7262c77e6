"""The tables of a report, once, for the terminal, Markdown and the page alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from derain.evaluate.niqe import SMALLEST_PX
from derain.evaluate.protocols import PROTOCOLS
from derain.evaluate.statistics import LEVEL, RESAMPLES, Comparison, Mean
from derain.evaluate.summary import Summary

NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Table:
    """A heading, columns, cells of text (a cell may have several lines) and what has to be said beneath."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The table and its notes in GitHub's Markdown, without the title."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        rows = ["| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines]
        return "\n".join([*rows, "", *(f"- {note}" for note in self.notes)]).rstrip() + "\n"


def tables_of(summary: Summary) -> Iterator[Table]:
    """The tables of one data set: the means of all protocols side by side, then what stands behind them."""
    if not summary.protocols:
        yield naturalness(summary)
        if summary.differences:
            yield differences_in_naturalness(summary)
        return
    yield means(summary)
    yield intervals(summary)
    if summary.differences:
        yield differences(summary)


def means(summary: Summary) -> Table:
    """One line for each candidate, PSNR / SSIM under every protocol: find the column that your paper prints."""
    rows = [
        [
            row.name,
            str(row.pictures),
            *(
                f"{decibels(row.scores[p].psnr.value)} / {similarity(row.scores[p].ssim.value)}"
                for p in summary.protocols
            ),
            number(row.mae, 2),
            number(row.niqe.value, 2),
        ]
        for row in summary.rows
    ]
    columns = ["", "pictures", *summary.protocols, "MAE", "NIQE"]
    return Table(f"{summary.data}: PSNR in dB / SSIM", columns, rows)


def intervals(summary: Summary) -> Table:
    """The intervals, the pooled error, and the pictures that are identical to the clean ones."""
    rows = [
        [
            row.name,
            protocol,
            decibels(row.scores[protocol].psnr.value),
            format_interval(row.scores[protocol].psnr, 2),
            decibels(row.scores[protocol].pooled_psnr),
            similarity(row.scores[protocol].ssim.value),
            format_interval(row.scores[protocol].ssim, 4),
            str(row.scores[protocol].identical),
        ]
        for row in summary.rows
        for protocol in summary.protocols
    ]
    percent = f"{LEVEL:.0%}".replace("%", " %")
    return Table(
        f"{summary.data}: {percent} intervals",
        ["", "protocol", "PSNR", percent, "pooled PSNR", "SSIM", percent, "identical"],
        rows,
    )


def differences(summary: Summary) -> Table:
    """Every two candidates on the pictures that both have: is one better, or is it noise?"""
    by_key = {
        (d.protocol, d.metric, d.comparison.first, d.comparison.second): d.comparison
        for d in summary.differences
    }
    rows = []
    for protocol, metric, first, second in by_key:
        if metric == "psnr":
            in_psnr, in_ssim = (
                by_key[protocol, "psnr", first, second],
                by_key[protocol, "ssim", first, second],
            )
            same = in_psnr.pictures == in_ssim.pictures
            pictures = (
                f"{in_ssim.pictures}"
                if same
                else f"{in_psnr.pictures} in PSNR, {in_ssim.pictures} in SSIM"
            )
            rows.append(
                [
                    f"{first} - {second}",
                    pictures,
                    protocol,
                    *_difference(in_psnr, 2),
                    *_difference(in_ssim, 4),
                ]
            )
    return Table(
        f"{summary.data}: differences, picture by picture",
        ["", "pictures", "protocol", "PSNR", "p", "better", "SSIM", "p", "better"],
        rows,
    )


def naturalness(summary: Summary) -> Table:
    """One line for each candidate on photos that have no clean side: NIQE with its interval."""
    percent = f"{LEVEL:.0%}".replace("%", " %")
    rows = [
        [row.name, str(row.pictures), number(row.niqe.value, 2), format_interval(row.niqe, 2)]
        for row in summary.rows
    ]
    return Table(f"{summary.data}: NIQE (lower is better)", ["", "photos", "NIQE", percent], rows)


def differences_in_naturalness(summary: Summary) -> Table:
    """Every two candidates on the photos that both have."""
    rows = [
        [f"{c.first} - {c.second}", str(c.pictures), *_difference(c, 2)]
        for c in (one.comparison for one in summary.differences)
    ]
    return Table(
        f"{summary.data}: differences, photo by photo", ["", "photos", "NIQE", "p", "better"], rows
    )


def legend(summaries: Sequence[Summary]) -> list[str]:
    """How to read the tables of these data sets, to be said once."""
    protocols = dict.fromkeys(protocol for summary in summaries for protocol in summary.protocols)
    lines = [
        f"`{name}`: {PROTOCOLS[name].summary}. Printed by {PROTOCOLS[name].printed_by}."
        for name in protocols
    ]
    if lines:
        lines += [
            "PSNR is the mean of the dB of single pictures, without the identical ones, whose PSNR is infinite. Pooled PSNR is "
            "that of the squared error averaged over pictures, each counting the same, the identical ones with no error.",
            "MAE is in levels of 255, of the saved 8-bit RGB picture.",
        ]
    if summaries:
        lines += [
            "NIQE looks at the picture alone: how far its statistics are from those of clean photos; lower is better. They are "
            "derain's own photos: never set it beside a NIQE of MATLAB's (docs/protocols/niqe.md). A picture with a side below "
            f"{SMALLEST_PX} pixels has none.",
            f"Intervals: percentile bootstrap over scenes with all their pictures ({RESAMPLES:,} resamples, seeded), expanded "
            "for their number (Hesterberg, 2015): what another draw of as many such scenes might give. They say nothing about "
            "other data sets.",
        ]
    if any(summary.differences for summary in summaries):
        lines.append(
            "Differences: paired bootstrap over the scenes that both have; p is two-sided and corrected for the number of "
            f"pairs (Holm). `better` is said at p < {1 - LEVEL:.2f}; `noise?` means that these pictures cannot tell. "
            "n scenes give no p below 2 / 2**n before that correction, so a few cannot tell many candidates apart."
        )
    return lines


def decibels(value: float) -> str:
    """28.14, or `identical` for an infinite PSNR."""
    return "identical" if value == math.inf else number(value, 2)


def similarity(value: float) -> str:
    """0.8880."""
    return number(value, 4)


def number(value: float, digits: int) -> str:
    """The number, or a dash where there is none."""
    return NOTHING if math.isnan(value) else f"{value:.{digits}f}"


def format_interval(value: Mean, digits: int) -> str:
    """27.61 to 28.70, or a dash where there is no interval."""
    return (
        NOTHING if math.isnan(value.low) else f"{value.low:.{digits}f} to {value.high:.{digits}f}"
    )


def _difference(comparison: Comparison, digits: int) -> Sequence[str]:
    difference = comparison.difference
    if math.isnan(difference.value):
        return NOTHING, NOTHING, NOTHING
    interval = (
        ""
        if math.isnan(difference.low)
        else f" ({difference.low:+.{digits}f} to {difference.high:+.{digits}f})"
    )
    p = (
        NOTHING
        if math.isnan(comparison.p)
        else "< 0.001"
        if comparison.p < 0.001
        else f"{comparison.p:.3f}"
    )
    return f"{difference.value:+.{digits}f}{interval}", p, comparison.better or "noise?"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")
