"""`derain evaluate`: figures that can be compared with those of a paper."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from derain.cli.options import Flag, Network, PathArgument, Positive
from derain.weights import DEFAULT

if TYPE_CHECKING:
    from derain.inference.restorer import Restorer

__all__ = ["Positive", "evaluate"]  # cyclopts resolves the inherited annotations in this module

Several = Parameter(consume_multiple=True, negative="")
Names = Annotated[list[str] | None, Several]
WIDTH = 160
"""Columns of the report where the output is not a terminal."""


@Parameter(name="*")
@dataclass(frozen=True)
class EvaluationNetwork(Network):
    """Engine and options of the models.

    Parameters
    ----------
    precision
        float32 keeps figures independent of the processor; bfloat16 is the default of
        `derain restore` where it is faster.
    """

    model: Annotated[str, Parameter(parse=False)] = DEFAULT  # `--model` is a list here
    precision: Literal["float32", "bfloat16"] | None = "float32"

    def open(self, model: str) -> Restorer:
        """Open one of the models. Raises WeightsError and EngineError."""
        return replace(self, model=model).load()


DEFAULT_NETWORK = EvaluationNetwork()


def evaluate(
    *,
    model: Names = None,
    data: Names = None,
    outputs: Names = None,
    clean: PathArgument | None = None,
    photos: Names = None,
    rain_free: Names = None,
    only: Names = None,
    layout: str | None = None,
    protocol: Annotated[list[Literal["paper", "rgb", "y", "y-half"]] | None, Several] = None,
    table2: Flag = False,
    fit_light: Flag = False,
    details: Flag = False,
    markdown: PathArgument | None = None,
    json: PathArgument | None = None,
    csv: PathArgument | None = None,
    html: PathArgument | None = None,
    network: EvaluationNetwork = DEFAULT_NETWORK,
) -> None:
    """Compute PSNR and SSIM in all the ways that papers use.

    `derain evaluate --model fast --data DIR` restores and scores every pair.

    `derain evaluate --outputs A=DIR --outputs B=DIR --clean DIR` scores the outputs of other
    programs and tests whether one is better.

    `derain evaluate --model fast --photos DIR` computes NIQE for photos of real rain, which have
    no clean side.

    `derain evaluate --model fast --rain-free DIR` measures how much rain-free pictures change.

    Parameters
    ----------
    model
        Models to score, each as MODEL or NAME=MODEL; MODEL is a name or a weights file.
    data
        Folders of rainy and clean pictures in any published layout, as DIR or NAME=DIR; each is
        reported separately.
    outputs
        Folders written by other programs, as DIR or NAME=DIR; their files are matched by name to
        those of `--data` or `--clean`.
    clean
        The folder of clean pictures for `--outputs` if there are no rainy ones.
    photos
        Folders of photos of real rain, as DIR or NAME=DIR; they get NIQE, which needs no clean
        picture.
    rain_free
        Folders of pictures without rain, as DIR or NAME=DIR; each picture is compared with itself.
    only
        Score only the pictures of these names, for example those held out of training.
    layout
        Layout of the pairs of `--data` if it is not detected: folders, names, one-to-many,
        clean-left, clean-right, list.
    protocol
        Use only these protocols; the first one ranks. Default: all.
    table2
        Print Table 2 of the paper next to the measured figures; works without data too.
    fit_light
        Fit gain and offset of each channel to the clean picture before scoring, for pairs of real
        rain whose light differs; the figures do not compare with published ones.
    details
        Also print intervals and differences; report files always contain them.
    markdown
        Write the report as Markdown to this file.
    json
        Write the report and the scores of every picture as JSON to this file.
    csv
        Write one line per picture to this file.
    html
        Write a self-contained page with the worst and best pictures to this file.
    """
    from rich.console import Console

    from derain.cli.evaluate_progress import EvaluationProgress
    from derain.cli.evaluate_tables import show
    from derain.environment import Environment
    from derain.evaluate.experiments import experiments
    from derain.evaluate.protocols import PROTOCOLS
    from derain.evaluate.provenance import Provenance
    from derain.evaluate.run import ReportPaths
    from derain.evaluate.run import evaluate as run_experiments
    from derain.files.atomic import is_stdout

    folders = [*(model or ()), *(data or ()), *(outputs or ()), *(photos or ()), *(rain_free or ())]
    inputs = [Path(part) for text in folders for part in (text, text.partition("=")[2]) if part]
    reports = ReportPaths(markdown=markdown, json=json, csv=csv, html=html, inputs=inputs)
    is_table_only = table2 and not (folders or clean)
    planned = (
        []
        if is_table_only
        else experiments(
            models=model or (),
            data=data or (),
            outputs=outputs or (),
            clean=clean,
            photos=photos or (),
            rain_free=rain_free or (),
            only=only or (),
            layout=layout,
            fit_light=fit_light,
            open_model=network.open,
        )
    )
    # tables would corrupt a report on standard output
    on_stderr = any(path is not None and is_stdout(path) for path in (markdown, json, csv, html))
    stream = sys.stderr if on_stderr else sys.stdout
    screen = Console(stderr=on_stderr, width=None if stream.isatty() else WIDTH, emoji=False)
    progress = EvaluationProgress(sum(len(experiment.samples) for experiment in planned))
    with progress.bar:
        run = run_experiments(
            planned, protocol or list(PROTOCOLS), with_table2=table2, on_sample=progress.advance
        )
    try:  # files first: printing fails if the reader of a pipe (`| head`) is gone
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        written = run.write(reports, Provenance(command, Environment.now(), run.models))
    finally:
        show(run, screen, details=details)
    for path in written:
        screen.print(f"wrote {path}", markup=False, highlight=False)
    if run.was_interrupted:
        raise KeyboardInterrupt
    run.raise_for_problems()
