"""`derain restore`, which is also `derain` without a verb: photos and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from derain.cli.options import (
    DEFAULT_NETWORK,
    Flag,
    Fraction,
    Network,
    PathArgument,
    Positive,
    Quiet,
    result_suffix,
)
from derain.errors import DerainError


def restore(
    *inputs: PathArgument,
    output: Annotated[PathArgument | None, Parameter(name=["--output", "-o"])] = None,
    jobs: Annotated[int, Parameter(name=["--jobs", "-j"], validator=Positive)] = 2,
    strength: Fraction = 1.0,
    mask: Path | None = None,
    save_rain: Flag = False,
    strip: Flag = False,
    compare: Flag = False,
    overwrite: Flag = False,
    suffix: str | None = None,
    shard: str | None = None,
    report: Path | None = None,
    json: Path | None = None,
    quiet: Quiet = False,
    network: Network = DEFAULT_NETWORK,
) -> int:
    """Take the rain out of photos and folders.

    Parameters
    ----------
    inputs
        Photos (PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF, HEIC) and folders of them, which are searched through and through.
    output
        A folder, which mirrors the tree of the inputs; or a file, when there is one photo. Without it, `photo_derained.jpg`
        beside `photo.jpg`.
    jobs
        Pictures in hand at a time: the network takes one, the others are read or written.
    strength
        The share of the estimated rain that is taken out, 0 to 1.
    mask
        A picture of the photo's size: rain is taken out where it is white, half of it where it is grey, none where it is black.
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
        `2/8` does the second of eight shares of the folders, about equal in size; the other machines do the others.
    report
        Write a page (HTML) with a slider between before and after for each picture.
    json
        Write what was done with each picture, and how long it took, to this file.
    quiet
        Print errors only.
    """
    from derain.cli.photo_progress import PhotoProgress
    from derain.inference.blending import read_mask
    from derain.photos.batch import BatchResult, PhotoBatch
    from derain.photos.jobs import find_jobs
    from derain.photos.options import RestoreOptions
    from derain.photos.reports.group import BatchReports
    from derain.photos.reports.report_file import check_report
    from derain.photos.shard import Shard
    from derain.photos.summary import summarise
    from derain.photos.worker import PhotoResult
    from derain.pictures.open_image import silence_libtiff

    if not inputs:
        raise DerainError("no photo is named; try `derain photo.jpg` or `derain --help`")
    check_report(report, option="--report", suffixes=(".html", ".htm"))
    check_report(json, option="--json", suffixes=(".json",))
    silence_libtiff()
    errands = find_jobs(
        inputs,
        output=output,
        suffix=result_suffix(
            suffix, default="_compared" if compare else "_derained", output=output
        ),
        overwrite=overwrite,
        shard=None if shard is None else Shard.parse(shard),
        with_rain=save_rain,
    )
    treatment = RestoreOptions(
        strength, None if mask is None else read_mask(mask), strips=strip, compares=compare
    )
    screen = PhotoProgress(errands, is_quiet=quiet)
    restorer = None
    if errands.todo:
        restorer = network.load()
        screen.info(
            f"model {restorer.model.name} on {restorer.engine.name}, {restorer.engine.device}"
        )
    outcome = BatchResult()

    def on_record(record: PhotoResult) -> None:
        records.note(record)
        screen.report_omissions(record)

    with BatchReports(errands, restorer, page=report, json=json, is_compared=compare) as records:
        if restorer is not None:
            batch = PhotoBatch(
                restorer,
                treatment,
                jobs=jobs,
                previews=report is not None,
                on_progress=screen.advance,
                on_problem=screen.error,
                on_record=on_record,
            )
            with screen:
                outcome = batch.run(errands.todo)
        summary = summarise(errands, outcome)
        records.close(summary, late=outcome.already_there)
    for problem in records.problems:
        screen.error(problem)
    return screen.finish(summary) or int(bool(records.problems))
