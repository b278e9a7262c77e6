"""Frames of a clip with their aligned neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from derain.motion.alignment import Alignment, align, fill
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

    At the ends of the clip and at a cut, the other neighbour takes the place of the missing one, or
    the frame itself if there is none. Three frames are kept in memory.
    """
    iterator = ((Frame(image), tag) for image, tag in frames)
    first = next(iterator, None)
    if first is None:
        return
    (frame, tag), is_cut = first, False
    before = Alignment(frame.image)
    for following, next_tag in iterator:
        motion = estimate_motion(frame, following)
        after = align(frame, following, motion=motion)
        yield make_window(frame, before, after, tag, is_cut)
        before = align(following, frame, motion=inverse(motion))
        is_cut = not after.share and not before.share
        frame, tag = following, next_tag
    yield make_window(frame, before, Alignment(frame.image), tag, is_cut)


def make_window(
    frame: Frame, before: Alignment, after: Alignment, tag: Tag, is_cut: bool
) -> Window[Tag]:
    """Return a frame with neighbours in which everything matches."""
    return Window(frame.image, *fill(before, after, frame), tag, is_cut)
