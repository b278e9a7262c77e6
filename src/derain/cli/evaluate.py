"""`derain evaluate`: figures that can be set beside a paper's."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from derain.cli.options import PathArgument, Positive

Several = Parameter(consume_multiple=True, negative="")
Names = Annotated[list[str] | None, Several]


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
    table2: Annotated[bool, Parameter(negative="")] = False,
    markdown: PathArgument | None = None,
    json: PathArgument | None = None,
    csv: PathArgument | None = None,
    html: PathArgument | None = None,
    engine: Literal["openvino", "onnxruntime"] | None = None,
    device: str = "cpu",
    precision: Literal["float32", "bfloat16"] = "float32",
    threads: Annotated[int | None, Parameter(validator=Positive)] = None,
    ensemble: Literal[1, 4, 8] = 1,
) -> None:
    """Measure PSNR and SSIM in all the ways in which papers take them.

    `derain evaluate --model small --data DIR` restores and scores every pair. `derain evaluate --outputs A=DIR --outputs B=DIR
    --clean DIR` scores what other programs wrote, and says whether one is better or that is noise. `derain evaluate --model small
    --photos DIR` takes NIQE of photos of real rain, which have no clean side. `derain evaluate --model small --rain-free DIR`
    says what is done to pictures without rain, which should come out as they went in.

    Parameters
    ----------
    model
        Names of models, or weights files, each as MODEL or NAME=MODEL.
    data
        Folders of rainy and clean pictures in any published layout, as DIR or NAME=DIR; each is reported by itself.
    outputs
        Folders that another program wrote, as DIR or NAME=DIR; names are matched to those of `--data` or `--clean`.
    clean
        The folder of clean pictures for `--outputs`, where there are no rainy ones.
    photos
        Folders of photos of real rain, as DIR or NAME=DIR: NIQE, which needs no clean picture.
    rain_free
        Folders of pictures without rain, as DIR or NAME=DIR: each is restored and compared with itself.
    only
        Score no pictures but those of these names, as held out of a training set.
    layout
        How the pairs of `--data` are laid out, where it is not recognised: folders, names, one-to-many, clean-left,
        clean-right, list.
    protocol
        Only these protocols; the first one ranks. All of them by default.
    table2
        Print Table 2 of the paper beside what was measured; works without data, too.
    markdown
        Write the report as Markdown to this file.
    json
        Write the report, with the score of every picture, as JSON to this file.
    csv
        Write a line for each picture to this file.
    html
        Write a page with the worst and best pictures to this file; it needs no other file.
    engine
        What runs the models; without it, the first one that is installed.
    device
        Where they run; `derain info` lists the devices of this machine.
    precision
        float32, so that figures do not depend on the processor; bfloat16 is what `derain restore` takes where it is faster.
    threads
        Threads of the processor for the models; without it, all cores.
    ensemble
        Take the mean over 4 flips, or over 8 flips and quarter turns, as many times slower.
    """
    from rich.console import Console

    from derain.environment import Environment
    from derain.evaluate.experiments import experiments
    from derain.evaluate.protocols import PROTOCOLS
    from derain.evaluate.provenance import Provenance
    from derain.evaluate.run import ReportPaths, evaluate
    from derain.files.atomic import is_stdout

    given = [*(model or ()), *(data or ()), *(outputs or ()), *(photos or ()), *(rain_free or ())]
    inputs = [Path(part) for text in given for part in (text, text.partition("=")[2]) if part]
    reports = ReportPaths(markdown=markdown, json=json, csv=csv, html=html, inputs=inputs)
    nothing = table2 and not (model or data or outputs or clean or photos or rain_free)
    asked = (
        []
        if nothing
        else experiments(
            models=model or (),
            data=data or (),
            outputs=outputs or (),
            clean=clean,
            photos=photos or (),
            rain_free=rain_free or (),
            only=only or (),
            layout=layout,
            engine=engine,
            device=device,
            precision=precision,
            threads=threads,
            ensemble=ensemble,
        )
    )
    is_report = any(
        path is not None and is_stdout(path) for path in (markdown, json, csv, html)
    )  # a table would spoil it
    stream = sys.stderr if is_report else sys.stdout
    screen = Console(stderr=is_report, width=None if stream.isatty() else 160, emoji=False)
    session = evaluate(
        asked,
        protocol or list(PROTOCOLS),
        with_table2=table2,
        console=Console(stderr=True, emoji=False),
    )
    try:  # the files first: whoever reads the tables (`| head`) may go away
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        written = session.write(reports, Provenance(command, Environment.now(), session.models))
    finally:
        session.show(screen)
    for path in written:
        screen.print(f"wrote {path}", markup=False, highlight=False)
    if session.was_interrupted:
        raise KeyboardInterrupt
    session.raise_for_problems()
