"""The motion of a camera between two frames: shift, turn and zoom.

A motion is a matrix (2, 3) that maps a place (x, y, 1) in the centre frame to its place in the
neighbour. Places are in pixels from the middle of the frame, so that a matrix of one size of the
frame becomes one of another size by scaling its last column.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain.motion.frame import Floats, Frame

Matrix: TypeAlias = NDArray[np.float64]

STILL: Matrix = np.eye(2, 3)
"""No motion."""
MAX_ITERATIONS = 4
CONVERGED_PX = 0.02
"""Largest step after which the refinement ends."""
MIN_TOLERANCE = 6.0
"""Levels of 255 by which places may differ at least before they count as rain or as an object."""
TUKEY = 4.685 * 1.4826
"""Tolerance of Tukey's biweight, in multiples of the median absolute difference."""
MIN_SIDE_PX = 8
"""Smaller frames are not searched for motion."""
OUTSIDE = -1000.0
"""Marks places beyond the border of the neighbour."""
CLIPPED_LEVELS = 30.0
"""Limit of a difference where motions are compared: an object is as bad as another scene."""
MAX_LOSS = 1.1
"""A shift by phase correlation is tried unless it makes the difference this much larger."""
MAX_REMAINDER = 0.97
"""A motion that leaves more than this share of the difference is that of the rain: the camera
stands still."""


def estimate_motion(centre: Frame, neighbour: Frame) -> Matrix:
    """Return the camera motion from `centre` to `neighbour`, in pixels of `Frame.small`.

    It is that of `search_motion`, or none if that makes the frames hardly more alike.
    """
    motion = search_motion(centre, neighbour)
    if motion is STILL:
        return motion
    moved = move(neighbour.small, motion)
    inside = moved > OUTSIDE / 2
    before, after = (
        np.minimum(np.abs(image - centre.small)[inside], CLIPPED_LEVELS).sum()
        for image in (neighbour.small, moved)
    )
    return motion if after < MAX_REMAINDER * before else STILL


def search_motion(centre: Frame, neighbour: Frame) -> Matrix:
    """Return the motion that makes two frames most alike, as `estimate_motion` does.

    The shift by phase correlation is refined. The result may be wrong, as after a cut. Frames of
    different size count as still.
    """
    if centre.small.shape != neighbour.small.shape or min(centre.coarse.shape) < MIN_SIDE_PX:
        return STILL
    shift = np.column_stack([STILL[:, :2], phase_shift(centre, neighbour)])
    still, shifted = (
        clipped_difference(centre.coarse, neighbour.coarse, motion) for motion in (STILL, shift)
    )
    # heavy rain differs as much as the scene, and phase correlation sees through it
    first = shift if shifted < MAX_LOSS * still else STILL
    return scaled(refine(centre.coarse, neighbour.coarse, first), 2.0)


def phase_shift(centre: Frame, neighbour: Frame) -> tuple[float, float]:
    """Return the shift (x, y) of the whole picture, in pixels of `Frame.coarse`.

    It is the peak of the phase correlation (Kuglin and Hines, 1975), between pixels by a parabola.
    """
    cross = neighbour.spectrum * centre.spectrum.conj()
    height, width = centre.coarse.shape
    correlation = np.fft.irfft2(cross / (np.abs(cross) + 1e-9), (height, width))
    row, column = np.unravel_index(np.argmax(correlation), correlation.shape)
    shifts = []
    for axis, length in ((1, width), (0, height)):
        line = correlation[row] if axis else correlation[:, column]
        peak = int(column if axis else row)
        position = peak + vertex(line[peak - 1], line[peak], line[(peak + 1) % length])
        shifts.append(float((position + length / 2) % length - length / 2))
    return shifts[0], shifts[1]


def vertex(before: float, middle: float, after: float) -> float:
    """Return where the parabola through three values, one pixel apart, has its extremum.

    It is -0.5 to 0.5 from the middle value, which is the largest or the smallest.
    """
    bend = before - 2 * middle + after
    return 0.0 if bend == 0 else float(np.clip((before - after) / (2 * bend), -0.5, 0.5))


