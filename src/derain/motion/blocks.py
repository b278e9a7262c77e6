"""Local motion, left over by the camera's, and where a neighbour shows the same as its frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

from derain.motion.camera import OUTSIDE
from derain.motion.frame import Floats

CELL_PX = 6
"""Side of a cell, in pixels of `Frame.small`."""
COARSE_PX, FINE_PX = 3, 1
"""Largest shift that is tried at half the size of `Frame.small`, and from the best one there."""
MEDIAN_CELLS = 5
"""The motion of a cell is the median of so many cells in each direction. Rain, which is at another
place in each frame, moves the best fit of single cells."""
MAX_SHARE = 0.85
"""Share of the difference without a shift below which a shift is preferred to none."""
MAX_REMAINDER = 0.85
"""Cells move if that leaves less than this share of the difference, on average over
MEDIAN_CELLS in each direction."""
MIN_TOLERANCE = 5.0
"""Mean difference of a cell, in levels of 255, that is always accepted."""
MAX_TOLERANCE = 20.0
"""The same that is never accepted: that of heavy rain, which replaces all drops."""
TOLERANCE = 4.0
"""Mean difference that is accepted, in multiples of the median over the cells: rain is everywhere,
a moving object is not."""

Shifts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Blocks:
    """Local motion of cells, and trust in them."""

    shifts: Floats
    """(rows, columns, 2): x and y, in pixels of `Frame.small`."""
    trust: Floats
    """(rows, columns): 1 where the neighbour shows the same as its frame, 0 where it does not."""


def match_blocks(centre: Floats, moved: Floats) -> Blocks:
    """Compare a frame with its neighbour after the camera's motion was undone, both (H, W).

    For each cell, the shift with the smallest mean difference of the cell and those around it is
    searched at half the size, then among its neighbours at full size. The median of many cells
    counts, and only where it makes the frames more alike.
    """
    inside = moved > OUTSIDE / 2
    moved = np.where(inside, moved, centre)
    coarse = search(halved(centre), halved(moved), cell_px=CELL_PX // 2, reach_px=COARSE_PX)
    first = np.rint(2 * median(coarse, MEDIAN_CELLS)).astype(np.int64)
    fine = search(centre, displaced(moved, first, CELL_PX), cell_px=CELL_PX, reach_px=FINE_PX)
    shifts = median(fine + first, MEDIAN_CELLS)
    shifted = displaced(moved, np.rint(shifts).astype(np.int64), CELL_PX)
    still, after = (smoothed_means(np.abs(image - centre), CELL_PX) for image in (moved, shifted))
    remainder = mean(after, MEDIAN_CELLS) / np.maximum(mean(still, MEDIAN_CELLS), 1e-6)
    moves = (remainder < MAX_REMAINDER) & (after < still)
    shifts = np.where(moves[..., None], shifts, np.float32(0))
    best = np.where(moves, after, still)
    is_inside = smoothed_means(inside.astype(np.float32), CELL_PX) > 0.999
    middle = float(np.median(best[is_inside])) if is_inside.any() else 0.0
    tolerance = float(np.clip(TOLERANCE * middle, MIN_TOLERANCE, MAX_TOLERANCE))
    trust = np.clip(2 - best / tolerance, 0, 1) * is_inside
    return Blocks(median(shifts, 3), trust.astype(np.float32))


def search(centre: Floats, moved: Floats, *, cell_px: int, reach_px: int) -> Floats:
    """Return the best shift of each cell, (rows, columns, 2).

    Shifts by whole pixels up to `reach_px` are tried; a parabola gives the place between them. No
    shift is preferred unless another one is much better.
    """
    below = -len(centre) % cell_px  # whole cells only, so that many shifts make one image
    centre = np.pad(centre, ((0, below), (0, 0)), mode="edge")
    padded = np.pad(moved, ((reach_px, reach_px + below), (reach_px, reach_px)), mode="edge")
    shifted = sliding_window_view(padded, centre.shape)  # (y, x, H, W)
    height, width = centre.shape
    cells = [means(np.abs(line - centre).reshape(-1, width), cell_px) for line in shifted]
    differences = mean(np.reshape(cells, (*shifted.shape[:2], height // cell_px, -1)), 3)
    differences[reach_px, reach_px] *= MAX_SHARE
    count, (rows, columns) = len(shifted), differences.shape[2:]
    by_cell = differences.reshape(count**2, rows, columns)
    y, x = np.divmod(by_cell.argmin(axis=0), count)
    row, column = np.indices((rows, columns))
    places = [
        x + between(differences[y, :, row, column], x),
        y + between(differences[:, x, row, column].transpose(1, 2, 0), y),
    ]
    return np.stack(places, axis=-1) - np.float32(reach_px)


def between(lines: Floats, index: Shifts) -> Floats:
    """Return the place of the minimum of each line relative to `index`, its smallest value.

    (rows, columns, N), (rows, columns) -> (rows, columns), -0.5 to 0.5; 0 at the ends of a line.
    """
    inner = np.clip(index, 1, lines.shape[-1] - 2)
    before, middle, after = (
        np.take_along_axis(lines, inner[..., None] + step, axis=-1)[..., 0] for step in (-1, 0, 1)
    )
    bend = np.maximum(before - 2 * middle + after, 1e-6)
    place = np.clip((before - after) / (2 * bend), -0.5, 0.5)
    return np.where(inner == index, place, 0).astype(np.float32)


def halved(image: Floats) -> Floats:
    """Return an image at half its size."""
    return np.asarray(Image.fromarray(image).reduce(2))


def displaced(image: Floats, shifts: Shifts, cell_px: int) -> Floats:
    """Return each pixel from its place shifted by that of its cell, (rows, columns, 2)."""
    height, width = image.shape
    rows, columns = shifts.shape[:2]
    reach = int(np.abs(shifts).max(initial=0))
    beyond = rows * cell_px - height, columns * cell_px - width
    padded = np.pad(image, [(reach, reach + extra) for extra in beyond], mode="edge")
    row, column = np.indices((rows, columns)) * cell_px + reach
    places = row + shifts[..., 1], column + shifts[..., 0]
    cells = sliding_window_view(padded, (cell_px, cell_px))[places]
    whole = cells.transpose(0, 2, 1, 3).reshape(rows * cell_px, columns * cell_px)
    return np.asarray(whole[:height, :width], np.float32)


def smoothed_means(values: Floats, cell_px: int) -> Floats:
    """Return the mean of each cell, averaged with those around it, (H, W) -> (rows, columns)."""
    return mean(means(values, cell_px), 3)


def means(values: Floats, cell_px: int) -> Floats:
    """Return the mean of each cell, (H, W) -> (rows, columns). The last ones may be smaller."""
    return np.asarray(Image.fromarray(values).reduce(cell_px))


def mean(cells: Floats, side: int) -> Floats:
    """Return the mean of `side` x `side` cells around each cell, (..., rows, columns)."""
    reach = side // 2
    rows, columns = cells.shape[-2:]
    around = [(0, 0)] * (cells.ndim - 2) + [(reach, reach)] * 2
    padded = np.pad(cells, around, mode="edge")
    lines = np.sum([padded[..., row : row + rows, :] for row in range(side)], axis=0)
    total = np.sum([lines[..., column : column + columns] for column in range(side)], axis=0)
    return np.asarray(total / side**2, np.float32)


def median(shifts: Floats, side: int) -> Floats:
    """Return the median of `side` x `side` cells around each cell, for x and y; `side` is odd."""
    reach = side // 2
    padded = np.pad(shifts, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    windows = sliding_window_view(padded, (side, side), axis=(0, 1))
    values = windows.reshape(*shifts.shape, side**2)  # faster than np.median
    return np.asarray(np.partition(values, side**2 // 2)[..., side**2 // 2], np.float32)
