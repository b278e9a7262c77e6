"""A moving camera over a still picture, and the errors that alignment leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from derain.data.pairs.pair import Image8
from derain.motion.camera import STILL, Matrix, from_corner, inverse

MARGIN_PX = 10
"""Pixels around a crop that the views of a camera may use."""
STILL_SHARE = 0.25
"""Share of the clips from a camera that stands still."""
MAX_SHIFT_PX = 6.0
"""Largest shift between two frames. A larger one shows the same, further along."""
MAX_TURN_DEG, MAX_ZOOM = 1.0, 0.015
ERROR_PX = 0.35
"""Standard deviation of the place of a pixel after alignment, at knots of a mesh."""
LARGE_ERROR_PX = 2.0
LARGE_ERROR_SHARE = 0.1
"""Share of neighbours with such errors: in these, alignment has matched rain."""
KNOTS = 4
"""Quadrilaterals of the mesh along each side."""


@dataclass(frozen=True)
class CameraPath:
    """Motion from the centre frame to the frame before and the frame after.

    Matrices (2, 3) map a place in the centre frame, (x, y, 1) in pixels from its middle, to its
    place in the neighbour.
    """

    before: Matrix
    after: Matrix


def random_path(rng: np.random.Generator) -> CameraPath:
    """Draw a path: a steady pan, turn and zoom, and shake."""
    if rng.random() < STILL_SHARE:
        return CameraPath(STILL, STILL)
    speed_px = MAX_SHIFT_PX * rng.random() ** 2
    angle = rng.uniform(0, 2 * np.pi)
    pan = speed_px * np.array([np.cos(angle), 0.4 * np.sin(angle)])
    turn, zoom = rng.uniform(-MAX_TURN_DEG, MAX_TURN_DEG), rng.uniform(-MAX_ZOOM, MAX_ZOOM)
    shake_px = 1.5 * rng.random() ** 2

    def motion(step: int) -> Matrix:
        shift = np.clip(step * pan + rng.normal(0, shake_px, 2), -MAX_SHIFT_PX, MAX_SHIFT_PX)
        angle, factor = np.radians(step * turn), 1 + step * zoom
        cosine, sine = factor * np.cos(angle), factor * np.sin(angle)
        return np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]])

    return CameraPath(motion(-1), motion(1))


def see(picture: Image8, motion: Matrix) -> Image8:
    """Return a square picture, (S, S, 3), as the camera sees it after `motion`.

    Places beyond the border are black.
    """
    if np.array_equal(motion, STILL):
        return picture
    height, width = picture.shape[:2]
    moved = Image.fromarray(picture).transform(
        (width, height),
        Image.Transform.AFFINE,
        tuple(from_corner(inverse(motion), width, height).flat),
        Image.Resampling.BICUBIC,
    )
    return np.asarray(moved)


def undo(view: Image8, motion: Matrix, *, rng: np.random.Generator, crop_px: int) -> Image8:
    """Return the middle of a view, (crop_px, crop_px, 3), moved back, with random errors.

    They are those of alignment: each knot of a mesh has an error in x and y.
    """
    side = view.shape[0]
    is_large = rng.random() < LARGE_ERROR_SHARE
    deviation_px = LARGE_ERROR_PX if is_large else ERROR_PX * rng.random()
    knots = np.linspace(0, crop_px, KNOTS + 1).round()
    places = np.stack(np.meshgrid(knots, knots), axis=-1) - crop_px / 2
    places = places + rng.normal(0, deviation_px, places.shape)
    places = places @ motion[:, :2].T + motion[:, 2] + side / 2
    mesh = [
        (
            tuple(int(knots[index]) for index in (column, row, column + 1, row + 1)),
            tuple(
                float(value)
                for corner in ((0, 0), (1, 0), (1, 1), (0, 1))
                for value in places[row + corner[0], column + corner[1]]
            ),
        )
        for row in range(KNOTS)
        for column in range(KNOTS)
    ]
    moved = Image.fromarray(view).transform(
        (crop_px, crop_px), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR
    )
    return np.asarray(moved)
