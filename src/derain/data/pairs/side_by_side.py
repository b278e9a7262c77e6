"""Pairs that share one file, side by side: detection, and which half is clean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain.data.alignment import likeness
from derain.data.pairs.pair import CleanSide, decode
from derain.errors import DataError

SAMPLED_FILES = 12
"""Enough for a vote, while a set of thousands of files is still listed within seconds."""
MIN_LIKENESS = 0.6
"""Correlation of the two halves at 16 x 16 pixels. The halves of one photo rarely reach it."""
MIN_LIKE_SHARE = 0.7
"""Share of the sampled files whose halves must be alike."""


def detect_clean_half(paths: Sequence[Path]) -> CleanSide | None:
    """Return the side of the clean half, by a vote over a sample of the files.

    Rain adds edges, so the clean half has the smaller mean gradient. Returns None if the halves do
    not show the same scene.
    """
    step = max(1, len(paths) // SAMPLED_FILES)
    votes = [vote for path in paths[::step][:SAMPLED_FILES] if (vote := _vote(path)) is not None]
    ratios = [log_ratio for correlation, log_ratio in votes if correlation > MIN_LIKENESS]
    if not ratios or len(ratios) < MIN_LIKE_SHARE * len(votes):
        return None
    return "left" if np.median(ratios) > 0 else "right"


def _vote(path: Path) -> tuple[float, float] | None:
    """Return the likeness of both halves and log(edges on the right / edges on the left).

    None for a file that cannot be read; (0, 0) if the halves cannot be compared.
    """
    try:
        picture = decode(path)
    except DataError:
        return None
    height, width = picture.shape[:2]
    if width < 32 or height < 16 or width % 2:
        return 0.0, 0.0
    halves = picture[:, : width // 2], picture[:, width // 2 :]
    left, right = (Image.fromarray(half).convert("L") for half in halves)
    if _is_plain(left) or _is_plain(right):  # a plain half resembles any other
        return 0.0, 0.0
    return likeness(*halves), float(np.log(_edges(right) / _edges(left)))


def _is_plain(half: Image.Image) -> bool:
    """True if all pixels are equal at 16 x 16."""
    return bool(np.ptp(np.asarray(half.resize((16, 16), Image.Resampling.BOX))) == 0)


def _edges(image: Image.Image) -> float:
    """Return the mean absolute difference of neighbouring pixels, above 0."""
    pixels: NDArray[np.float64] = np.asarray(image, dtype=np.float64)
    vertical, horizontal = (np.abs(np.diff(pixels, axis=axis)).mean() for axis in (0, 1))
    return float(vertical + horizontal) + 1e-6
