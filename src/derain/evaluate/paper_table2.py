"""Table 2 of the paper as data, next to what was measured here.

Wang et al., "Progressive Local and Non-Local Interactive Networks with Deeply Discriminative
Training for Image Deraining", MM '24, doi 10.1145/3664647.3681399. The figures are on RGB (the
protocol `paper`); most other papers print luma, which is 1.3 to 1.6 dB higher.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from derain.evaluate.summary import Summary
from derain.evaluate.tables import NOTHING, Table

PROTOCOL = "paper"
"""Protocol of the printed figures."""

DATA_SETS = {"Rain200H": 200, "Rain200L": 200, "Rain1200": 1200, "Rain1400": 1400, "Rain12": 12}
"""Columns of the table, with the number of test pictures of each set."""

OURS = "PLNLIN (the paper)"
"""Row of the network of the paper."""


@dataclass(frozen=True)
class PrintedScore:
    """One printed cell: PSNR in dB and SSIM."""

    psnr: float
    ssim: float


@dataclass(frozen=True)
class Method:
    """One printed row; `cells` are by data set, without the empty ones."""

    name: str
    parameters: str | None
    """None if the table leaves it empty."""
    cells: dict[str, PrintedScore]


_PRINTED = """
RESCAN            | 0.15|26.661 0.8419|36.993 0.9788|32.127 0.9028|30.969 0.9117|32.965 0.9545
NLEDN             | 1.01|27.315 0.8904|36.487 0.9792|32.473 0.9198|31.014 0.9206|33.028 0.9615
SSIR              | 0.06|14.420 0.4501|23.476 0.8026|24.427 0.7713|25.772 0.8224|24.138 0.7768
PReNet            | 0.17|27.525 0.8663|34.266 0.9660|30.456 0.8702|30.984 0.9156|35.095 0.9400
SpaNet            | 0.28|25.484 0.8584|36.075 0.9774|27.099 0.8082|29.000 0.8891|33.217 0.9546
DCSFN             | 6.45|28.469 0.9016|37.847 0.9842|32.275 0.9228|31.493 0.9279|35.803 0.9683
MSPFN             |21.00|25.553 0.8039|30.367 0.9219|30.382 0.8860|31.514 0.9203|34.253 0.9469
RCDNet            | 3.67|28.698 0.8904|38.400 0.9841|32.273 0.9111|31.016 0.9164|31.038 0.9069
Syn2Real          | 2.62|14.495 0.4021|31.035 0.9365|28.812 0.8400|28.582 0.8586|28.434 0.9038
MPRNet            | 3.64|29.949 0.9151|36.610 0.9785|33.655 0.9310|32.257 0.9325|36.578 0.9696
DualGCN           | 2.73|28.758 0.9026|38.415 0.9818|32.033 0.9163|30.567 0.9148|35.805 0.9687
SwinIR            | 11.5|29.574 0.9049|39.282 0.9869|32.974 0.9298|31.997 0.9304|36.362 0.9698
SSID-KD           | 4.43|28.706 0.9005|38.778 0.9864|32.424 0.9202|30.540 0.9136|35.473 0.9682
RadNet            |    -|30.080 0.9150|38.680 0.9850|     -      -|     -      -|     -      -
Wang et al.       | 2.04|29.985 0.9218|39.284 0.9875|33.718 0.9327|32.617 0.9334|36.851 0.9714
HCT-FFN           | 0.87|28.987 0.8933|37.426 0.9798|     -      -|     -      -|34.570 0.9453
PLNLIN (the paper)| 2.25|30.164 0.9227|39.289 0.9893|33.731 0.9338|32.643 0.9341|37.211 0.9734
"""
"""Method, parameters in millions, then PSNR and SSIM for each of DATA_SETS; - for an empty cell."""


def _parse(line: str) -> Method:
    name, parameters, *cells = (cell.strip() for cell in line.split("|"))
    scores = {}
    for data, cell in zip(DATA_SETS, cells, strict=True):
        psnr, ssim = cell.split()
        if psnr != "-":
            scores[data] = PrintedScore(float(psnr), float(ssim))
    return Method(name, None if parameters == "-" else f"{parameters} M", scores)


METHODS = [_parse(line) for line in _PRINTED.strip().splitlines()]
"""The rows of the table."""


@dataclass(frozen=True)
class MeasuredScore:
    """One cell as measured here, with the number of pictures."""

    psnr: float
    ssim: float
    pictures: int


def measured_cells(summaries: Iterable[Summary]) -> dict[tuple[str, str], MeasuredScore]:
    """Return the measured cells by (row, data set), for data sets named like a column (any case).

    A candidate named like a method shares the row of that method; others get their own row.
    """
    columns = {data.casefold(): data for data in DATA_SETS}
    methods = {method.name.casefold(): method.name for method in METHODS}
    return {
        (
            methods.get(row.name.casefold(), row.name),
            columns[summary.data.casefold()],
        ): MeasuredScore(
            row.scores[PROTOCOL].psnr.value, row.scores[PROTOCOL].ssim.value, row.pictures
        )
        for summary in summaries
        if summary.data.casefold() in columns and PROTOCOL in summary.protocols
        for row in summary.rows
        if row.pictures
    }


def table(summaries: Iterable[Summary] = ()) -> Table:
    """Return the printed figures with the measured ones below them, or `not measured`."""
    summaries = list(summaries)
    measured = measured_cells(summaries)
    others = {summary.data.casefold() for summary in summaries if PROTOCOL not in summary.protocols}
    printed = {method.name: method for method in METHODS}
    extra = dict.fromkeys(row for row, _ in measured if row not in printed)
    rows = [
        [
            name,
            printed[name].parameters or NOTHING if name in printed else NOTHING,
            *(_cell(printed.get(name), measured.get((name, data)), data) for data in DATA_SETS),
        ]
        for name in [*printed, *extra]
    ]
    return Table(
        "Table 2 of the paper (PSNR in dB / SSIM): printed, and measured here",
        ["method", "parameters", *DATA_SETS],
        rows,
        notes=[
            "Printed: Wang et al., MM '24, doi 10.1145/3664647.3681399, protocol `paper` (RGB, not "
            "luma). Most other papers print luma, which is 1.3 to 1.6 dB higher on the same "
            "pixels; never compare the two.",
            "The paper tested Rain12 with the weights trained on Rain200H.",
            *_notes_on_measured(
                measured, others=[data for data in DATA_SETS if data.casefold() in others]
            ),
        ],
    )


def _cell(method: Method | None, measured: MeasuredScore | None, data: str) -> str:
    printed = method.cells.get(data) if method else None
    lines = (
        []
        if method is None
        else [f"{printed.psnr:.3f} / {printed.ssim:.4f}" if printed else NOTHING]
    )
    if measured is None:
        return "\n".join([*lines, "not measured"])
    part = (
        ""
        if measured.pictures == DATA_SETS[data]
        else f", {measured.pictures} of {DATA_SETS[data]} pictures"
    )
    return "\n".join([*lines, f"here {measured.psnr:.3f} / {measured.ssim:.4f}{part}"])


def _notes_on_measured(
    measured: Mapping[tuple[str, str], MeasuredScore], *, others: Sequence[str]
) -> list[str]:
    cells = len(METHODS) * len(DATA_SETS)
    done = sum(1 for method in METHODS for data in DATA_SETS if (method.name, data) in measured)
    notes = [
        f"Measured here: {done} of the {cells} cells of the paper's methods, "
        f"under the protocol `{PROTOCOL}`."
    ]
    if others:
        notes.append(
            f"{', '.join(others)}: not measured under `{PROTOCOL}`; add `--protocol {PROTOCOL}`."
        )
    missing = [
        data
        for data in DATA_SETS
        if data not in others and not any(data == column for _, column in measured)
    ]
    if missing:
        notes.append(
            f"Nothing was measured on {', '.join(missing)}; give a data set this name, "
            f"for example with `--data {missing[0]}=DIR`."
        )
    return notes
