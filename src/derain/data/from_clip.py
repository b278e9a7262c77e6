"""Pairs for training from the frames of a camera that stands still."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from derain.data.pairs.pair import Image8
from derain.data.psnr import psnr_db
from derain.data.still_camera import StillScene, estimate_scene, find_moving, without_moving
from derain.errors import DataError
from derain.files.atomic import atomic_folders, atomic_write, writing
from derain.files.paths import is_file, is_folder, is_link
from derain.motion import Frame
from derain.motion.camera import search_motion

SIDES = ("rainy", "clean")
WINDOW = 60
"""Frames from which one scene is estimated: two seconds, in which the light hardly changes."""
MIN_FRAMES = 15
"""Fewer frames do not show what is behind the rain."""
CHECKED = 8
"""Frames of a window in which the camera is checked."""
MAX_MOTION_PX = 1.0
"""Shift of the camera that counts as none, in pixels of `Frame.small`; rain moves the estimate."""
MAX_MASKED = 0.5
"""Share of a frame above which it gives no pair."""
MAX_LIGHT_CHANGE = 4.0
"""Difference of the median brightness from the scene's, in levels of 255, that rain can cause."""
MAX_PSNR_DB = 60.0
"""PSNR of a pair without rain, when PSNRs are averaged."""


@dataclass
class ClipPairs:
    """Counts of the frames and pairs of a clip."""

    frames: int = 0
    pairs: int = 0
    masked: float = 0.0
    """Share of the pixels of all pairs that are masked out, 0 to 1."""
    crowded: int = 0
    """Frames without a pair, because more than MAX_MASKED of them moves."""
    changed_light: int = 0
    """Frames without a pair, because the light changed."""
    unused: int = 0
    """Frames at the end, too few for another window."""
    input_psnr_db: float = 0.0
    """Mean PSNR of the rainy sides against their clean ones."""


def write_pairs(
    frames: Iterable[Image8],
    output: Path,
    *,
    name: str,
    every: int = 1,
    on_frame: Callable[[], None] = lambda: None,
) -> ClipPairs:
    """Write `output`/rainy and `output`/clean from frames, (H, W, 3), of a still camera.

    A pair is named by the number of its frame, so that consecutive numbers are neighbours. The
    scene replaces moving things on both sides. With `every` = n, only each n-th frame gives a pair.
    `on_frame()` is called after each. Raises DataError for a moving camera, too few frames, no
    pair, an output with pairs in it, and errors of the disk; no pair is left then.
    """
    for path in (output / side for side in SIDES):
        if is_link(path) or is_file(path):
            raise DataError(f"{path}: exists already; choose another -o")
        if is_folder(path) and any(path.iterdir()):
            raise DataError(f"{path}: is not empty; choose another -o")
    with atomic_folders(output, SIDES) as folder:
        return _write_windows(frames, folder, name=name, every=every, on_frame=on_frame)


def _write_windows(
    frames: Iterable[Image8], output: Path, *, name: str, every: int, on_frame: Callable[[], None]
) -> ClipPairs:
    """Write the pairs of all windows, like `write_pairs`, to folders that exist."""
    result = ClipPairs()
    shares, scores = [], []
    for first, window in windows(frames):
        result.frames += len(window)
        if len(window) < MIN_FRAMES:
            result.unused = len(window)
            break
        check_camera(window, name=name)
        scene = estimate_scene(np.stack(window))
        for index, rainy in enumerate(window):
            if (first + index) % every == 0:
                pair = make_pair(rainy, scene, result)
                if pair is not None:
                    image, share = pair
                    _write_pair(output, f"{first + index:06d}.png", image, scene.clean)
                    shares.append(share)
                    scores.append(min(psnr_db(image, scene.clean), MAX_PSNR_DB))
            on_frame()
    if result.frames < MIN_FRAMES:
        raise DataError(
            f"{name}: too short to see what is behind the rain (frames: {result.frames}); "
            f"use a clip of {MIN_FRAMES} frames or more"
        )
    result.pairs = len(shares)
    if not shares:
        raise DataError(
            f"{name}: none of its {result.frames} frames gives a pair (in {result.crowded}, more "
            f"than half of the picture moves; in {result.changed_light}, the light changed); "
            "use a part with less rain, less movement and steady light"
        )
    result.masked, result.input_psnr_db = float(np.mean(shares)), float(np.mean(scores))
    return result


def windows(frames: Iterable[Image8]) -> Iterator[tuple[int, list[Image8]]]:
    """Yield the number of the first frame and the frames of one window after the other."""
    iterator = iter(frames)
    for first in itertools.count(0, WINDOW):
        window = list(itertools.islice(iterator, WINDOW))
        if not window:
            return
        yield first, window


def check_camera(window: Sequence[Image8], *, name: str) -> None:
    """Raise DataError if the frames differ in size, or if the camera moves."""
    if any(frame.shape != window[0].shape for frame in window):
        raise DataError(f"{name}: its frames change their size; use a part with one size")
    centre = Frame(window[0])
    step = max(1, len(window) // CHECKED)
    shifts = [search_motion(centre, Frame(image))[:, 2] for image in window[step::step]]
    moved_px = float(np.median(np.hypot(*np.transpose(shifts))))
    if moved_px > MAX_MOTION_PX:
        raise DataError(
            f"{name}: the camera moves or the scene changes, by {moved_px * centre.scale:.1f} "
            f"pixels within {len(window)} frames; use a part in which the camera stands still"
        )


def make_pair(rainy: Image8, scene: StillScene, result: ClipPairs) -> tuple[Image8, float] | None:
    """Return the rainy side and the share that is masked out; None, counted, for no pair."""
    light = float(np.median(rainy.astype(np.int16) - scene.clean))
    if abs(light) > MAX_LIGHT_CHANGE:
        result.changed_light += 1
        return None
    mask = find_moving(rainy, scene)
    share = float(mask.mean())
    if share > MAX_MASKED:
        result.crowded += 1
        return None
    return without_moving(rainy, scene, mask), share


def _write_pair(output: Path, name: str, rainy: Image8, clean: Image8) -> None:
    for side, image in zip(SIDES, (rainy, clean), strict=True):
        path = output / side / name
        with writing(path, DataError), atomic_write(path) as file:
            Image.fromarray(image).save(file, "PNG", compress_level=3)
