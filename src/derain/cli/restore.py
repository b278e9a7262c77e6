"""`derain restore`, which is also `derain` without a verb: photos and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from derain.errors import DerainError

Positive = validators.Number(gte=1)


def restore(
    *inputs: Path,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    model: Annotated[str, Parameter(name=["--model", "-m"])] = "small",
    engine: Literal["openvino", "onnxruntime"] | None = None,
    device: str = "cpu",
    precision: Literal["float32", "bfloat16"] | None = None,
    threads: Annotated[int | None, Parameter(validator=Positive)] = None,
    jobs: Annotated[int, Parameter(name=["--jobs", "-j"], validator=Positive)] = 2,
    tile_px: Annotated[int | None, Parameter(name="--tile", validator=Positive)] = None,
    limit_mib: Annotated[int | None, Parameter(validator=Positive)] = None,
    compare: Annotated[bool, Parameter(negative=())] = False,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
    suffix: str | None = None,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative=())] = False,
) -> int:
    """Take the rain out of photos and folders.

    Parameters
    ----------
    inputs
        Photos (PNG, JPEG, WebP, TIFF, BMP) and folders of them, which are searched through and through.
    output
        A folder, which mirrors the tree of the inputs; or a file, when there is one photo. Without it, `photo_derained.jpg`
        beside `photo.jpg`.
    model
        The name of a model (`derain info` lists them) or the path of a weights file.
    engine
        What runs the network; without it, the first one that is installed.
    device
        Where it runs; `derain info` lists the devices of this machine.
    precision
        float32 is exact; bfloat16 is faster on processors that have it, and is then the default.
    threads
        Threads of the processor for the network; without it, all cores.
    jobs
        Pictures in hand at a time: the network takes one, the others are read or written.
    tile_px
        Largest side of a tile in pixels; without it, the tile follows from --limit-mib.
    limit_mib
        Memory for the network in MiB.
    compare
        Write rainy and restored side by side in one picture, for looking.
    overwrite
        Replace files that exist.
    suffix
        What the name of a result without -o ends with: `_derained`, or `_compared` with --compare.
    quiet
        Print errors only.
    """
    from derain.cli.progress import Report
    from derain.restore.batch import Batch, Outcome
    from derain.restore.errands import find_errands
    from derain.restore.restorer import Restorer

    if not inputs:
        raise DerainError("no photo is named; try `derain photo.jpg` or `derain --help`")
    ending = suffix if suffix is not None else "_compared" if compare else "_derained"
    errands = find_errands(inputs, output=output, suffix=ending, overwrite=overwrite)
    report = Report(errands, is_quiet=quiet)
    if not errands.todo:
        return report.close(Outcome())
    restorer = Restorer(
        model, engine=engine, device=device, tile_px=tile_px, limit_mib=limit_mib, threads=threads, precision=precision
    )
    report.say(f"model {restorer.model.name} on {restorer.engine.name}, {restorer.engine.device}")
    batch = Batch(restorer, jobs=jobs, compare=compare, on_progress=report.advance, on_problem=report.complain)
    with report:
        outcome = batch.run(errands.todo)
    return report.close(outcome)