def refine(centre: Floats, neighbour: Floats, motion: Matrix) -> Matrix:
    """Refine shift, turn and zoom by the brightness of all pixels, in robust least squares.

    This is the inverse compositional algorithm (Baker and Matthews, IJCV 2004) with Tukey's
    biweight, so that rain and moving objects count for little. Brightness and contrast of the
    neighbour are adapted. Returns the motion before the first step that is not possible.
    """
    height, width = centre.shape
    x, y = (np.arange(side, dtype=np.float32) - (side - 1) / 2 for side in (width, height))
    slope_y, slope_x = np.gradient(centre)
    reach = max(height, width) / 2
    zoom = (x * slope_x + y[:, None] * slope_y) / reach
    turn = (x * slope_y - y[:, None] * slope_x) / reach
    slopes = np.stack([slope_x, slope_y, zoom, turn]).reshape(4, -1)
    for _ in range(MAX_ITERATIONS):
        moved = move(neighbour, motion)
        inside = moved > OUTSIDE / 2
        if inside.mean() < 0.2:
            return motion
        difference = adapted(moved, centre, inside)
        tolerance = max(MIN_TOLERANCE, TUKEY * float(np.median(np.abs(difference[inside][::7]))))
        weight = np.maximum(1 - (difference / tolerance) ** 2, 0) ** 2 * inside
        weighted = slopes * weight.ravel()
        # not by BLAS, whose threads would disturb those of the network
        normal = np.einsum("in,jn->ij", weighted, slopes)
        if np.linalg.cond(normal) > 1e7:  # nothing to see in some direction
            return motion
        step = np.linalg.solve(normal, np.einsum("in,n->i", weighted, difference.ravel()))
        shift_x, shift_y, zoom_by, turn_by = step
        change = np.array(
            [
                [1 + zoom_by / reach, -turn_by / reach, shift_x],
                [turn_by / reach, 1 + zoom_by / reach, shift_y],
            ]
        )
        motion = compose(motion, inverse(change))
        if np.abs(step).max() < CONVERGED_PX:
            break
    return motion


def adapted(moved: Floats, centre: Floats, inside: NDArray[np.bool_]) -> Floats:
    """Return moved - centre, after `moved` has got the mean and the deviation of `centre`.

    Both are taken over the pixels that are `inside`.
    """
    means, deviations = zip(
        *((float(image[inside].mean()), float(image[inside].std())) for image in (moved, centre)),
        strict=True,
    )
    gain = np.clip(deviations[1] / max(deviations[0], 1e-3), 0.8, 1.25)
    return np.asarray((moved - means[0]) * gain - (centre - means[1]), np.float32)


def move(image: Floats, motion: Matrix) -> Floats:
    """Return (H, W): the value of `image` at the place of each pixel, bilinear, or OUTSIDE."""
    height, width = image.shape
    picture = Image.fromarray(image)
    moved = picture.transform(
        (width, height),
        Image.Transform.AFFINE,
        tuple(from_corner(motion, width, height).flat),
        Image.Resampling.BILINEAR,
        fillcolor=OUTSIDE,
    )
    return np.asarray(moved)


def from_corner(motion: Matrix, width: float, height: float) -> Matrix:
    """Return the matrix for places counted from the upper left corner instead of the middle."""
    middle = np.array([width / 2, height / 2])
    linear = motion[:, :2]
    return np.column_stack([linear, motion[:, 2] + middle - linear @ middle])


def clipped_difference(centre: Floats, neighbour: Floats, motion: Matrix) -> float:
    """Return the mean difference in levels of 255, each at most CLIPPED_LEVELS."""
    moved = move(neighbour, motion)
    difference = np.abs(moved - centre)
    return float(np.minimum(difference, CLIPPED_LEVELS).mean())


def scaled(motion: Matrix, factor: float) -> Matrix:
    """Return a motion for frames that are `factor` times as large."""
    return motion * (1, 1, factor)


def compose(second: Matrix, first: Matrix) -> Matrix:
    """Return the motion that applies `first`, then `second`."""
    return second[:, :2] @ first + np.column_stack([np.zeros((2, 2)), second[:, 2]])


def inverse(motion: Matrix) -> Matrix:
    """Return the motion in the other direction."""
    linear = np.linalg.inv(motion[:, :2])
    return np.column_stack([linear, -linear @ motion[:, 2]])
