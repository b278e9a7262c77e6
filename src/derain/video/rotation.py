"""Rotation of a clip: the display matrix of its file as one of the eight EXIF orientations.

Phones store a clip in the sensor's orientation, with a matrix that tells players how to rotate it.
The network sees the frames upright.
"""

from __future__ import annotations

from collections.abc import Sequence

from derain.pictures import Pixels
from derain.pictures.orientation import upright

AS_STORED = 1
"""The orientation that changes nothing."""
ORIENTATIONS = {
    (1, 0, 0, 1): AS_STORED,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
"""Orientations by the signs of a, b, c, d, which move a pixel (x, y) to (a x + c y, b x + d y)."""


def orientation_from_matrix(matrix: Sequence[int] | None) -> int:
    """Return the orientation, 1 to 8, of a display matrix of nine numbers.

    AS_STORED without a matrix, and for a rotation that is not a multiple of 90 degrees.
    """
    if matrix is None:
        return AS_STORED
    a, b, _, c, d = matrix[:5]
    return ORIENTATIONS.get((_sign(a), _sign(b), _sign(c), _sign(d)), AS_STORED)


def undo_upright(image: Pixels, orientation: int) -> Pixels:
    """Undo `pictures.orientation.upright`; (H, W) or (H, W, C). The result is contiguous."""
    # every orientation but 6 and 8 is its own inverse
    return upright(image, {6: 8, 8: 6}.get(orientation, orientation))


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
