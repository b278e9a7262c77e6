"""`derain video`, which is also `derain` with a clip: clips, folders of numbered frames, and pipes."""

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
    Quiet,
    result_suffix,
)
from derain.errors import DerainError


def video(
    *inputs: Annotated[PathArgument, Parameter(allow_leading_hyphen=True)],
    output: Annotated[
        PathArgument | None, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)
    ] = None,
    codec: str | None = None,
    crf: float | None = None,
    temporal: Flag = False,
    strength: Fraction = 1.0,
    mask: Path | None = None,
    raw: str | None = None,
    pix_fmt: str | None = None,
    overwrite: Flag = False,
    suffix: str | None = None,
    quiet: Quiet = False,
    network: Network = DEFAULT_NETWORK,
) -> int:
    """Take the rain out of clips; sound, subtitles, rotation, colours and time stamps stay.

    Parameters
    ----------
    inputs
        Clips; folders of numbered frames; or `-` for frames on standard input, as of `ffmpeg -f yuv4mpegpipe`.
    output
        A folder; or a file, when there is one clip; or `-` for standard output. Without it, `clip_derained.mp4` beside the
        clip.
    codec
        FFmpeg's name of the encoder; without it, the one of the clip's own codec.
    crf
        Constant rate factor of the encoder: smaller is better and larger; without it, one at which no loss is seen.
    temporal
        Make what stands still agree from frame to frame: less flicker.
    strength
        The share of the estimated rain that is taken out, 0 to 1.
    mask
        A picture of the clip's size: rain is taken out where it is white, half of it where it is grey, none where it is black.
    raw
        Standard input holds raw frames of this size, WIDTHxHEIGHT.
    pix_fmt
        FFmpeg's name of the layout of a raw pixel; without it, rgb24.
    overwrite
        Replace files that exist.
    suffix
        What the name of a result without -o ends with: `_derained`.
    quiet
        Print errors only.
    """
    from functools import partial

    from derain.cli.video_progress import VideoProgress
    from derain.inference.blending import read_mask
    from derain.pictures.open_image import silence_libtiff
    from derain.video.frames import FrameOptions
    from derain.video.jobs import find_video_jobs

    if not inputs:
        raise DerainError("no clip is named; try `derain clip.mp4` or `derain video --help`")
    silence_libtiff()
    orders = find_video_jobs(
        inputs,
        output=output,
        suffix=result_suffix(suffix, default="_derained", output=output),
        overwrite=overwrite,
        raw=raw,
        pix_fmt=pix_fmt,
        is_encoder_chosen=codec is not None or crf is not None,
    )
    wishes = FrameOptions(strength, None if mask is None else read_mask(mask), temporal)
    screening = VideoProgress(orders, is_quiet=quiet)
    if not orders.todo:
        return screening.close()
    restorer = network.load()
    screening.say(
        f"model {restorer.model.name} on {restorer.engine.name}, {restorer.engine.device}"
    )
    for order in orders.todo:
        screening.show(
            order, partial(order.carry_out, restorer, wishes, screening, codec=codec, crf=crf)
        )
    return screening.close()
