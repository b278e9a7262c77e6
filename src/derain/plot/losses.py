"""Figure 7: the generator's adversarial loss at each side layer over training, one panel a layer, one line a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from derain.errors import DataError
from derain.network.configuration import LEVELS
from derain.network.run_files import LOG
from derain.train.run_log import read_log
from derain.train.validation import distinct_suffixes

Curve = tuple[list[int], list[float]]


def read_curves(run: Path) -> dict[int, Curve]:
    """Steps and equation (8) by side layer, 1 to 4, of a run's folder; layers that the run does not judge are left out.

    Raises DataError if the folder has no log or the run had no discriminator.
    """
    path = run / LOG
    try:
        events = [event for _, event in read_log(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read as a log ({error}); give the folder of a training run"
        ) from None
    curves: dict[int, Curve] = {}
    for layer in range(1, LEVELS + 1):
        found = [event for event in events if isinstance(event.get(f"side_{layer}"), float | int)]
        if found:
            curves[layer] = (
                [event["step"] for event in found],
                [event[f"side_{layer}"] for event in found],
            )
    if not curves:
        raise DataError(f"{path}: has no adversarial losses; train with loss.beta above 0")
    return curves


def smoothed(values: Sequence[float], *, over: int) -> list[float]:
    """The mean of each value and up to `over` - 1 before it: crops differ more from step to step than training does."""
    sums = np.cumsum(np.concatenate([[0.0], np.asarray(values, np.float64)]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - over, 0)
    means: list[float] = ((sums[ends] - sums[starts]) / (ends - starts)).tolist()
    return means


def draw_losses(runs: Sequence[Path], *, over: int = 10) -> Figure:
    """A panel for each side layer and a line for each run, named by the end of its path, as a mean over `over` lines of the log.

    Raises DataError for no run and for one without adversarial losses.
    """
    if not runs:
        raise DataError("no run is given; name the folders of training runs")
    figure = Figure(figsize=(4 * LEVELS, 3.2), layout="constrained")
    panels = figure.subplots(1, LEVELS, sharex=True)
    lines = {}
    for number, (run, name) in enumerate(
        zip(runs, distinct_suffixes([str(run.resolve()) for run in runs]), strict=True)
    ):
        curves = read_curves(run)
        for layer, panel in enumerate(panels, 1):
            if layer in curves:
                steps, values = curves[layer]
                (lines[name],) = panel.plot(
                    steps,
                    smoothed(values, over=over),
                    label=name,
                    color=f"C{number}",
                    linewidth=1.2,
                )
    for layer, panel in enumerate(panels, 1):
        panel.set(
            title=f"side layer {layer}",
            xlabel="step",
            ylabel="adversarial loss of the generator" if layer == 1 else None,
        )
        panel.set_yscale("log")  # one manner may lie far above the others
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter("{x:g}")
        panel.grid(alpha=0.3, which="both")
    figure.legend(
        handles=list(lines.values()), loc="outside lower center", ncols=len(lines), fontsize="small"
    )
    return figure
