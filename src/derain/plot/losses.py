"""Figure 7: the generator's adversarial loss during training.

There is one panel for each side layer of the discriminator and one line for each run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from derain.errors import DataError
from derain.network.configuration import LEVELS
from derain.network.run_files import LOG
from derain.train.read_log import read_log
from derain.train.validation import distinct_suffixes

Curve = tuple[list[int], list[float]]
"""Steps and losses."""


def read_curves(run: Path) -> dict[int, Curve]:
    """Read equation (8) over the steps from a run folder, by side layer 1 to 4.

    Layers without a score are missing. Raises DataError if the folder has no log or the run had no
    discriminator.
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
        key = f"side_{layer}"
        scored = [event for event in events if isinstance(event.get(key), float | int)]
        if scored:
            curves[layer] = [event["step"] for event in scored], [event[key] for event in scored]
    if not curves:
        raise DataError(f"{path}: has no adversarial losses; train with loss.beta above 0")
    return curves


def running_mean(values: Sequence[float], *, window: int) -> list[float]:
    """Average each value with up to `window` - 1 values before it.

    Losses differ more between crops than training changes them from step to step.
    """
    sums = np.cumsum(np.concatenate([[0.0], np.asarray(values, np.float64)]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    means: list[float] = ((sums[ends] - sums[starts]) / (ends - starts)).tolist()
    return means


def draw_losses(runs: Sequence[Path], *, window: int = 10) -> Figure:
    """Draw one panel for each side layer and one line for each run.

    Lines are running means over `window` lines of the log, labelled with the end of the run's path.
    Raises DataError without runs and for a run without adversarial losses.
    """
    if not runs:
        raise DataError("no run is given; name the folders of training runs")
    figure = Figure(figsize=(4 * LEVELS, 3.2), layout="constrained")
    panels = figure.subplots(1, LEVELS, sharex=True)
    names = distinct_suffixes([str(run.resolve()) for run in runs])
    lines: dict[str, Line2D] = {}
    for number, (run, name) in enumerate(zip(runs, names, strict=True)):
        for layer, (steps, losses) in read_curves(run).items():
            (lines[name],) = panels[layer - 1].plot(
                steps,
                running_mean(losses, window=window),
                label=name,
                color=f"C{number}",
                linewidth=1.2,
            )
    for layer, panel in enumerate(panels, 1):
        _style(panel, title=f"side layer {layer}")
    panels[0].set_ylabel("adversarial loss of the generator")
    figure.legend(
        handles=list(lines.values()), loc="outside lower center", ncols=len(lines), fontsize="small"
    )
    return figure


def _style(panel: Axes, *, title: str) -> None:
    panel.set(title=title, xlabel="step")
    panel.set_yscale("log")  # one manner may be far above the others
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_formatter("{x:g}")
    panel.grid(alpha=0.3, which="both")
