"""Rain as the shutter of a video camera records it: streaks of a length that follows from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from derain.errors import DerainError
from derain.rain.model import RANGES, Rain, Seed, generator, random

SHUTTERS_S = (1 / 250, 1 / 60)
"""Exposure times of video, the shortest and the longest."""
DROPS_MM = (1.0, 4.0)
"""Diameters of the drops that are seen as streaks."""
USUAL_SHUTTER_S = 1 / 125
"""Exposure time at which streaks are as bright as `random` draws them."""


def fall_speed_m_s(diameter_mm: float) -> float:
    """Return the speed of a falling drop (Atlas, Srivastava and Sekhon, 1973, equation 2).

    v = 9.65 - 10.3 exp(-0.6 d)
    """
    return float(9.65 - 10.3 * np.exp(-0.6 * diameter_mm))


def streak_ratio(*, shutter_s: float, diameter_mm: float) -> float:
    """Return length / width of a streak: the way of a drop during the exposure, and the drop.

    The ratio does not depend on the distance of the drop or on the lens.
    """
    way_mm = 1000 * fall_speed_m_s(diameter_mm) * shutter_s
    return (way_mm + diameter_mm) / diameter_mm


def random_for_shutter(seed: Seed, *, shutter_s: float | None = None, **fixed: Any) -> Rain:
    """Draw rain like `random`, with streaks as long as an exposure of `shutter_s` makes them.

    Without `shutter_s` it is drawn from SHUTTERS_S. A longer exposure spreads the light of a drop
    over a longer streak, and a camera darkens the picture as a whole: the brightness falls with
    the root of the exposure time. `fixed` sets fields of `Rain`. Raises DerainError for an exposure
    that is not above 0.
    """
    rng = generator(seed)
    if shutter_s is None:
        low, high = np.log(SHUTTERS_S)
        shutter_s = float(np.exp(low + (high - low) * rng.random()))
    if not shutter_s > 0:  # also true for NaN
        raise DerainError(f"a shutter of {shutter_s:g} s is out of range; choose more than 0")
    diameter_mm = DROPS_MM[0] + (DROPS_MM[1] - DROPS_MM[0]) * float(rng.random())
    drawn = random(rng, **fixed)
    ratio = streak_ratio(shutter_s=shutter_s, diameter_mm=diameter_mm)
    shortest, longest = RANGES["length_px"]
    changed = {
        "length_px": float(np.clip(drawn.width_px * ratio, shortest, longest)),
        "brightness": float(np.clip(drawn.brightness * (USUAL_SHUTTER_S / shutter_s) ** 0.5, 0, 1)),
    }
    return Rain(**{**vars(drawn), **changed, **fixed})
