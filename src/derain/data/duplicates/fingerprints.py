"""Fingerprints of backgrounds that do not depend on orientation, cropping, scale or compression.

Each corner gives 63 bits. A patch of 27 x 27 pixels around it is averaged to 9 x 9 cells. It is
then mirrored and transposed until its brightness grows to the right and downwards, and faster to
the right, so that the eight orientations of a picture give the same bits. A bit is set if a cell is
brighter than the plane fitted to the patch. Corners are taken at several scales, and the whole
picture counts as one more patch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]

MAX_SIDE_PX = 512
"""Longer side of the pictures that are compared: most published pictures are not resized."""
SCALES = tuple(2 ** (-step / 3) for step in range(6))
CORNERS_PER_SCALE = 32
GRID = 9
CELL_PX = 3
REACH_PX = GRID * CELL_PX // 2
BITS = 63
MIN_CORNERNESS = 4.0
"""Patches around weaker corners are flat, and their bits are noise."""
_OFFSETS = np.arange(GRID) * CELL_PX - REACH_PX + CELL_PX // 2
# Neighbouring cells tend to agree: a random order spreads them over the words of the bits.
_CELL_ORDER = np.random.default_rng(0).permutation(GRID * GRID)[:BITS]
_BIT_VALUES = np.uint64(1) << np.arange(BITS, dtype=np.uint64)


@dataclass(frozen=True)
class Fingerprint:
    """N patches of one comparison image."""

    bits: NDArray[np.uint64]
    """(N,)"""
    x: Floats
    """(N,) centre, in pixels of the comparison image, like `y`."""
    y: Floats
    scale: Floats
    """(N,) scale of the level that the patch was taken from; 0 for the whole picture."""
    orientation: NDArray[np.int8]
    """(N,) sum of 1 (mirrored left to right), 2 (mirrored top to bottom), 4 (then transposed)."""

    def __len__(self) -> int:
        return len(self.bits)


def join(parts: list[Fingerprint]) -> Fingerprint:
    """Concatenate the patches of several pictures."""
    return Fingerprint(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Fingerprint)
        )
    )


def comparison_image(image: Image.Image) -> Image.Image:
    """Return the picture as it is compared: grey, its longer side at most MAX_SIDE_PX."""
    shrink = min(1.0, MAX_SIDE_PX / max(image.size))
    grey = image.convert("L")
    size = (max(1, round(grey.width * shrink)), max(1, round(grey.height * shrink)))
    return grey if size == grey.size else grey.resize(size, Image.Resampling.BOX, reducing_gap=2.0)


def fingerprint(image: Image.Image) -> Fingerprint:
    """Fingerprint a comparison image. The first patch is the whole picture."""
    parts = [_whole(image)]
    for scale in SCALES:
        size = (round(image.width * scale), round(image.height * scale))
        if min(size) < 2 * REACH_PX + 6:
            break
        level = image if scale == 1 else image.resize(size, Image.Resampling.BOX)
        parts.append(_corners(np.asarray(level, dtype=np.float32), scale=scale))
    return join(parts)


def _whole(image: Image.Image) -> Fingerprint:
    cells = np.asarray(image.resize((GRID, GRID), Image.Resampling.BOX), dtype=np.float32)[None]
    bits, orientation = _describe(cells)
    x, y, scale = np.array([[(image.width - 1) / 2], [(image.height - 1) / 2], [0]], np.float32)
    return Fingerprint(bits, x, y, scale, orientation)


def _corners(level: Floats, *, scale: float) -> Fingerprint:
    """Fingerprint the strongest corners of one scale, no two within the same 5 x 5 pixels."""
    means = _box3(level)
    rows, columns = _peaks(_cornerness(_box3(means)))
    cells = means[(rows[:, None] + _OFFSETS)[:, :, None], (columns[:, None] + _OFFSETS)[:, None, :]]
    bits, orientation = _describe(cells)
    x, y = (((place + 0.5) / scale - 0.5).astype(np.float32) for place in (columns, rows))
    return Fingerprint(bits, x, y, np.full(len(x), scale, np.float32), orientation)


def _cornerness(smooth: Floats) -> Floats:
    """Return the smaller eigenvalue of the structure tensor (Shi and Tomasi, CVPR 1994), times 2.

    It does not depend on the orientation of the picture:
    xx + yy - sqrt((xx - yy)^2 + 4 xy^2), with sums over 3 x 3 pixels.
    """
    dx = smooth[1:-1, 2:] - smooth[1:-1, :-2]
    dy = smooth[2:, 1:-1] - smooth[:-2, 1:-1]
    xx, yy, xy = (_box3(product) for product in (dx * dx, dy * dy, dx * dy))
    strength: Floats = np.pad(xx + yy - np.sqrt((xx - yy) ** 2 + 4 * xy * xy), 1)
    return strength


def _peaks(strength: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of the strongest local maxima that a whole patch fits around."""
    margin = REACH_PX + 1
    height, width = strength.shape
    inner = strength[margin:-margin, margin:-margin]
    reach = (-2, -1, 0, 1, 2)
    near_rows = np.maximum.reduce([strength[margin + d : height - margin + d] for d in reach])
    near = np.maximum.reduce([near_rows[:, margin + d : width - margin + d] for d in reach])
    rows, columns = np.nonzero((inner >= near) & (inner > MIN_CORNERNESS))
    strongest = np.argsort(-inner[rows, columns], kind="stable")[:CORNERS_PER_SCALE]
    return rows[strongest] + margin, columns[strongest] + margin


def _describe(cells: Floats) -> tuple[NDArray[np.uint64], NDArray[np.int8]]:
    """Turn brightness, (N, 9, 9), into bits, (N,), and orientations, (N,)."""
    cells = cells - cells.mean(axis=(1, 2), keepdims=True)
    ramp = np.arange(GRID, dtype=np.float32) - GRID // 2
    across, down = (cells * ramp).sum(axis=(1, 2)), (cells * ramp[:, None]).sum(axis=(1, 2))
    # The slope sets the orientation, so every patch has it; the bits describe what remains.
    slope = np.float32(1 / (GRID * (ramp * ramp).sum()))
    cells = cells - slope * (across[:, None, None] * ramp + down[:, None, None] * ramp[:, None])
    mirrored, upside_down, transposed = across < 0, down < 0, np.abs(down) > np.abs(across)
    cells = np.where(mirrored[:, None, None], cells[:, :, ::-1], cells)
    cells = np.where(upside_down[:, None, None], cells[:, ::-1], cells)
    cells = np.where(transposed[:, None, None], cells.transpose(0, 2, 1), cells)
    is_set = cells.reshape(-1, GRID * GRID)[:, _CELL_ORDER] > 0
    bits = (is_set * _BIT_VALUES).sum(axis=1, dtype=np.uint64)
    return bits, (mirrored + 2 * upside_down + 4 * transposed).astype(np.int8)


def _box3(image: Floats) -> Floats:
    """Return the sum over 3 x 3 pixels divided by 9; at the border, over the border pixels only."""
    out = image.copy()
    out[:, 1:-1] += image[:, 2:] + image[:, :-2]
    tall = out.copy()
    tall[1:-1] += out[2:] + out[:-2]
    tall *= np.float32(1 / 9)
    return tall
