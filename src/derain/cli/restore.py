"""`derain restore`, which is also `derain` without a verb: photos and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from derain.errors import DerainError

Positive = validators.Number(gte=1)
Share = validators.Number(gte=0, lte=1)
Flag = Parameter(negative=())


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
    strength: Annotated[float, Parameter(validator=Share)] = 1.0,
    mask: Path | None = None,
    ensemble: Literal[1, 4, 8] = 1,
    save_rain: Annotated[bool, Flag] = False,
    strip: Annotated[bool, Flag] = False,
    compare: Annotated[bool, Flag] = False,
    overwrite: Annotated[bool, Flag] = False,
    suffix: str | None = None,
    shard: str | None = None,
    report: Path | None = None,
    json: Path | None = None,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative=())] = False,
) -> int:
    """Take the rain out of photos and folders.

    Parameters
    ----------
    inputs
        Photos (PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF, HEIC) and folders of them, which are searched through and through.
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
    strength
        The share of the estimated rain that is taken out, 0 to 1.
    mask
        A picture of the photo's size: rain is taken out where it is white, half of it where it is grey, none where it is black.
    ensemble
        Take the mean over 4 flips, or over 8 flips and quarter turns: better with a network that knows rain from all sides, and
        as many times slower.
    save_rain
        Write what was taken out as a picture, too: `photo_derained_rain.jpg`.
    strip
        Drop metadata (camera, place, texts); the colour profile stays.
    compare
        Write rainy and restored side by side in one picture, for looking.
    overwrite
        Replace files that exist.
    suffix
        What the name of a result without -o ends with: `_derained`, or `_compared` with --compare.
    shard
        `2/8` does the second of eight equal shares of the folders; the other machines do the others.
    report
        Write a page (HTML) with a slider between before and after for each picture.
    json
        Write what was done with each picture, and how long it took, to this file.
    quiet
        Print errors only.
    """
    from derain.cli.progress import Report
    from derain.cli.records import Records
    from derain.restore.batch import Batch, Outcome
    from derain.restore.errands import find_errands
    from derain.restore.mixing import read_mask
    from derain.restore.restorer import Restorer
    from derain.restore.shard import Shard
    from derain.restore.treatment import Treatment
    from derain.restore.workshop import Record

    if not inputs:
        raise DerainError("no photo is named; try `derain photo.jpg` or `derain --help`")
    errands = find_errands(
        inputs,
        output=output,
        suffix=suffix if suffix is not None else "_compared" if compare else "_derained",
        overwrite=overwrite,
        shard=None if shard is None else Shard.parse(shard),
        with_rain=save_rain,
    )
    treatment = Treatment(strength, None if mask is None else read_mask(mask), strips=strip, compares=compare)
    screen = Report(errands, is_quiet=quiet)
    restorer = None
    if errands.todo:
        restorer = Restorer(
            model,
            engine=engine,
            device=device,
            tile_px=tile_px,
            limit_mib=limit_mib,
            threads=threads,
            precision=precision,
            ensemble=ensemble,
        )
        screen.say(f"model {restorer.model.name} on {restorer.engine.name}, {restorer.engine.device}")
    outcome = Outcome()

    def on_record(record: Record) -> None:
        records.note(record)
        screen.tell_losses(record)

    with Records(errands, restorer, page=report, json=json) as records:
        if restorer is not None:
            batch = Batch(
                restorer,
                treatment,
                jobs=jobs,
                previews=report is not None,
                on_progress=screen.advance,
                on_problem=screen.complain,
                on_record=on_record,
            )
            with screen:
                outcome = batch.run(errands.todo)
        records.close(outcome)
    return screen.close(outcome)
