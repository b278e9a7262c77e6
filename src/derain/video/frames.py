"""Restore a sequence of frames: the part that clips, folders and pipes share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from derain.inference.blending import blend, check_blend
from derain.inference.clip_restorer import ClipRestorer
from derain.inference.restorer import Restorer
from derain.motion import Window, aligned_windows
from derain.pictures import Pixels
from derain.video.dry_frames import DryFrames


@dataclass(frozen=True, eq=False)
class FrameOptions:
    """Options that apply to every frame."""

    strength: float = 1.0
    """Share of the detected rain to remove, 0 to 1."""
    mask: Pixels | None = None
    """(H, W): where to remove rain; the whole frame without it."""


@dataclass
class VideoResult:
    """Running totals for a sequence of frames."""

    frame_count: int = 0
    """Frames restored by the network."""
    dry_count: int = 0
    """Frames without rain among them, which were left as they are."""
    seconds: float = 0.0
    network_seconds: float = 0.0
    """Time in the network, part of `seconds`."""
    was_interrupted: bool = False
    notes: list[str] = field(default_factory=list)
    """Omissions and remarks, a sentence each."""
    problems: list[str] = field(default_factory=list)
    """Frames without a result and damage of the clip, a sentence each."""


def with_neighbours(
    frames: Iterable[tuple[Pixels, Any]], restorer: Restorer
) -> Iterable[Window[Any]]:
    """Give each (image, tag) its aligned neighbours, one frame late, if the network sees them."""
    if is_for_clips(restorer):
        return aligned_windows(frames)
    return (Window(image, image, image, tag) for image, tag in frames)


def is_for_clips(restorer: Restorer) -> TypeGuard[ClipRestorer]:
    """True if the network restores a frame from several."""
    return isinstance(restorer, ClipRestorer) and restorer.model.frames > 1


def restore_frames(
    windows: Iterable[Window[Any]],
    restorer: Restorer,
    options: FrameOptions,
    result: VideoResult,
    *,
    on_frame: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Pixels, Any]]:
    """Yield (restored image, tag) for each window of `with_neighbours`, in order; update `result`.

    Images are (H, W) or (H, W, 3), uint8 or uint16. `on_frame()` is called after each frame of
    the network, and may raise to stop.
    """
    dry_frames = DryFrames(restorer) if is_for_clips(restorer) else None
    for window in windows:
        rainy = window.image
        check_blend(rainy, strength=options.strength, mask=options.mask)
        start = time.perf_counter()
        restored = restorer(rainy) if dry_frames is None else dry_frames.restore(window)
        result.network_seconds += time.perf_counter() - start
        result.frame_count += 1
        result.dry_count += restored is rainy
        on_frame()
        image = blend(rainy, restored, strength=options.strength, mask=options.mask)
        yield image, window.tag
