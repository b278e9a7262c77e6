"""Rain over a clean picture: depth layers of streaks, and the mist of what is too far to be seen as streaks."""

from __future__ import annotations

from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from derain.errors import DerainError
from derain.rain.model import Rain, Seed, generator, resolve
from derain.rain.streaks import HALF_WIDTH, Floats, Streaks, draw

Pixels = TypeVar("Pixels", bound=NDArray[np.generic])

WHITE = {"uint8": 255, "uint16": 65535, "float16": 1, "float32": 1, "float64": 1}
REFERENCE_PX = 400  # the pixels of `Rain` are those of a picture of this height and width
LEAST_SIDE_PX = 4  # of a picture, for each unit of the scale: larger streaks would not fit into it
LEAST_SCALE = 0.05  # the number of streaks grows with its square
MOST_STREAKS = 5_000_000  # in a layer: 150 bytes each
ROUNDING = 1e-3  # by how much floats may lie outside of 0..1, as they do after a filter
THINNEST_PX = 1.2  # a thinner streak is drawn this wide and fainter, as a sensor would see it


def render(
    clean: Pixels, *, rain: Rain | str = "moderate", seed: Seed = 0, scale: float | None = None
) -> Pixels:
    """Lay rain over `clean`, (H, W, 3) or (H, W), uint8, uint16 or float in 0..1; the result has its shape and dtype.

    `rain` is a Rain or the name of a preset. `scale` multiplies every length: None takes 1 up to 400 x 400 and grows with larger
    pictures. The same seed gives the same rain. Raises DerainError for another shape, dtype or range
    and for a seed or a scale that is out of range.
    """
    kind = resolve(rain)
    if clean.ndim not in (2, 3) or (clean.ndim == 3 and clean.shape[2] != 3) or 0 in clean.shape:
        raise DerainError(
            f"rain needs a picture (height, width, 3) or (height, width), this is {clean.shape}; convert it first"
        )
    if clean.dtype.name not in WHITE:
        raise DerainError(
            f"rain needs a picture of {', '.join(WHITE)}, this is {clean.dtype}; convert it first"
        )
    if clean.dtype.kind == "f" and not (
        clean.min() >= -ROUNDING and clean.max() <= 1 + ROUNDING
    ):  # nor NaN
        raise DerainError(
            "rain needs floats in 0..1, and these go beyond or are no numbers; divide by the white first"
        )
    white = np.float32(WHITE[clean.dtype.name])
    rng = generator(seed)
    height, width = clean.shape[:2]
    streaks = layer(height, width, rain=kind, seed=rng, scale=scale)
    mist = kind.mist * _cloud(height, width, rng=rng) if kind.mist else None
    image = clean.astype(np.float32) / white
    if clean.ndim == 3:
        streaks, mist = streaks[..., None], None if mist is None else mist[..., None]
    if mist is not None:
        image += mist * (np.float32(kind.airlight) - image)
    if kind.composite == "add":
        image += streaks
    elif kind.composite == "screen":
        image += np.minimum(streaks, 1) * (1 - image)
    else:
        image += np.minimum(streaks / np.float32(max(kind.airlight, 0.1)), 1) * np.maximum(
            np.float32(kind.airlight) - image, 0
        )
    image = np.clip(image, 0, 1) * white
    return cast(Pixels, (np.rint(image) if clean.dtype.kind == "u" else image).astype(clean.dtype))


def layer(
    height: int,
    width: int,
    *,
    rain: Rain | str = "moderate",
    seed: Seed = 0,
    scale: float | None = None,
) -> Floats:
    """Return the streaks alone, float32 (H, W): the light that they add to black, 0 and up, not clipped, without mist."""
    kind = resolve(rain)
    rng = generator(seed)
    if scale is None:
        scale = max(1.0, float(np.sqrt(height * width)) / REFERENCE_PX)
    largest = max(1.0, max(height, width) / LEAST_SIDE_PX)
    if not LEAST_SCALE <= scale <= largest:
        raise DerainError(
            f"a scale of {scale:g} is out of range for rain on {width}x{height} pixels; choose {LEAST_SCALE} to {largest:g}"
        )
    light = np.zeros((height, width), np.float32)
    for index in range(int(kind.layers)):
        nearness = (index + 0.5) / kind.layers
        light += draw(
            _streaks(kind, nearness, height=height, width=width, scale=scale, rng=rng),
            height=height,
            width=width,
        )
    return light


def _streaks(
    rain: Rain, nearness: float, *, height: int, width: int, scale: float, rng: np.random.Generator
) -> Streaks:
    """Place the streaks of the layer at `nearness`, 0 (far) to 1 (near)."""
    size = rain.depth ** (nearness - 0.5)
    length = rain.length_px * size * scale
    sharp = rain.width_px * size * scale
    blur = rain.defocus_px * nearness**2 * scale
    wide = max(float(np.hypot(sharp, blur)), THINNEST_PX)
    lean = rain.angle_deg + rain.layer_spread_deg * _bell(rng, 1)[0]
    margin = (1 + rain.length_spread) * length / 2 + wide
    tall, broad = height + 2 * margin, width + 2 * margin * abs(np.sin(np.radians(lean))) + 2 * wide
    count = int(rain.coverage / rain.layers * tall * broad / (length * sharp) + rng.random())
    if count > MOST_STREAKS:
        raise DerainError(
            f"rain of {count:,} streaks in a layer is too much; give a larger scale, longer streaks or less coverage"
        )

    angle = np.radians(np.clip(lean + rain.angle_spread_deg * _bell(rng, count), -80, 80))
    variety = np.maximum(1 + rain.length_spread * _bell(rng, count), 0.2)
    girth = np.maximum(1 + 0.25 * _bell(rng, count), 0.5)
    light = (
        rain.brightness
        * size**0.5
        * sharp
        / wide
        * np.maximum(1 + rain.brightness_spread * _bell(rng, count), 0.1)
    )
    x, y = rng.random(count) * broad - (broad - width) / 2, rng.random(count) * tall - margin
    arrays = (
        x,
        y,
        length / 2 * variety,
        wide * HALF_WIDTH * girth,
        np.sin(angle),
        np.cos(angle),
        light,
    )
    return Streaks(*(array.astype(np.float32) for array in arrays))


def _bell(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Nearly normal numbers of deviation 1, never beyond 3.5: the sum of four uniform ones, exact on every platform."""
    spread: NDArray[np.float64] = (rng.random((4, count)).sum(axis=0) - 2) * np.sqrt(3.0)
    return spread


def _cloud(height: int, width: int, *, rng: np.random.Generator) -> Floats:
    """Return a smooth field (H, W) from 0.65 to 1, somewhat denser towards the top, where the view is far."""
    knots = 0.75 + 0.3 * rng.random((5, 5)) + np.linspace(0.1, -0.1, 5)[:, None]
    field: Floats = (_smooth(height) @ knots @ _smooth(width).T).astype(np.float32)
    return np.minimum(field, 1.0)


def _smooth(count: int) -> NDArray[np.float64]:
    """Return (count, 5) weights that interpolate five knots with smooth steps."""
    place = np.linspace(0, 4, count) if count > 1 else np.full(1, 2.0)
    distance = np.minimum(np.abs(place[:, None] - np.arange(5)), 1)
    weights: NDArray[np.float64] = 1 - distance * distance * (3 - 2 * distance)
    return weights
