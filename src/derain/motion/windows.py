"""Frames of a clip with their aligned neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from derain.motion.alignment import Alignment, align
from derain.motion.camera import estimate_motion, inverse
from derain.motion.frame import Frame, Pixels

Tag = TypeVar("Tag")


@dataclass(frozen=True, eq=False)
class Window(Generic[Tag]):
    """A frame and its neighbours as they would look from its place."""

    image: Pixels
    before: Pixels
    after: Pixels
    tag: Tag
    is_cut: bool = False
    """True if the frame before shows another scene."""


def aligned_windows(frames: Iterable[tuple[Pixels, Tag]]) -> Iterator[Window[Tag]]:
    """Yield a window for each (image, tag), in order, one frame late.

    At the ends of the clip and at a cut, the frame itself takes the place of a neighbour. Three
    frames are kept in memory.
    """
    iterator = ((Frame(image), tag) for image, tag in frames)
    first = next(iterator, None)
    if first is None:
        return
    (frame, tag), before, is_cut = first, first[0].image, False
    for following, next_tag in iterator:
        motion = estimate_motion(frame, following)
        after = align(frame, following, motion=motion)
        yield Window(frame.image, before, after.image, tag, is_cut)
        back = align(following, frame, motion=inverse(motion))
        before, is_cut = back.image, is_end_of_scene(after, back)
        frame, tag = following, next_tag
    yield Window(frame.image, before, frame.image, tag, is_cut)


def is_end_of_scene(after: Alignment, back: Alignment) -> bool:
    """True if two frames do not match in either direction."""
    return not after.share and not back.share
