"""`derain video`, also `derain CLIP`: clips, folders of numbered frames, and pipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from derain.cli.options import (
    DEFAULT_CLIP_NETWORK,
    ClipNetwork,
    Flag,
    Fraction,
    OutputArgument,
    PathArgument,
    Quiet,
    parse_size,
    result_suffix,
)
from derain.errors import DerainError


def video(
    *inputs: Annotated[PathArgument, Parameter(allow_leading_hyphen=True)],
    output: Annotated[
        OutputArgument | None, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)
    ] = None,
    codec: str | None = None,
    crf: float | None = None,
    strength: Fraction = 1.0,
    mask: Path | None = None,
    raw: str | None = None,
    pix_fmt: str | None = None,
    overwrite: Flag = False,
    suffix: str | None = None,
    quiet: Quiet = False,
    network: ClipNetwork = DEFAULT_CLIP_NETWORK,
) -> int:
    """Remove rain from clips. Sound, subtitles, rotation, colours and time stamps are kept.

    Parameters
    ----------
    inputs
        Clips, folders of numbered frames, or `-` for frames on standard input
        (`ffmpeg -f yuv4mpegpipe`).
    output
        A folder; a file, for a single clip; or `-` for standard output. A name that ends with a
        slash is a folder. Default: `clip_derained.mp4` beside the clip.
    codec
        FFmpeg name of the encoder. Default: the codec of the clip.
    crf
        Constant rate factor of the encoder; lower means better quality and a larger file.
        Default: visually lossless.
    strength
        Share of the detected rain to remove, from 0 (none) to 1 (all).
    mask
        Picture of the clip's size. Rain is removed in full where it is white, by half where it is
        mid-grey, and not at all where it is black.
    raw
        Read raw frames of this size, WIDTHxHEIGHT, from standard input.
    pix_fmt
        FFmpeg pixel format of the raw frames. Default: rgb24.
    overwrite
        Replace existing files.
    suffix
        Suffix for results written beside their source. Default: `_derained`.
    quiet
        Print errors only.
    """
    from functools import partial

    from derain.cli.video_progress import VideoProgress
    from derain.inference.blending import read_mask
    from derain.pictures.open_image import silence_libraries
    from derain.result_names import DERAINED_SUFFIX
    from derain.video.frames import FrameOptions
    from derain.video.jobs import find_video_jobs

    if not inputs:
        raise DerainError("no clip given; try `derain clip.mp4` or `derain video --help`")
    silence_libraries()
    jobs = find_video_jobs(
        inputs,
        output=output,
        suffix=result_suffix(suffix, default=DERAINED_SUFFIX, output=output),
        overwrite=overwrite,
        raw=None if raw is None else parse_size(raw, option="--raw"),
        pix_fmt=pix_fmt,
        is_encoder_chosen=codec is not None or crf is not None,
    )
    options = FrameOptions(strength, None if mask is None else read_mask(mask))
    progress = VideoProgress(jobs, is_quiet=quiet)
    if not jobs.pending:
        return progress.exit_code
    restorer = network.load_for_clips()
    progress.info(f"model {restorer.description}")
    for job in jobs.pending:
        run = partial(
            job.run,
            restorer,
            options,
            codec=codec,
            crf=crf,
            on_start=progress.start,
            on_frame=progress.advance,
        )
        progress.run(job, run)
        if progress.is_interrupted:
            break
    return progress.exit_code
