"""Restore a row of frames: what clips, folders and pipes have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from derain.inference.blending import blend, check_blend
from derain.inference.restorer import Restorer
from derain.pictures import Pixels
from derain.video.flicker import Flicker
from derain.video.temporal import Restored, stabilise


@dataclass(frozen=True, eq=False)
class FrameOptions:
    """What holds for every frame."""

    strength: float = 1.0
    mask: Pixels | None = None
    temporal: bool = False


@dataclass
class VideoResult:
    """What became of a row of frames; filled while it runs."""

    frames: int = 0
    seconds: float = 0.0
    network_seconds: float = 0.0
    """Of these, what the network took."""
    flicker: tuple[float, float] | None = None
    """Before and after the temporal step, in levels of 255."""
    was_interrupted: bool = False
    notes: list[str] = field(default_factory=list)
    """What could not be kept, a sentence each."""
    problems: list[str] = field(default_factory=list)
    """Which frames have no result, a sentence each."""


def restore_frames(
    frames: Iterable[tuple[Pixels, Any]],
    restorer: Restorer,
    wishes: FrameOptions,
    tally: VideoResult,
    *,
    on_frame: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Pixels, Any]]:
    """(samples, tag) -> (restored samples, the same tag), in order; samples are (H, W) or (H, W, 3), uint8 or uint16.

    `on_frame()` is called after every frame of the network, and may raise to stop.
    """
    flickers = Flicker(), Flicker()

    def through_network() -> Iterator[Restored]:
        for samples, tag in frames:
            check_blend(samples, strength=wishes.strength, mask=wishes.mask)
            start = time.perf_counter()
            restored = restorer(samples)
            tally.network_seconds += time.perf_counter() - start
            tally.frames += 1
            on_frame()
            yield Restored(samples, restored, tag)

    row: Iterable[Restored] = through_network()
    if wishes.temporal:
        row = stabilise(row, before=flickers[0], after=flickers[1])
    for frame in row:
        yield (
            blend(frame.rainy, frame.restored, strength=wishes.strength, mask=wishes.mask),
            frame.tag,
        )
    if wishes.temporal:
        tally.flicker = flickers[0].levels, flickers[1].levels
