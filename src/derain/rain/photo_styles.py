"""Rain that photos show and published generators lack: specks, close drops, drips, long lines.

Shapes and ranges are ours, after photos on which a network trained without them left such rain.
Lengths are in pixels of a picture of 400 x 400.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from derain.rain.streak_masks import StreakMasks
from derain.rain.streaks import HALF_WIDTH, Floats, Streaks, draw

AREA_PX = 400 * 400
"""Area for which the numbers of streaks are given."""
DRIP_STEP_PX = (4.0, 14.0)
"""Distance between the first two drops that fall from an edge."""


def draw_specks(rng: np.random.Generator, height: int, width: int, masks: StreakMasks) -> Floats:
    """Dense fine drops, as before a dark wall: 1 to 6 pixels long, 1 to 1.6 wide."""
    count = _draw_count(rng, height, width, low=300, high=4000)
    return _draw_fallen(
        rng,
        height,
        width,
        length_px=rng.uniform(1, 4) * rng.uniform(0.7, 1.5, count),
        width_px=rng.uniform(1.0, 1.4) * rng.uniform(0.9, 1.15, count),
        light=_log_uniform(rng, 0.08, 0.5) * rng.uniform(0.3, 1.7, count),
    )


def draw_lines(rng: np.random.Generator, height: int, width: int, masks: StreakMasks) -> Floats:
    """A few faint lines across most of the picture: 120 to 500 pixels long, 0.8 to 2.5 wide."""
    count = _draw_count(rng, height, width, low=2, high=40)
    return _draw_fallen(
        rng,
        height,
        width,
        length_px=rng.uniform(120, 500, count),
        width_px=_log_uniform(rng, 0.8, 2.2) * rng.uniform(0.8, 1.2, count),
        light=_log_uniform(rng, 0.05, 0.5) * rng.uniform(0.5, 1.5, count),
    )


def draw_close_drops(
    rng: np.random.Generator, height: int, width: int, masks: StreakMasks
) -> Floats:
    """Some short, thick, bright drops: 5 to 45 pixels long, 2 to 7 wide.

    A falling drop swings, so its streak is a chain of one to four bright beads (Garg and Nayar, ACM
    SIGGRAPH 2006).
    """
    count = _draw_count(rng, height, width, low=6, high=150)
    thickness_px = _log_uniform(rng, 2.0, 5.5)
    length_px = thickness_px * rng.uniform(1.5, 5.0) * rng.uniform(0.6, 1.5, count)
    beads = int(rng.integers(1, 5))
    return _draw_fallen(
        rng,
        height,
        width,
        length_px=length_px,
        width_px=thickness_px * rng.uniform(0.7, 1.3, count),
        light=rng.uniform(0.3, 0.9) * rng.uniform(0.6, 1.2, count),
        beads=beads,
    )


def draw_drips(rng: np.random.Generator, height: int, width: int, masks: StreakMasks) -> Floats:
    """Water that drips from an edge: columns of drops that fall ever faster, straight down.

    With equal times between drops, their distances from the edge grow like 1, 4, 9 ..., and the
    lengths of their streaks like 1, 2, 3 ...
    """
    columns = max(1, int(rng.poisson(_log_uniform(rng, 1, 12) * width / 400)))
    exposure = rng.uniform(0.3, 1.2)  # relative to the time between two drops
    thickness_px, light = rng.uniform(1.2, 4.0), rng.uniform(0.2, 0.8)
    x: list[float] = []
    y: list[float] = []
    length_px: list[float] = []
    for left, edge in zip(
        rng.uniform(0, width, columns), rng.uniform(-0.5, 0.8, columns) * height, strict=True
    ):
        step_px, phase = rng.uniform(*DRIP_STEP_PX), rng.random()
        number = 0
        while (fallen := step_px * (number + phase) ** 2) < height - edge:
            x.append(left + rng.normal(0, 0.8))
            y.append(edge + fallen)
            length_px.append(max(2 * step_px * (number + phase) * exposure, thickness_px))
            number += 1
    count = len(x)
    return _draw_at(
        np.array(x),
        np.array(y),
        height,
        width,
        angle=np.zeros(count),
        length_px=np.array(length_px),
        width_px=thickness_px * rng.uniform(0.7, 1.3, count),
        light=light * rng.uniform(0.4, 1.3, count),
    )


def _draw_fallen(
    rng: np.random.Generator,
    height: int,
    width: int,
    *,
    length_px: NDArray[np.float64],
    width_px: NDArray[np.float64],
    light: NDArray[np.float64],
    beads: int = 1,
) -> Floats:
    """Draw streaks at random places, in one direction up to 35 degrees from the vertical.

    `beads` splits each into as many shorter ones of different light.
    """
    count = len(length_px)
    angle = np.radians(rng.uniform(-35, 35) + rng.normal(0, rng.uniform(0.5, 4.0), count))
    margin_px = float(length_px.max()) / 2
    x = rng.uniform(-margin_px, width + margin_px, count)
    y = rng.uniform(-margin_px, height + margin_px, count)
    rain = np.zeros((height, width), np.float32)
    for bead in range(beads):
        along_px = ((bead + 0.5) / beads - 0.5) * length_px
        rain += _draw_at(
            x + along_px * np.sin(angle),
            y + along_px * np.cos(angle),
            height,
            width,
            angle=angle,
            length_px=length_px / beads * (1.0 if beads == 1 else 1.5),
            width_px=width_px,
            light=light * (1.0 if beads == 1 else rng.uniform(0.3, 1.2, count)),
        )
    return rain


def _draw_at(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    height: int,
    width: int,
    *,
    angle: NDArray[np.float64],
    length_px: NDArray[np.float64],
    width_px: NDArray[np.float64],
    light: NDArray[np.float64],
) -> Floats:
    """Draw streaks whose centres are at (x, y); `angle` is in radians from the vertical."""
    half_width = HALF_WIDTH * width_px
    half_length = np.maximum(length_px / 2, half_width)
    arrays = (x, y, half_length, half_width, np.sin(angle), np.cos(angle), light)
    return draw(
        Streaks(*(np.asarray(array, np.float32) for array in arrays)), height=height, width=width
    )


def _draw_count(
    rng: np.random.Generator, height: int, width: int, *, low: float, high: float
) -> int:
    """Draw a number of streaks, `low` to `high` for a picture of 400 x 400; at least one."""
    return max(1, int(rng.poisson(_log_uniform(rng, low, high) * height * width / AREA_PX)))


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(low * (high / low) ** rng.random())
