"""`derain rain`: render rain onto a clean photo."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from derain.cli.options import Flag, PathArgument
from derain.errors import DerainError


def rain(
    photo: PathArgument,
    /,
    *,
    output: Annotated[PathArgument | None, Parameter(name=["--output", "-o"])] = None,
    preset: Literal["light", "moderate", "heavy", "random"] = "moderate",
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
        Kind of rain; `random` draws one from the whole plausible range.
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
    from derain.rain import PRESETS, random, render

    clean = pictures.read(photo)
    jobs = find_jobs([photo], output=output, suffix="_rainy", overwrite=overwrite)
    for _, problem in jobs.problems:
        raise DerainError(problem)
    target = jobs.pending[0].target
    pictures.check_fits(clean, target)
    create_folder(target.parent)
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
    parameters = (
        random(seed, **changes) if preset == "random" else replace(PRESETS[preset], **changes)
    )
    rainy = render(clean.image, rain=parameters, seed=seed, scale=scale)
    pictures.write(clean.with_image(rainy), target)
    print(one_line(f"{photo} -> {target}"))
    for omission in clean.omissions + pictures.omissions_when_writing(clean, target):
        Console(is_quiet=False).info(f"{photo}: {omission}")
