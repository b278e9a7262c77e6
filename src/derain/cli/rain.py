"""`derain rain`: render rain onto a clean photo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from derain.cli.options import Flag, OutputArgument, PathArgument
from derain.errors import DerainError

if TYPE_CHECKING:
    from derain.pictures import Pixels


StyleName = Literal[
    "rain1400",
    "hq-rain",
    "outdoor-rain",
    "rain-streak-gen",
    "rain-gen-noise",
    "rain-mix",
    "specks",
    "lines",
    "close-drops",
    "drips",
]


def rain(
    photo: PathArgument,
    /,
    *,
    output: Annotated[OutputArgument | None, Parameter(name=["--output", "-o"])] = None,
    preset: Literal["light", "moderate", "heavy", "random"] | None = None,
    style: StyleName | None = None,
    streaks: PathArgument | None = None,
    seed: int = 0,
    coverage: float | None = None,
    length_px: Annotated[float | None, Parameter(name="--length")] = None,
    width_px: Annotated[float | None, Parameter(name="--width")] = None,
    angle_deg: Annotated[float | None, Parameter(name="--angle")] = None,
    brightness: float | None = None,
    depth: float | None = None,
    defocus_px: Annotated[float | None, Parameter(name="--defocus")] = None,
    mist: float | None = None,
    composite: Literal["add", "screen", "blend"] | None = None,
    scale: float | None = None,
    overwrite: Flag = False,
) -> None:
    """Render rain onto a clean photo.

    Parameters
    ----------
    photo
        Clean photo.
    output
        Rainy photo, or a folder for it; by default `photo_rainy.jpg` next to `photo.jpg`.
    preset
        Kind of rain, `moderate` by default; `random` draws one from the whole plausible range.
    style
        Rain like that of a published data set, instead of a preset; docs/data.md describes each.
    streaks
        Folder of streak masks, grey on black, for the styles `rain-streak-gen` and `rain-mix`.
    seed
        Random seed; the same seed gives the same rain.
    coverage
        Mean number of streaks over a pixel, 0 to 6.
    length_px
        Length of a streak, 1 to 200, in pixels of a 400 x 400 picture; it grows with the picture.
    width_px
        Width of a streak, 0.5 to 12, in the same pixels.
    angle_deg
        Angle in degrees, -70 to 70: 0 falls straight down, positive drifts to the right.
    brightness
        Light that a streak adds, 0 to 1.
    depth
        Ratio of the size of the nearest streaks to that of the farthest, 1 to 20.
    defocus_px
        Blur of the nearest streaks, 0 to 12.
    mist
        Mist of distant rain, 0 to 1.
    composite
        How streaks are combined with the photo: `add` as in the synthetic data sets, `screen`, or
        `blend` as drops look to a camera.
    scale
        Factor for every length; by default 1 up to 400 x 400 pixels, more for larger photos.
    overwrite
        Replace an existing file.
    """
    from derain import pictures
    from derain.cli.console import Console, one_line
    from derain.files.paths import create_folder
    from derain.photos.jobs import find_jobs
    from derain.rain import PRESETS, STYLES, random, render

    options = {
        "coverage": coverage,
        "length_px": length_px,
        "width_px": width_px,
        "angle_deg": angle_deg,
        "brightness": brightness,
        "depth": depth,
        "defocus_px": defocus_px,
        "mist": mist,
        "composite": composite,
    }
    changes: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if style is not None and (preset is not None or changes):
        raise DerainError(
            f"--style {style}: has its own parameters; "
            "leave out --preset and the options of presets, or leave out --style"
        )
    masked = [name for name, recipe in STYLES.items() if recipe.needs_masks]
    if streaks is not None and style not in masked:
        raise DerainError(
            f"--streaks {streaks}: is for the styles {' and '.join(masked)} only; "
            "choose one of them with --style or leave out --streaks"
        )
    clean = pictures.read(photo)
    jobs = find_jobs([photo], output=output, suffix="_rainy", overwrite=overwrite)
    for _, problem in jobs.problems:
        raise DerainError(problem)
    target = jobs.pending[0].target
    pictures.check_fits(clean, target)
    create_folder(target.parent)
    if style is not None:
        rainy = _render_style(clean.image, style, seed=seed, scale=scale, streaks=streaks)
    else:
        name = preset or "moderate"
        parameters = (
            random(seed, **changes) if name == "random" else replace(PRESETS[name], **changes)
        )
        rainy = render(clean.image, rain=parameters, seed=seed, scale=scale)
    pictures.write(clean.with_image(rainy), target, overwrite=overwrite, permissions_of=photo)
    print(one_line(f"{photo} -> {target}"))
    for omission in clean.omissions + pictures.omissions_when_writing(clean, target):
        Console(is_quiet=False).info(f"{photo}: {omission}")


def _render_style(
    clean: Pixels, style: StyleName, *, seed: int, scale: float | None, streaks: Path | None
) -> Pixels:
    """Add the rain of a style, with the streak masks of a folder."""
    from derain.data.picture_cache import PictureCache
    from derain.data.training_pictures import open_pictures
    from derain.rain import StreakMasks, render_style

    masks, _ = ([], []) if streaks is None else open_pictures([streaks], PictureCache(), grey=True)
    return render_style(clean, style=style, seed=seed, scale=scale, masks=StreakMasks(masks))
