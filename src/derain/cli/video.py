"""`derain video`, which is also `derain` with a clip: clips, folders of numbered frames, and pipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from derain.errors import DerainError

Positive = validators.Number(gte=1)
Share = validators.Number(gte=0, lte=1)
Flag = Parameter(negative=())


def video(
    *inputs: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)] = None,
    codec: str | None = None,
    crf: float | None = None,
    temporal: Annotated[bool, Flag] = False,
    strength: Annotated[float, Parameter(validator=Share)] = 1.0,
    mask: Path | None = None,
    raw: str | None = None,
    pix_fmt: str = "rgb24",
    model: Annotated[str, Parameter(name=["--model", "-m"])] = "small",
    engine: Literal["openvino", "onnxruntime"] | None = None,
    device: str = "cpu",
    precision: Literal["float32", "bfloat16"] | None = None,
    threads: Annotated[int | None, Parameter(validator=Positive)] = None,
    tile_px: Annotated[int | None, Parameter(name="--tile", validator=Positive)] = None,
    limit_mib: Annotated[int | None, Parameter(validator=Positive)] = None,
    ensemble: Literal[1, 4, 8] = 1,
    overwrite: Annotated[bool, Flag] = False,
    suffix: str = "_derained",
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative=())] = False,
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
        FFmpeg's name of the layout of a raw pixel.
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
    tile_px
        Largest side of a tile in pixels; without it, the tile follows from --limit-mib.
    limit_mib
        Memory for the network in MiB.
    ensemble
        Take the mean over 4 flips, or over 8 flips and quarter turns: better with a network that knows rain from all sides, and
        as many times slower.
    overwrite
        Replace files that exist.
    suffix
        What the name of a result without -o ends with.
    quiet
        Print errors only.
    """
    from functools import partial

    from derain.cli.screening import Screening
    from derain.restore.mixing import read_mask
    from derain.restore.restorer import Restorer
    from derain.video.frames import Wishes
    from derain.video.orders import find_orders

    if not inputs:
        raise DerainError("no clip is named; try `derain clip.mp4` or `derain video --help`")
    orders = find_orders(inputs, output=output, suffix=suffix, overwrite=overwrite, raw=raw, pix_fmt=pix_fmt)
    wishes = Wishes(strength, None if mask is None else read_mask(mask), temporal)
    screening = Screening(orders.problems, is_quiet=quiet)
    if not orders.todo:
        return screening.close()
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
    screening.say(f"model {restorer.model.name} on {restorer.engine.name}, {restorer.engine.device}")
    for order in orders.todo:
        screening.show(order, partial(order.carry_out, restorer, wishes, screening, codec=codec, crf=crf))
    return screening.close()
