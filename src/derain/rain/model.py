"""What rain is: the numbers that describe it, presets, and a sampler over the plausible range."""

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
"""The least and the greatest value of each number of `Rain`."""


@dataclass(frozen=True, kw_only=True)
class Rain:
    """One kind of rain. Pixels are those of a picture of 400 x 400; on larger ones streaks grow with the picture.

    Drops are spread evenly through the air, so every depth layer covers the same share of the picture: the far ones with many
    short, thin and faint streaks, the near ones with few long, wide, bright and blurred ones. A value out of its range
    (`RANGES`) raises DerainError.
    """

    coverage: float = 0.6
    """Streaks over a pixel, on average, all layers together; about `1 - exp(-coverage)` of the picture lies under one."""
    length_px: float = 24.0
    """Length of a streak in the middle of the depth range."""
    length_spread: float = 0.4
    """Standard deviation of the length within a layer, relative to its mean."""
    width_px: float = 1.8
    """Width of a streak at half its brightness, in the middle of the depth range."""
    angle_deg: float = 8.0
    """Lean of the streaks: 0 falls straight down, positive drifts to the right while falling."""
    angle_spread_deg: float = 2.0
    """Standard deviation of the lean from streak to streak."""
    layer_spread_deg: float = 1.0
    """Standard deviation of the lean from layer to layer: gusts; large values make streaks cross."""
    layers: int = 4
    """Depth layers, from far to near."""
    depth: float = 4.0
    """How many times longer and wider a streak of the nearest layer is than one of the farthest."""
    brightness: float = 0.25
    """Light that a streak adds at its brightest in the middle of the depth range, 1 being white."""
    brightness_spread: float = 0.4
    """Standard deviation of that light from streak to streak, relative to its mean."""
    defocus_px: float = 1.0
    """Blur of the nearest layer; it falls to nothing at the farthest."""
    mist: float = 0.0
    """Share of the light that comes from rain too far away to show as streaks: 0 is clear air, 1 hides everything."""
    airlight: float = 0.8
    """Brightness of the mist, and of the streaks where they are blended."""
    composite: Composite = "add"
    """How streaks join the picture: `add`, clipped, as the synthetic sets are made; `screen`; or `blend`, towards the airlight,
    which is how a drop looks: plain before a dark tree, unseen before a bright sky."""

    def __post_init__(self) -> None:
        for name, (least, greatest) in RANGES.items():
            value = getattr(self, name)
            if not least <= value <= greatest:
                raise DerainError(
                    f"{name} = {value:g} is out of range for rain; choose a value from {least:g} to {greatest:g}"
                )
        if self.layers != int(self.layers):
            raise DerainError(
                f"layers = {self.layers:g} is no whole number; choose one from 1 to 8"
            )
        if self.composite not in get_args(Composite):
            raise DerainError(
                f"composite = {self.composite} is not known; choose one of {', '.join(get_args(Composite))}"
            )


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
"""`light` and `heavy` have the streak statistics of Rain100L and Rain100H (docs/data.md); mist apart, which those sets lack."""


def resolve(rain: Rain | str) -> Rain:
    """Return `rain`, or the preset of that name. Raises DerainError for an unknown name."""
    if isinstance(rain, Rain):
        return rain
    if rain not in PRESETS:
        raise DerainError(f"{rain}: no such rain; choose one of {', '.join(PRESETS)}")
    return PRESETS[rain]


def generator(seed: Seed) -> np.random.Generator:
    """Random numbers from a seed, or those of a generator. Raises DerainError for a negative seed."""
    try:
        return np.random.default_rng(seed)
    except ValueError as error:
        raise DerainError(f"a seed of {seed} is out of range; choose 0 or more") from error


def random(seed: Seed, **fixed: Any) -> Rain:
    """Draw one rain from the whole plausible range: drizzle to downpour, calm to gusty, clear air to mist, all composites.

    `fixed` names fields of `Rain` that are given instead of drawn. The same seed gives the same rain.
    """
    rng = generator(seed)

    def between(low: float, high: float) -> float:
        return float(low + (high - low) * rng.random())

    def ratio(low: float, high: float) -> float:
        return float(low * (high / low) ** rng.random())

    coverage = ratio(0.08, 4.5)
    drawn: dict[str, Any] = {
        "coverage": coverage,
        "length_px": ratio(6.0, 60.0),
        "length_spread": between(0.2, 0.6),
        "width_px": ratio(1.0, 4.5),
        "angle_deg": 28.0 * between(-1, 1) + 17.0 * between(-1, 1),
        "angle_spread_deg": between(0.3, 4.0),
        "layer_spread_deg": between(0.0, 3.0) if rng.random() < 0.75 else between(3.0, 15.0),
        "layers": int(rng.integers(1, 7)),
        "depth": ratio(1.2, 8.0),
        "brightness": min(
            ratio(0.08, 0.9), 0.6 / coverage
        ),  # dense and bright at once is a white sheet
        "brightness_spread": between(0.2, 0.6),
        "defocus_px": between(0.0, 3.0),
        "mist": between(0.0, 0.4) if rng.random() < 0.5 else 0.0,
        "airlight": between(0.6, 0.95),
        "composite": ("add", "add", "screen", "blend")[int(rng.integers(4))],
    }
    unknown = sorted(set(fixed) - {field.name for field in fields(Rain)})
    if unknown:
        raise DerainError(
            f"{', '.join(unknown)}: rain has no such field; it has {', '.join(field.name for field in fields(Rain))}"
        )
    return Rain(**{**drawn, **fixed})
