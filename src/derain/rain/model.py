"""Parameters of rain, presets, and a sampler over the plausible range."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np

from derain.errors import DerainError

Composite = Literal["add", "screen", "blend"]
Seed = int | list[int] | np.random.Generator

RANGES: dict[str, tuple[float, float]] = {
    "coverage": (0.0, 6.0),
    "length_px": (1.0, 200.0),
    "length_spread": (0.0, 0.9),
    "width_px": (0.5, 12.0),
    "angle_deg": (-70.0, 70.0),
    "angle_spread_deg": (0.0, 15.0),
    "layer_spread_deg": (0.0, 30.0),
    "layers": (1, 8),
    "depth": (1.0, 20.0),
    "brightness": (0.0, 1.0),
    "brightness_spread": (0.0, 0.9),
    "defocus_px": (0.0, 12.0),
    "mist": (0.0, 1.0),
    "airlight": (0.0, 1.0),
}
"""Minimum and maximum of each parameter of `Rain`."""


@dataclass(frozen=True, kw_only=True)
class Rain:
    """Parameters of one kind of rain.

    Pixels are those of a picture of 400 x 400; streaks grow with larger pictures. Drops are spread
    evenly through the air, so every depth layer covers the same share of the picture: distant
    layers with many short, thin and faint streaks, near layers with few long, wide, bright and
    blurred ones. Raises DerainError for a value out of its range (`RANGES`).
    """

    coverage: float = 0.6
    """Mean number of streaks over a pixel, all layers together, with a streak as wide as
    `width_px`. About `1 - exp(-coverage)` of the picture is under one.
    The faint borders of streaks reach further."""
    length_px: float = 24.0
    """Length of a streak in the middle of the depth range."""
    length_spread: float = 0.4
    """Standard deviation of the length within a layer, relative to its mean."""
    width_px: float = 1.8
    """Width of a streak at half its brightness, in the middle of the depth range."""
    angle_deg: float = 8.0
    """Angle of the streaks: 0 falls straight down, positive drifts to the right while falling."""
    angle_spread_deg: float = 2.0
    """Standard deviation of the angle between streaks."""
    layer_spread_deg: float = 1.0
    """Standard deviation of the angle between layers: gusts. Large values make streaks cross."""
    layers: int = 4
    """Number of depth layers."""
    depth: float = 4.0
    """Ratio of the size of streaks in the nearest layer to that in the farthest."""
    brightness: float = 0.25
    """Light that a streak adds at its brightest point, in the middle of the depth range.
    1 is white."""
    brightness_spread: float = 0.4
    """Standard deviation of that light between streaks, relative to its mean."""
    defocus_px: float = 1.0
    """Blur of the nearest layer; it decreases to 0 at the farthest."""
    mist: float = 0.0
    """Share of the light that comes from rain too distant to show as streaks.
    0 is clear air, 1 hides everything."""
    airlight: float = 0.8
    """Brightness of the mist, and of the streaks with `composite = "blend"`."""
    composite: Composite = "add"
    """How streaks are combined with the picture.

    - `add`: added and clipped, as in the synthetic data sets
    - `screen`: 1 - (1 - picture) (1 - streaks)
    - `blend`: moved towards the airlight, like real drops, which show in front of a dark tree and
      vanish in front of a bright sky
    """

    def __post_init__(self) -> None:
        for name, (minimum, maximum) in RANGES.items():
            value = getattr(self, name)
            if not minimum <= value <= maximum:
                raise DerainError(
                    f"{name} = {value:g} is out of range for rain; "
                    f"choose a value from {minimum:g} to {maximum:g}"
                )
        if self.layers != int(self.layers):
            raise DerainError(
                f"layers = {self.layers:g} is not a whole number; choose one from 1 to 8"
            )
        if self.composite not in get_args(Composite):
            known = ", ".join(get_args(Composite))
            raise DerainError(f"composite = {self.composite} is unknown; choose one of {known}")


PRESETS: dict[str, Rain] = {
    "light": Rain(
        coverage=0.18,
        length_px=31.0,
        width_px=1.8,
        brightness=0.13,
        brightness_spread=0.6,
        layers=3,
        depth=2.0,
        defocus_px=0.3,
    ),
    "moderate": Rain(
        coverage=0.6,
        length_px=28.0,
        width_px=1.8,
        brightness=0.15,
        layers=4,
        depth=3.0,
        defocus_px=0.6,
        mist=0.08,
    ),
    "heavy": Rain(
        coverage=1.5,
        length_px=34.0,
        width_px=1.65,
        brightness=0.17,
        brightness_spread=0.3,
        layers=5,
        depth=2.5,
        defocus_px=0.3,
        mist=0.15,
    ),
}
"""Named kinds of rain. `light` and `heavy` have the streak statistics of Rain100L and Rain100H
(docs/data.md); `heavy` also has mist, which that set lacks."""


def resolve(rain: Rain | str) -> Rain:
    """Return `rain`, or the preset of that name. Raises DerainError for an unknown name."""
    if isinstance(rain, Rain):
        return rain
    if rain not in PRESETS:
        raise DerainError(f"{rain}: no such rain; choose one of {', '.join(PRESETS)}")
    return PRESETS[rain]


def generator(seed: Seed) -> np.random.Generator:
    """Return random numbers for a seed; a generator is returned unchanged.

    Raises DerainError for a negative seed.
    """
    try:
        return np.random.default_rng(seed)
    except ValueError as error:
        raise DerainError(f"a seed of {seed} is out of range; choose 0 or more") from error


def random(seed: Seed, **fixed: Any) -> Rain:
    """Draw rain from the whole plausible range.

    The range includes drizzle and downpour, calm and gusty, clear air and mist, and all composites.
    `fixed` sets fields of `Rain` instead of drawing them. The same seed gives the same rain.
    """
    rng = generator(seed)

    def uniform(low: float, high: float) -> float:
        return float(low + (high - low) * rng.random())

    def log_uniform(low: float, high: float) -> float:
        return float(low * (high / low) ** rng.random())

    coverage = log_uniform(0.08, 4.5)
    coverage = fixed.get("coverage", coverage)
    drawn: dict[str, Any] = {
        "coverage": coverage,
        "length_px": log_uniform(6.0, 60.0),
        "length_spread": uniform(0.2, 0.6),
        "width_px": log_uniform(1.0, 4.5),
        "angle_deg": 28.0 * uniform(-1, 1) + 17.0 * uniform(-1, 1),
        "angle_spread_deg": uniform(0.3, 4.0),
        "layer_spread_deg": uniform(0.0, 3.0) if rng.random() < 0.75 else uniform(3.0, 15.0),
        "layers": int(rng.integers(1, 7)),
        "depth": log_uniform(1.2, 8.0),
        # dense rain that is also bright would be a white sheet
        "brightness": min(log_uniform(0.08, 0.9), 0.6 / max(coverage, 0.6)),
        "brightness_spread": uniform(0.2, 0.6),
        "defocus_px": uniform(0.0, 3.0),
        "mist": uniform(0.0, 0.4) if rng.random() < 0.5 else 0.0,
        "airlight": uniform(0.6, 0.95),
        "composite": ("add", "add", "screen", "blend")[int(rng.integers(4))],
    }
    known = [field.name for field in fields(Rain)]
    if unknown := sorted(set(fixed) - set(known)):
        raise DerainError(
            f"{', '.join(unknown)}: not a parameter of rain; known are {', '.join(known)}"
        )
    return Rain(**{**drawn, **fixed})
