"""The tables of a report, shared by the terminal, Markdown and HTML."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from derain.evaluate.niqe import MIN_SIDE_PX
from derain.evaluate.protocols import PROTOCOLS
from derain.evaluate.statistics import LEVEL, RESAMPLES, Comparison, Mean
from derain.evaluate.summary import Summary

NOTHING = "\N{EN DASH}"
PERCENT = f"{LEVEL:.0%}".replace("%", " %")


@dataclass(frozen=True)
class Table:
    """A title, columns, cells of text (a cell may have several lines), and notes below."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """Return the table and its notes in GitHub's Markdown, without the title."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        rows = ["| " + " | ".join(_escape(cell) for cell in line) + " |" for line in lines]
        return "\n".join([*rows, "", *(f"- {note}" for note in self.notes)]).rstrip() + "\n"


def main_table(summary: Summary) -> Table:
    """Return the table that a reader looks for: the means, or NIQE without clean pictures."""
    return means(summary) if summary.protocols else naturalness(summary)


def detail_tables(summary: Summary) -> Iterator[Table]:
    """Yield the tables behind the means: intervals and differences."""
    if summary.protocols:
        yield intervals(summary)
    if summary.differences:
        yield differences(summary) if summary.protocols else niqe_differences(summary)


def all_tables(summary: Summary) -> list[Table]:
    """Return all tables of a data set, the main one first."""
    return [main_table(summary), *detail_tables(summary)]


def means(summary: Summary) -> Table:
    """Return one row for each candidate: PSNR / SSIM under every protocol, MAE and NIQE."""
    rows = [
        [
            row.name,
            str(row.pictures),
            *(
                f"{format_psnr(row.scores[p].psnr.value)} / {format_ssim(row.scores[p].ssim.value)}"
                for p in summary.protocols
            ),
            format_number(row.mae, 2),
            format_number(row.niqe.value, 2),
        ]
        for row in summary.rows
    ]
    columns = ["", "pictures", *summary.protocols, "MAE", "NIQE"]
    return Table(f"{summary.data}: PSNR in dB / SSIM", columns, rows)


def intervals(summary: Summary) -> Table:
    """Return the intervals of the means, the pooled PSNR, and the number of identical pictures."""
    rows = [
        [
            row.name,
            protocol,
            format_interval(row.scores[protocol].psnr, 2),
            format_interval(row.scores[protocol].ssim, 4),
            format_psnr(row.scores[protocol].pooled_psnr),
            str(row.scores[protocol].identical),
        ]
        for row in summary.rows
        for protocol in summary.protocols
    ]
    return Table(
        f"{summary.data}: {PERCENT} intervals",
        ["", "protocol", "PSNR", "SSIM", "pooled PSNR", "identical"],
        rows,
    )


def differences(summary: Summary) -> Table:
    """Compare every two candidates on the pictures that both have."""
    comparisons = {
        (d.protocol, d.metric, d.comparison.first, d.comparison.second): d.comparison
        for d in summary.differences
    }
    rows = []
    for protocol, metric, first, second in comparisons:
        if metric != "psnr":
            continue
        psnr = comparisons[protocol, "psnr", first, second]
        ssim = comparisons[protocol, "ssim", first, second]
        pictures = (
            str(ssim.pictures)
            if psnr.pictures == ssim.pictures
            else f"{psnr.pictures} in PSNR, {ssim.pictures} in SSIM"
        )
        rows.append(
            [
                f"{first} - {second}",
                pictures,
                protocol,
                *_difference(psnr, 2),
                *_difference(ssim, 4),
            ]
        )
    return Table(
        f"{summary.data}: differences, picture by picture",
        ["", "pictures", "protocol", "PSNR", "p", "better", "SSIM", "p", "better"],
        rows,
    )


def naturalness(summary: Summary) -> Table:
    """Return one row for each candidate on photos without a clean side: NIQE, interval."""
    rows = [
        [
            row.name,
            str(row.pictures),
            format_number(row.niqe.value, 2),
            format_interval(row.niqe, 2),
        ]
        for row in summary.rows
    ]
    return Table(f"{summary.data}: NIQE (lower is better)", ["", "photos", "NIQE", PERCENT], rows)


def niqe_differences(summary: Summary) -> Table:
    """Compare every two candidates on the photos that both have."""
    rows = [
        [
            f"{comparison.first} - {comparison.second}",
            str(comparison.pictures),
            *_difference(comparison, 2),
        ]
        for comparison in (difference.comparison for difference in summary.differences)
    ]
    return Table(
        f"{summary.data}: differences, photo by photo", ["", "photos", "NIQE", "p", "better"], rows
    )


def protocol_legend(summaries: Sequence[Summary]) -> list[str]:
    """Describe the protocols of these data sets, one line each."""
    names = dict.fromkeys(protocol for summary in summaries for protocol in summary.protocols)
    return [
        f"`{name}`: {PROTOCOLS[name].summary}. Printed by {PROTOCOLS[name].printed_by}."
        for name in names
    ]


def legend(summaries: Sequence[Summary]) -> list[str]:
    """Explain the tables of these data sets."""
    lines = protocol_legend(summaries)
    if lines:
        lines += [
            "PSNR is the mean of the dB of single pictures. Identical pictures have an infinite "
            "PSNR and are left out. Pooled PSNR is that of the squared error averaged over "
            "pictures; identical pictures count with no error.",
            "MAE is in levels of 255, of the saved 8-bit RGB picture.",
        ]
    if summaries:
        lines += [
            "NIQE is the distance of a picture's statistics from those of clean photos; lower is "
            "better. The clean photos are derain's own: do not compare with a NIQE of MATLAB "
            f"(docs/protocols/niqe.md). Pictures with a side below {MIN_SIDE_PX} pixels have none.",
            f"Intervals: percentile bootstrap over scenes with all their pictures ({RESAMPLES:,} "
            "resamples, seeded), widened for the number of scenes (Hesterberg, 2015). They show "
            "the spread over other draws of such scenes, not over other data sets.",
        ]
    if any(summary.differences for summary in summaries):
        lines.append(
            "Differences: paired bootstrap over the scenes that both have; p is two-sided and "
            "corrected for the number of pairs (Holm). `better` needs "
            f"p < {1 - LEVEL:.2f}; `noise?` means that these pictures cannot decide. n scenes give "
            "no p below 2 / 2**n before the correction, so a few scenes cannot separate many "
            "candidates."
        )
    return lines


def format_psnr(value: float) -> str:
    """Return 28.14, or `identical` for an infinite PSNR."""
    return "identical" if value == math.inf else format_number(value, 2)


def format_ssim(value: float) -> str:
    """Return 0.8880."""
    return format_number(value, 4)


def format_number(value: float, digits: int) -> str:
    """Return the number, or a dash for nan."""
    return NOTHING if math.isnan(value) else f"{value:.{digits}f}"


def format_interval(value: Mean, digits: int) -> str:
    """Return 27.61 to 28.70, or a dash if there is no interval."""
    return (
        NOTHING if math.isnan(value.low) else f"{value.low:.{digits}f} to {value.high:.{digits}f}"
    )


def _difference(comparison: Comparison, digits: int) -> tuple[str, str, str]:
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


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")
