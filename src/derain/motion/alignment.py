"""Alignment: a neighbour as it would look from the place of the centre frame.

Motion of the camera is undone, then local motion. Where a neighbour shows something else than the
centre frame (a moving object, the border), the other neighbour takes its place, and where that does
too, the centre frame. So they do as a whole after a cut, a flash, or motion that is not found. The
other neighbour comes first because a copy of the centre frame says that nothing there is rain.
Where one neighbour stands for both, dark things that only it shows give way to the centre frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias, cast

import numpy as np
from PIL import Image, ImageFilter

from derain.motion.blocks import CELL_PX, Blocks, match_blocks, means
from derain.motion.camera import (
    OUTSIDE,
    STILL,
    Matrix,
    estimate_motion,
    from_corner,
    move,
    scaled,
)
from derain.motion.frame import Floats, Frame, Pixels

Mesh: TypeAlias = list[tuple[tuple[int, int, int, int], tuple[float, ...]]]
"""Boxes of the result, and the corners of the quadrilaterals that fill them (`Image.transform`)."""
PAD_PX = 8
"""Copies of the border pixels around a neighbour."""
MESH_CELLS = 2
"""Cells along each side of a quadrilateral of the mesh by which a frame is moved."""
MIN_LIKENESS = 0.45
"""Least correlation of a neighbour with its frame. That of two photos is lower."""
MIN_DEVIATION = 3.0
"""Levels of 255. Flatter frames, such as black ones, have no likeness."""
MAX_FLASH = 8.0
"""Largest difference of the mean brightness, in levels of 255."""
MIN_TRUST = 0.25
"""Least share of a frame that its neighbour shows too."""
MAX_OTHER_TRUST = 0.5
"""Where the trust in one neighbour is below this, the other one is alone."""
MIN_DARKER = 30.0
"""Levels of 255 by which an object is darker than what it hides, at least."""
OBJECT_RADIUS_PX, MARGIN_PX = 2, 3
"""An object is a square of twice the radius and one pixel, in pixels of `Frame.small`, or larger.
What is around it within the margin goes with it."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """A neighbour after alignment, of the size and dtype of its frame."""

    image: Pixels
    """The neighbour, moved; the frame itself if nothing matches."""
    trust: Floats | None = None
    """(rows, columns) of cells: 1 where it shows the same as its frame; None if nothing matches."""

    @property
    def share(self) -> float:
        """Share of the frame that the neighbour shows too, 0 to 1; 0 after a cut."""
        return 0.0 if self.trust is None else float(self.trust.mean())


def align(centre: Frame, neighbour: Frame, *, motion: Matrix | None = None) -> Alignment:
    """Align `neighbour` with `centre`; their camera motion is estimated unless it is known.

    Frames of different size or dtype do not match.
    """
    first, second = centre.image, neighbour.image
    if first.shape != second.shape or first.dtype != second.dtype:
        return Alignment(first)
    if motion is None:
        motion = estimate_motion(centre, neighbour)
    moved = move(neighbour.small, motion)
    if not is_same_scene(centre.small, moved):
        return Alignment(first)
    blocks = match_blocks(centre.small, moved)
    if float(blocks.trust.mean()) < MIN_TRUST:
        return Alignment(first)
    return Alignment(move_frame(neighbour, motion, blocks), blocks.trust)


def fill(before: Alignment, after: Alignment, centre: Frame) -> tuple[Pixels, Pixels]:
    """Return the neighbours of `centre`, each with what does not match replaced.

    There, the neighbour on the other side shows, and where that does not match, the frame.
    """
    shown = [
        (after, trust_alone(after, before, centre)),
        (before, trust_alone(before, after, centre)),
    ]
    layers = [(side.image, weights(trust, centre)) for side, trust in shown if trust is not None]
    images = []
    for order in (layers, layers[::-1]):
        image = centre.image
        for moved, weight in order:
            image = moved if weight is None else blended(image, moved, weight)
        images.append(image)
    return images[0], images[1]


def trust_alone(own: Alignment, other: Alignment, centre: Frame) -> Floats | None:
    """Return the trust in `own`, 0 for what is darker than `centre` where `other` is not trusted.

    Both neighbours will be `own` there, and what is darker in both looks like what rain hides. It
    may be an object that enters the frame, and that the network would draw into `centre`.
    """
    if own.trust is None:
        return None
    is_alone = own.trust > 0
    if other.trust is not None:
        is_alone &= other.trust < MAX_OTHER_TRUST
    if not is_alone.any():
        return own.trust
    is_darker = centre.darkest - Frame(own.image).darkest > MIN_DARKER
    if not is_darker.any():
        return own.trust
    # by blurs, which are faster than filters for the minimum and the maximum
    share = Image.fromarray(np.uint8(255) * is_darker).filter(ImageFilter.BoxBlur(OBJECT_RADIUS_PX))
    objects = np.uint8(255) * (np.asarray(share) == 255)
    around = Image.fromarray(objects).filter(ImageFilter.BoxBlur(OBJECT_RADIUS_PX + MARGIN_PX))
    is_object = means(np.asarray(around, np.float32), CELL_PX) > 0
    return np.where(is_alone & is_object, np.float32(0), own.trust)


def is_same_scene(centre: Floats, moved: Floats) -> bool:
    """True unless a cut or a flash is between a frame and its neighbour, moved into its place.

    The means of cells are compared, in which rain averages out.
    """
    inside = means((moved > OUTSIDE / 2).astype(np.float32), CELL_PX) > 0.999
    if inside.mean() < MIN_TRUST:
        return False
    first, second = (means(image, CELL_PX)[inside] for image in (centre, moved))
    if abs(float(first.mean() - second.mean())) > MAX_FLASH:
        return False
    deviations = float(first.std()), float(second.std())
    if max(deviations) < MIN_DEVIATION:
        return True
    product = float(((first - first.mean()) * (second - second.mean())).mean())
    return product >= MIN_LIKENESS * max(deviations[0] * deviations[1], 1e-6)


def move_frame(neighbour: Frame, motion: Matrix, blocks: Blocks) -> Pixels:
    """Return the neighbour moved into the place of the centre frame, bilinear."""
    image, scale = neighbour.image, neighbour.scale
    if np.array_equal(motion, STILL) and not blocks.shifts.any():
        return image
    height, width = image.shape[:2]
    side = CELL_PX * MESH_CELLS * scale
    xs, ys = ([*range(0, length, side), length] for length in (width, height))
    corners = np.stack(np.meshgrid(xs, ys), axis=-1) + at_corners(blocks.shifts) * scale
    matrix = from_corner(scaled(motion, scale), width, height)
    places = corners @ matrix[:, :2].T + matrix[:, 2]
    # beyond the border, the neighbour would be black
    image = np.pad(image, [(PAD_PX, PAD_PX)] * 2 + [(0, 0)] * (image.ndim - 2), mode="edge")
    last = np.subtract(image.shape[1::-1], 0.5)
    places = np.clip(places + PAD_PX, 0.5, last)
    # upper left, lower left, lower right, upper right
    around = [places[:-1, :-1], places[1:, :-1], places[1:, 1:], places[:-1, 1:]]
    quadrilaterals = np.concatenate(around, axis=-1).reshape(-1, 8).tolist()
    boxes = [
        (left, top, right, bottom) for top, bottom in pairwise(ys) for left, right in pairwise(xs)
    ]
    mesh: Mesh = list(zip(boxes, map(tuple, quadrilaterals), strict=True))
    if image.dtype == np.uint8:
        return cast(Pixels, _transform(Image.fromarray(image), (width, height), mesh))
    channels = image.reshape(*image.shape[:2], -1).astype(np.float32)
    moved = [
        _transform(
            Image.fromarray(np.ascontiguousarray(channels[..., index])), (width, height), mesh
        )
        for index in range(channels.shape[2])
    ]
    rounded = np.rint(np.clip(np.stack(moved, axis=-1), 0, 65535))
    return rounded.reshape(neighbour.image.shape).astype(np.uint16)


def _transform(image: Image.Image, size: tuple[int, int], mesh: Mesh) -> Floats:
    transformed = image.transform(size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    return np.asarray(transformed)


def at_corners(cells: Floats) -> Floats:
    """Return the values of cells at the corners of the mesh, (rows, columns, 2)."""
    padded = np.pad(cells, ((1, 1), (1, 1), (0, 0)), mode="edge")
    corners = (padded[:-1, :-1] + padded[1:, :-1] + padded[:-1, 1:] + padded[1:, 1:]) / 4
    row, column = (
        np.minimum(np.arange(-(-length // MESH_CELLS) + 1) * MESH_CELLS, length)
        for length in cells.shape[:2]
    )
    return np.asarray(corners[row][:, column], np.float32)


def weights(trust: Floats, centre: Frame) -> Image.Image | None:
    """Return the trust in each pixel, 0 to 255, or None where it is full everywhere."""
    if trust.min() == 1:
        return None
    height, width = centre.image.shape[:2]
    rows, columns = trust.shape
    cell_px = CELL_PX * centre.scale
    # the last cells may be smaller, so that the picture is cut out of whole ones
    cells = Image.fromarray(np.rint(255 * trust).astype(np.uint8))
    whole = cells.resize((columns * cell_px, rows * cell_px), Image.Resampling.BILINEAR)
    return whole.crop((0, 0, width, height))


def blended(behind: Pixels, moved: Pixels, weight: Image.Image) -> Pixels:
    """Return `moved` where it is trusted, `behind` where it is not, and a blend between them."""
    if behind.dtype == np.uint8:
        return np.asarray(Image.composite(Image.fromarray(moved), Image.fromarray(behind), weight))
    share = np.asarray(weight, np.float32) / 255
    if behind.ndim == 3:
        share = share[..., None]
    blend = behind + share * (moved.astype(np.float32) - behind)
    return cast(Pixels, (blend + np.float32(0.5)).astype(behind.dtype))
