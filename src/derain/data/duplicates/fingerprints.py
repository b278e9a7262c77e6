"""What a background is recognised by: the surroundings of its corners, whatever way up it is, cropped or compressed.

Each corner gives 63 bits. A patch of 27 x 27 pixels about it is averaged to 9 x 9, then turned and mirrored until its brightness
grows to the right and downwards, and faster to the right, so that the eight ways to lay a picture give the same bits; a bit says
whether a cell is brighter than the plane through the patch. Corners are taken at several scales, and the whole picture counts as
one more patch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]

LONGEST_PX = 512  # the pictures of all published sets but the largest keep their own pixels
SCALES = tuple(2 ** (-step / 3) for step in range(6))
CORNERS = 32  # for each scale
GRID = 9
CELL_PX = 3
REACH_PX = GRID * CELL_PX // 2
BITS = 63
_OFFSETS = np.arange(GRID) * CELL_PX - REACH_PX + CELL_PX // 2
_CHOSEN = np.random.default_rng(0).permutation(GRID * GRID)[
    :BITS
]  # neighbouring bits agree: spread them over the words
_WEIGHTS = np.uint64(1) << np.arange(BITS, dtype=np.uint64)


@dataclass(frozen=True)
class Fingerprint:
    """N patches of one picture."""

    bits: NDArray[np.uint64]
    """(N,)"""
    x: Floats
    y: Floats
    """(N,) centre, in pixels of the working picture."""
    scale: Floats
    """(N,) of the level in which the patch was taken, relative to the working picture; 0 for the patch of the whole picture."""
    turn: NDArray[np.int8]
    """(N,) how the patch was laid: 1 mirrored sideways, 2 upside down, 4 then transposed, added."""

    def __len__(self) -> int:
        return len(self.bits)


def join(parts: list[Fingerprint]) -> Fingerprint:
    """All patches of several pictures, one after the other."""
    return Fingerprint(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Fingerprint)
        )
    )


def working(image: Image.Image) -> Image.Image:
    """Return the picture in which backgrounds are compared: grey, its longer side no more than LONGEST_PX."""
    shrink = min(1.0, LONGEST_PX / max(image.size))
    grey = image.convert("L")
    size = (max(1, round(grey.width * shrink)), max(1, round(grey.height * shrink)))
    return grey if size == grey.size else grey.resize(size, Image.Resampling.BOX, reducing_gap=2.0)


def fingerprint(image: Image.Image) -> Fingerprint:
    """Fingerprint a working picture. Its first patch is the whole picture."""
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
    bits, turn = _describe(cells)
    x, y, scale = np.array([[(image.width - 1) / 2], [(image.height - 1) / 2], [0]], np.float32)
    return Fingerprint(bits, x, y, scale, turn)


def _corners(level: Floats, *, scale: float) -> Fingerprint:
    """The strongest corners of one scale, no two in one neighbourhood."""
    means = _box3(level)
    rows, columns = _peaks(_cornerness(_box3(means)))
    cells = means[(rows[:, None] + _OFFSETS)[:, :, None], (columns[:, None] + _OFFSETS)[:, None, :]]
    bits, turn = _describe(cells)
    x, y = (((place + 0.5) / scale - 0.5).astype(np.float32) for place in (columns, rows))
    return Fingerprint(bits, x, y, np.full(len(x), scale, np.float32), turn)


def _cornerness(smooth: Floats) -> Floats:
    """The smaller eigenvalue of the structure tensor: the same for a picture however it lies."""
    dx = smooth[1:-1, 2:] - smooth[1:-1, :-2]
    dy = smooth[2:, 1:-1] - smooth[:-2, 1:-1]
    xx, yy, xy = (_box3(product) for product in (dx * dx, dy * dy, dx * dy))
    strength: Floats = np.pad(xx + yy - np.sqrt((xx - yy) ** 2 + 4 * xy * xy), 1)
    return strength


def _peaks(strength: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the strongest local maxima that have a whole patch about them."""
    margin = REACH_PX + 1
    inner = strength[margin:-margin, margin:-margin]
    columns_near = np.maximum.reduce(
        [strength[margin + d : strength.shape[0] - margin + d] for d in (-2, -1, 0, 1, 2)]
    )
    near = np.maximum.reduce(
        [columns_near[:, margin + d : strength.shape[1] - margin + d] for d in (-2, -1, 0, 1, 2)]
    )
    rows, columns = np.nonzero(
        (inner >= near) & (inner > 4.0)
    )  # below this a patch is flat and its bits are noise
    strongest = np.argsort(-inner[rows, columns], kind="stable")[:CORNERS]
    return rows[strongest] + margin, columns[strongest] + margin


def _describe(cells: Floats) -> tuple[NDArray[np.uint64], NDArray[np.int8]]:
    """(N, 9, 9) brightness -> (N,) bits and (N,) turns."""
    cells = cells - cells.mean(axis=(1, 2), keepdims=True)
    ramp = np.arange(GRID, dtype=np.float32) - GRID // 2
    across, down = (cells * ramp).sum(axis=(1, 2)), (cells * ramp[:, None]).sum(axis=(1, 2))
    slope = np.float32(
        1 / (GRID * (ramp * ramp).sum())
    )  # every patch is laid by its slope: without it the bits tell them apart
    cells = cells - slope * (across[:, None, None] * ramp + down[:, None, None] * ramp[:, None])
    mirrored, upside_down, transposed = across < 0, down < 0, np.abs(down) > np.abs(across)
    cells = np.where(mirrored[:, None, None], cells[:, :, ::-1], cells)
    cells = np.where(upside_down[:, None, None], cells[:, ::-1], cells)
    cells = np.where(transposed[:, None, None], cells.transpose(0, 2, 1), cells)
    bits = ((cells.reshape(-1, GRID * GRID)[:, _CHOSEN] > 0) * _WEIGHTS).sum(
        axis=1, dtype=np.uint64
    )
    return bits, (mirrored + 2 * upside_down + 4 * transposed).astype(np.int8)


def _box3(image: Floats) -> Floats:
    """Sum over 3 x 3 pixels, divided by 9; the border keeps what it has."""
    out = image.copy()
    out[:, 1:-1] += image[:, 2:] + image[:, :-2]
    tall = out.copy()
    tall[1:-1] += out[2:] + out[:-2]
    tall *= np.float32(1 / 9)
    return tall
