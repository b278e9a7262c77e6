"""`derain rain`: rain rendered onto a clean photo."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

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
        The clean photo.
    output
        The rainy one, or a folder for it; without it, `photo_rainy.jpg` beside `photo.jpg`.
    preset
        The kind of rain. `random` draws one from all plausible kinds, by the seed.
    seed
        The same seed gives the same rain.
    coverage
        Streaks over a pixel on average, 0 to 6.
    length_px
        Length of a streak, 1 to 200, in pixels of a picture of 400 x 400; larger pictures have longer streaks.
    width_px
        Width of a streak, 0.5 to 12, in the same pixels.
    angle_deg
        Lean in degrees, -70 to 70: 0 falls straight down, positive drifts to the right.
    brightness
        Light that a streak adds, 0 to 1.
    depth
        How many times larger the nearest streaks are than the farthest, 1 to 20.
    defocus_px
        Blur of the nearest streaks, 0 to 12.
    mist
        Veil of far rain, 0 to 1.
    composite
        How streaks join the picture: `add` as the synthetic data sets do, `screen`, or `blend` as a camera sees drops.
    scale
        Multiplies every length; without it, 1 up to 400 x 400, more for larger pictures.
    overwrite
        Replace a file that is already there.
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
    given = {
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
    changed = {name: value for name, value in given.items() if value is not None}
    kind = random(seed, **changed) if preset == "random" else replace(PRESETS[preset], **changed)  # type: ignore[arg-type]
    pictures.write(clean.with_image(render(clean.image, rain=kind, seed=seed, scale=scale)), target)
    print(one_line(f"{photo} -> {target}"))
    for text in clean.omissions + pictures.omissions_when_writing(clean, target):
        Console(is_quiet=False).info(f"{photo}: {text}")
