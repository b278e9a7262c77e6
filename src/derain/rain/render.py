"""Rendering of rain: depth layers of streaks, and the mist of distant rain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from derain.errors import DerainError
from derain.rain.model import Rain, Seed, generator, resolve
from derain.rain.streaks import HALF_WIDTH, Floats, Streaks, draw

Pixels = TypeVar("Pixels", bound=NDArray[np.generic])

WHITE = {"uint8": 255, "uint16": 65535, "float16": 1, "float32": 1, "float64": 1}
"""White of each supported dtype."""
REFERENCE_PX = 400
"""Height and width of the picture whose pixels `Rain` is expressed in."""
MIN_SIDE_PX = 4
"""Smallest side of a picture for each unit of the scale; larger streaks would not fit into it."""
MIN_SCALE = 0.05
"""The number of streaks grows with the inverse square of the scale."""
MAX_STREAKS = 5_000_000
"""Streaks in a layer, at 150 bytes each."""
RANGE_TOLERANCE = 1e-3
"""How far floats may exceed 0..1, as they do after a filter."""
MIN_WIDTH_PX = 1.2
"""Thinner streaks are drawn this wide and fainter, as a sensor would record them."""


def render(
    clean: Pixels, *, rain: Rain | str = "moderate", seed: Seed = 0, scale: float | None = None
) -> Pixels:
    """Add rain to `clean`, (H, W, 3) or (H, W), uint8, uint16 or float in 0..1.

    The result has the shape and dtype of `clean`. `rain` is a Rain or the name of a preset. `scale`
    multiplies every length; None uses 1 up to 400 x 400 pixels and grows with larger pictures. The
    same seed gives the same rain. Raises DerainError for another shape, dtype or range, and for a
    seed or scale out of range.
    """
    return render_frames([clean], rain=rain, seed=seed, scale=scale)[0]


def render_frames(
    cleans: Sequence[Pixels],
    *,
    rain: Rain | str = "moderate",
    seed: Seed = 0,
    scale: float | None = None,
) -> list[Pixels]:
    """Add rain to the frames of a clip, all of one size; the arguments are those of `render`.

    From one frame to the next, all drops are replaced: within 1/30 s they fall by more than the
    length of a streak. The mist stays. Raises DerainError where `render` does, and for frames of
    different sizes.
    """
    rain = resolve(rain)
    rng = generator(seed)
    for clean in cleans:
        check_picture(clean)
    if not cleans:
        return []
    height, width = cleans[0].shape[:2]
    for clean in cleans:
        if clean.shape[:2] != (height, width):
            raise DerainError(
                f"rain needs frames of one size, not {width}x{height} and "
                f"{clean.shape[1]}x{clean.shape[0]}; make a clip of each"
            )
    streaks = [layer(height, width, rain=rain, seed=rng, scale=scale) for _ in cleans]
    mist = rain.mist * smooth_field(height, width, rng=rng) if rain.mist else None
    return [
        add_rain(clean, light, mist, rain=rain)
        for clean, light in zip(cleans, streaks, strict=True)
    ]


def add_rain(clean: Pixels, streaks: Floats, mist: Floats | None, *, rain: Rain) -> Pixels:
    """Combine a picture with the light of streaks and the opacity of mist, both (H, W)."""
    white = np.float32(WHITE[clean.dtype.name])
    image = clean.astype(np.float32) / white
    if clean.ndim == 3:
        streaks, mist = streaks[..., None], None if mist is None else mist[..., None]
    airlight = np.float32(rain.airlight)
    if mist is not None:
        image += mist * (airlight - image)
    if rain.composite == "add":
        image += streaks
    elif rain.composite == "screen":
        image += np.minimum(streaks, 1) * (1 - image)
    else:
        opacity = np.minimum(streaks / np.float32(max(rain.airlight, 0.1)), 1)
        image += opacity * np.maximum(airlight - image, 0)
    return convert_like(clean, image)


def convert_like(clean: Pixels, image: Floats) -> Pixels:
    """Clip `image` to 0..1, and give it the dtype and the shape of `clean`."""
    image = (np.clip(image, 0, 1) * np.float32(WHITE[clean.dtype.name])).reshape(clean.shape)
    return cast(Pixels, (np.rint(image) if clean.dtype.kind == "u" else image).astype(clean.dtype))


def check_picture(clean: NDArray[np.generic]) -> None:
    """Raise DerainError if rain cannot be added to an array of this shape, dtype or range."""
    if clean.ndim not in (2, 3) or (clean.ndim == 3 and clean.shape[2] != 3) or 0 in clean.shape:
        raise DerainError(
            f"rain needs a picture (height, width, 3) or (height, width), not {clean.shape}; "
            "convert it first"
        )
    if clean.dtype.name not in WHITE:
        raise DerainError(
            f"rain needs a picture of {', '.join(WHITE)}, not {clean.dtype}; convert it first"
        )
    if clean.dtype.kind != "f":
        return
    low, high = clean.min(), clean.max()
    if not (low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):  # also true for NaN
        raise DerainError("rain needs floats in 0..1, without NaN; divide by the white level first")


def layer(
    height: int,
    width: int,
    *,
    rain: Rain | str = "moderate",
    seed: Seed = 0,
    scale: float | None = None,
) -> Floats:
    """Return only the streaks, float32 (H, W): light >= 0 added to black, not clipped, no mist."""
    rain = resolve(rain)
    rng = generator(seed)
    scale = resolve_scale(scale, height, width)
    light = np.zeros((height, width), np.float32)
    for index in range(int(rain.layers)):
        nearness = (index + 0.5) / rain.layers
        streaks = _place(rain, nearness, height=height, width=width, scale=scale, rng=rng)
        light += draw(streaks, height=height, width=width)
    return light


def resolve_scale(scale: float | None, height: int, width: int) -> float:
    """Return the scale of rain. None uses 1 up to 400 x 400 pixels and grows with larger pictures.

    Raises DerainError for a scale out of range.
    """
    if scale is None:
        return max(1.0, float(np.sqrt(height * width)) / REFERENCE_PX)
    largest = max(1.0, max(height, width) / MIN_SIDE_PX)
    if not MIN_SCALE <= scale <= largest:
        raise DerainError(
            f"a scale of {scale:g} is out of range for rain on {width}x{height} pixels; "
            f"choose {MIN_SCALE} to {largest:g}"
        )
    return scale


def _place(
    rain: Rain, nearness: float, *, height: int, width: int, scale: float, rng: np.random.Generator
) -> Streaks:
    """Place the streaks of the layer at `nearness`, 0 (far) to 1 (near)."""
    size = rain.depth ** (nearness - 0.5)
    length_px = rain.length_px * size * scale
    sharp_px = rain.width_px * size * scale
    blur_px = rain.defocus_px * nearness**2 * scale
    width_px = max(float(np.hypot(sharp_px, blur_px)), MIN_WIDTH_PX)
    layer_deg = rain.angle_deg + rain.layer_spread_deg * _bell(rng, 1)[0]
    # Streaks are placed in a larger area, so that the border is as dense as the middle.
    margin = (1 + rain.length_spread) * length_px / 2 + width_px
    area_height = height + 2 * margin
    area_width = width + 2 * margin * abs(np.sin(np.radians(layer_deg))) + 2 * width_px
    area = area_height * area_width
    count = int(rain.coverage / rain.layers * area / (length_px * sharp_px) + rng.random())
    if count > MAX_STREAKS:
        raise DerainError(
            f"rain of {count:,} streaks in a layer is too much; "
            "choose a larger scale, longer streaks or less coverage"
        )

    angle = np.radians(np.clip(layer_deg + rain.angle_spread_deg * _bell(rng, count), -80, 80))
    relative_length = np.maximum(1 + rain.length_spread * _bell(rng, count), 0.2)
    relative_width = np.maximum(1 + 0.25 * _bell(rng, count), 0.5)
    relative_light = np.maximum(1 + rain.brightness_spread * _bell(rng, count), 0.1)
    arrays = (
        rng.random(count) * area_width - (area_width - width) / 2,
        rng.random(count) * area_height - margin,
        length_px / 2 * relative_length,
        width_px * HALF_WIDTH * relative_width,
        np.sin(angle),
        np.cos(angle),
        rain.brightness * size**0.5 * sharp_px / width_px * relative_light,
    )
    return Streaks(*(array.astype(np.float32) for array in arrays))


def _bell(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Return nearly normal numbers of standard deviation 1, within 3.5.

    The sum of four uniform numbers: exact on every platform.
    """
    spread: NDArray[np.float64] = (rng.random((4, count)).sum(axis=0) - 2) * np.sqrt(3.0)
    return spread


def smooth_field(height: int, width: int, *, rng: np.random.Generator) -> Floats:
    """Return a smooth field (H, W) of 0.65 to 1, denser towards the top, where the view is far."""
    knots = 0.75 + 0.3 * rng.random((5, 5)) + np.linspace(0.1, -0.1, 5)[:, None]
    field: Floats = (_smoothstep_weights(height) @ knots @ _smoothstep_weights(width).T).astype(
        np.float32
    )
    return np.minimum(field, 1.0)


def _smoothstep_weights(count: int) -> NDArray[np.float64]:
    """Return (count, 5) weights that interpolate five knots by smoothsteps, 3 t^2 - 2 t^3."""
    place = np.linspace(0, 4, count) if count > 1 else np.full(1, 2.0)
    distance = np.minimum(np.abs(place[:, None] - np.arange(5)), 1)
    weights: NDArray[np.float64] = 1 - distance * distance * (3 - 2 * distance)
    return weights
