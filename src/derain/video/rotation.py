"""Which way up a clip is shown: the display matrix of its file as one of the eight orientations of EXIF.

Phones store a clip as their sensor lies, and a matrix that says how to turn it. A network sees it as people do.
"""

from __future__ import annotations

from collections.abc import Sequence

from derain.pictures import Pixels
from derain.pictures.orientation import upright

AS_STORED = 1
"""The orientation that asks for nothing."""
QUARTERS = {
    (1, 0, 0, 1): AS_STORED,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
"""Signs of a, b, c, d, by which a pixel goes from (x, y) to (a x + c y, b x + d y)."""
LYING = {5, 6, 7, 8}
"""Orientations that swap width and height."""


def orientation_of(matrix: Sequence[int] | None) -> int:
    """The orientation, 1 to 8, of nine numbers; AS_STORED for none, and for a turn by anything but quarters."""
    if matrix is None:
        return AS_STORED
    a, b, _, c, d = matrix[:5]
    return QUARTERS.get((_sign(a), _sign(b), _sign(c), _sign(d)), AS_STORED)


def turned_back(samples: Pixels, orientation: int) -> Pixels:
    """What `picture.orientation.upright` made of (H, W) or (H, W, C), as it was before. Contiguous."""
    return upright(
        samples, {6: 8, 8: 6}.get(orientation, orientation)
    )  # each other one undoes itself


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
