"""Pairs that lie side by side in one file: are they, and which half is the clean one?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain.data.alignment import likeness
from derain.data.pairs.pair import CleanSide, decode
from derain.errors import DataError

SAMPLE = 12  # files looked at: enough for a vote, and a set of thousands is still listed in seconds
ALIKE = 0.6  # correlation of the two halves at 16 x 16; two halves of one photo reach it rarely


def detect_clean_half(paths: Sequence[Path]) -> CleanSide | None:
    """Vote over a sample of the files: the side of the clean half, or None if the halves do not show the same scene.

    Rain adds edges, so the clean half is the one with the smaller mean gradient.
    """
    step = max(1, len(paths) // SAMPLE)
    votes = [vote for path in paths[::step][:SAMPLE] if (vote := _vote(path)) is not None]
    alike = [edges for correlation, edges in votes if correlation > ALIKE]
    if not alike or len(alike) < 0.7 * len(votes):
        return None
    return "left" if np.median(alike) > 0 else "right"


def _vote(path: Path) -> tuple[float, float] | None:
    """How alike the halves are, and how much more edges the right one has (log ratio); None for a file that cannot be read."""
    try:
        both = decode(path)
    except DataError:
        return None
    height, width = both.shape[:2]
    if width < 32 or height < 16 or width % 2:
        return 0.0, 0.0
    halves = both[:, : width // 2], both[:, width // 2 :]
    left, right = (Image.fromarray(half).convert("L") for half in halves)
    if any(
        np.ptp(np.asarray(half.resize((16, 16), Image.Resampling.BOX))) == 0
        for half in (left, right)
    ):
        return 0.0, 0.0  # a plain half is like any other
    return likeness(*halves), float(np.log(_edges(right) / _edges(left)))


def _edges(image: Image.Image) -> float:
    pixels: NDArray[np.float64] = np.asarray(image, dtype=np.float64)
    return (
        float(np.abs(np.diff(pixels, axis=0)).mean() + np.abs(np.diff(pixels, axis=1)).mean())
        + 1e-6
    )
