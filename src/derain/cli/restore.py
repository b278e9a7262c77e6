"""`derain restore`, the verb that `derain photo.jpg` stands for: photos and folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from derain.cli.options import (
    DEFAULT_NETWORK,
    Flag,
    Fraction,
    Network,
    OutputArgument,
    Positive,
    Quiet,
    result_suffix,
)
from derain.errors import DerainError

if TYPE_CHECKING:
    from derain.photos.jobs import JobList
    from derain.photos.options import RestoreOptions
    from derain.photos.worker import PhotoResult


def restore(
    *inputs: OutputArgument,
    output: Annotated[OutputArgument | None, Parameter(name=["--output", "-o"])] = None,
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
    ray: str | None = None,
    quiet: Quiet = False,
    network: Network = DEFAULT_NETWORK,
) -> int:
    """Remove rain from photos and folders of photos.

    Parameters
    ----------
    inputs
        Photos (PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF, HEIC), and folders, which are searched with
        their subfolders. With --ray also s3://BUCKET/FOLDER and gs://BUCKET/FOLDER.
    output
        A folder, which gets the same subfolders as the input; or a file, for a single photo. A
        name that ends with a slash is a folder. Default: `photo_derained.jpg` beside `photo.jpg`.
    jobs
        Number of pictures in progress at the same time. The network restores one of them, while
        others are read and written.
    strength
        Share of the detected rain to remove, from 0 (none) to 1 (all).
    mask
        Picture of the photo's size. Rain is removed in full where it is white, by half where it is
        mid-grey, and not at all where it is black.
    save_rain
        Also write the removed rain as a picture: `photo_derained_rain.jpg`.
    strip
        Drop metadata such as camera, place and texts; keep the colour profile.
    compare
        Write rainy and restored side by side in one picture, for inspection.
    overwrite
        Replace existing results, which are otherwise kept.
    suffix
        End of the names of results that are written beside their photos. Default: `_derained`, or
        `_compared` with --compare.
    shard
        Restore one of several equal parts of a folder, for several machines: `2/8` is the second of
        eight.
    report
        Write an HTML page with a slider between before and after for each picture.
    json
        Write a JSON file with the result and the timing of each picture.
    ray
        Restore one folder on the Ray cluster of this address. `auto` uses the cluster that this
        machine belongs to; `local` starts Ray on this machine.
    quiet
        Print errors only.
    """
    from derain.cluster.location import is_store
    from derain.inference.blending import read_mask
    from derain.photos.jobs import find_jobs
    from derain.photos.options import RestoreOptions
    from derain.photos.reports.report_file import check_report_name
    from derain.photos.shard import Shard
    from derain.pictures.open_image import silence_libraries
    from derain.result_names import COMPARED_SUFFIX, DERAINED_SUFFIX

    def read_options() -> RestoreOptions:
        pixels = None if mask is None else read_mask(mask)
        return RestoreOptions(strength, pixels, strip=strip, compare=compare)

    if not inputs:
        raise DerainError("no photo given; try `derain photo.jpg` or `derain --help`")
    check_report_name(report, option="--report", suffixes=(".html", ".htm"))
    check_report_name(json, option="--json", suffixes=(".json",))
    silence_libraries()
    if ray is not None:
        from derain.cli.cluster import reject_unsupported, restore_on_ray

        reject_unsupported(
            {"save-rain": save_rain, "suffix": suffix, "shard": shard, "report": report}
        )
        return restore_on_ray(
            inputs,
            address=ray,
            output=output,
            options=read_options(),
            network=vars(network),
            overwrite=overwrite,
            json=json,
            is_quiet=quiet,
        )
    default_suffix = COMPARED_SUFFIX if compare else DERAINED_SUFFIX
    for address in [*inputs, output or ""]:
        if is_store(address):
            raise DerainError(f"{address}: object stores need --ray ADDRESS, or --ray local")
    job_list = find_jobs(
        [Path(path) for path in inputs],
        output=output,
        suffix=result_suffix(suffix, default=default_suffix, output=output),
        overwrite=overwrite,
        shard=None if shard is None else Shard.parse(shard),
        with_rain=save_rain,
    )
    return _restore_here(
        job_list, network, read_options(), workers=jobs, html=report, json=json, is_quiet=quiet
    )


def _restore_here(
    jobs: JobList,
    network: Network,
    options: RestoreOptions,
    *,
    workers: int,
    html: Path | None,
    json: Path | None,
    is_quiet: bool,
) -> int:
    """Restore a batch on this machine, write its reports, and return the exit code."""
    from derain.cli.photo_progress import PhotoProgress
    from derain.photos.batch import PhotoBatch
    from derain.photos.reports.group import BatchReports, report_header
    from derain.photos.summary import Summary

    progress = PhotoProgress(jobs, is_quiet=is_quiet)
    restorer = None
    if jobs.pending:
        restorer = network.load()
        progress.info(f"model {restorer.description}")
    summary = Summary.from_jobs(jobs)
    header = report_header("none" if restorer is None else restorer.description)
    with BatchReports(jobs, header, html=html, json=json, is_compared=options.compare) as reports:

        def on_result(result: PhotoResult) -> None:
            progress.report(result)
            reports.add_result(result)

        if restorer is not None:
            batch = PhotoBatch(
                restorer,
                options,
                workers=workers,
                with_previews=html is not None,
                on_progress=progress.advance,
                on_result=on_result,
                on_existing=reports.add_existing,
            )
            with progress.bar:
                summary = batch.run(jobs)
        reports.finish(summary)
    return progress.finish(summary, reports.problems)
