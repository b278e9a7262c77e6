"""`restore_frame_folder`: restore numbered pictures in a folder, in the order of their numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from derain import pictures
from derain.errors import PictureError, VideoError, explain_failure
from derain.files.atomic import remove_stale_temporaries
from derain.files.messages import TargetExistsError, listing_error
from derain.files.paths import create_folder, is_taken, natural_key, same_file
from derain.inference.blending import check_blend
from derain.inference.linear_light import encoded_pixels, linear_pixels
from derain.inference.restorer import Restorer
from derain.inference.transparency import fill_transparent
from derain.motion import Window
from derain.pictures import Picture, Pixels
from derain.pictures.linear_light import is_linear_light
from derain.result_names import APPLE_DOUBLE_PREFIX, possible_sources
from derain.suffixes import PICTURE_SUFFIXES
from derain.video.frames import (
    FrameOptions,
    VideoResult,
    is_for_clips,
    restore_frames,
    with_neighbours,
)
from derain.video.pipeline import run_pipeline


def find_frames(folder: Path) -> list[Path]:
    """Return the pictures in a folder, without results of earlier runs, in natural order.

    Frame 2 precedes frame 10. Raises VideoError for a folder without frames, or that cannot be
    listed.
    """
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES]
    except OSError as error:
        raise VideoError(listing_error(error)) from error
    names = {path.with_suffix("") for path in paths}
    frames = [
        path
        for path in paths
        if not path.name.startswith(APPLE_DOUBLE_PREFIX) and not possible_sources(path) & names
    ]
    if not frames:
        raise VideoError(
            f"{folder}: contains no frames that derain can read; "
            f"name a folder of pictures, or clips, for example `{folder}/*.mp4`"
        )
    return sorted(frames, key=lambda path: natural_key(path.name))


def restore_frame_folder(
    folder: Path,
    output: Path,
    restorer: Restorer,
    options: FrameOptions | None = None,
    *,
    overwrite: bool = False,
    on_start: Callable[[int | None], None] = lambda frame_count: None,
    on_frame: Callable[[], None] = lambda: None,
) -> VideoResult:
    """Restore the frames in `folder` into files of the same names in `output`, with metadata.

    Existing frames, also those that a second run writes meanwhile, are skipped unless `overwrite`
    is set; a network for clips still uses those next to a missing one. The network does not see
    fully transparent pixels, which keep their colours. A frame that cannot be read, or that its
    format cannot store, is reported and skipped.
    Omissions are reported once.
    Raises DerainError for a folder without frames, and for errors of the disk.
    """
    paths = find_frames(folder)
    if same_file(output, folder) and not overwrite:
        raise VideoError(
            f"{output}: contains the frames themselves; "
            "use --overwrite to replace them, or another -o"
        )
    create_folder(output)
    remove_stale_temporaries(output)
    run = _FolderRun(
        paths, output, options or FrameOptions(), overwrite=overwrite, on_frame=on_frame
    )
    ranges = _ranges_around(run.missing, reach=int(is_for_clips(restorer)), count=len(paths))
    on_start(sum(map(len, ranges)))
    start = time.perf_counter()
    try:
        for indices in ranges:
            frames = run.read(paths[indices.start : indices.stop])
            run_pipeline(
                with_neighbours(frames, restorer), lambda it: run.restore(it, restorer), run.write
            )
    except KeyboardInterrupt:
        run.result.was_interrupted = True
    run.add_notes()
    run.result.seconds = time.perf_counter() - start
    return run.result


class _FolderRun:
    """The frames of a folder on their way to `output`, and their results.

    A tag is (rainy, path), the frame as read and its file.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        output: Path,
        options: FrameOptions,
        *,
        overwrite: bool,
        on_frame: Callable[[], None],
    ) -> None:
        self.result = VideoResult()
        self.missing = [
            index
            for index, path in enumerate(paths)
            if overwrite or not is_taken(output / path.name)
        ]
        """Indices of the frames to write; the others are only neighbours."""
        self._wanted = {paths[index] for index in self.missing}
        self._count = len(paths)
        self._output = output
        self._options = options
        self._overwrite = overwrite
        self._on_frame = on_frame
        self._omissions: dict[str, None] = {}  # an ordered set: most frames have the same
        self._appeared = 0

    def read(self, paths: Iterable[Path]) -> Iterator[tuple[Pixels, tuple[Picture, Path]]]:
        """Yield the input of the network, and the tag, of each frame that can be read."""
        for path in paths:
            target = self._output / path.name
            try:
                rainy = _read(path, self._options)
                pictures.check_fits(rainy, target)
                dropped = rainy.omissions + pictures.omissions_when_writing(rainy, target)
            except Exception as error:  # one frame must not cost the user the others
                self.result.problems.append(explain_failure(path, error))
                self._on_frame()
                continue
            self._omissions.update(dict.fromkeys(dropped))
            yield _visible(rainy), (rainy, path)

    def restore(
        self, windows: Iterable[Window[Any]], restorer: Restorer
    ) -> Iterator[tuple[Pixels, Any]]:
        """Yield each restored frame with its tag."""
        return restore_frames(
            windows, restorer, self._options, self.result, on_frame=self._on_frame
        )

    def write(self, frame: tuple[Pixels, tuple[Picture, Path]]) -> None:
        """Write a restored frame, if it is missing. Raises DerainError for errors of the disk."""
        image, (rainy, path) = frame
        if path not in self._wanted:
            return
        target = self._output / path.name
        try:
            restored = _with_hidden_colours(rainy, image)
            pictures.write(restored, target, overwrite=self._overwrite, permissions_of=path)
        except Exception as error:  # one frame must not cost the user the others
            if isinstance(error.__cause__, TargetExistsError):
                self._appeared += 1
                return
            if isinstance(error.__cause__, OSError) and error.__cause__.errno is not None:
                raise  # the disk will not accept the next frame either
            self.result.problems.append(explain_failure(target, error))

    def add_notes(self) -> None:
        """Add the skipped frames and the omissions to the result."""
        if skipped := self._count - len(self.missing):
            self.result.notes.append(
                f"{skipped} of {self._count} frames skipped (result exists); "
                "--overwrite restores all"
            )
        if self._appeared:
            self.result.notes.append(
                f"{self._appeared} frames skipped (result appeared during the work)"
            )
        self.result.notes += self._omissions


def _ranges_around(missing: Sequence[int], *, reach: int, count: int) -> list[range]:
    """Return the indices 0..count - 1 within `reach` of a missing one, as separate ranges."""
    ranges: list[range] = []
    for index in missing:
        first, end = max(index - reach, 0), min(index + reach + 1, count)
        if ranges and first <= ranges[-1].stop:
            ranges[-1] = range(ranges[-1].start, end)
        else:
            ranges.append(range(first, end))
    return ranges


def _read(path: Path, options: FrameOptions) -> Picture:
    rainy = pictures.read(path)
    try:
        check_blend(rainy.image, strength=options.strength, mask=options.mask)
    except PictureError as error:
        raise PictureError(f"{path}: {error}") from error
    return rainy


def _visible(rainy: Picture) -> Pixels:
    """Return the input of the network, encoded like sRGB if the frame is linear light.

    Colours of nearby pixels replace transparent ones.
    """
    image = rainy.image
    if rainy.alpha is not None:
        image = fill_transparent(image, rainy.alpha == 0)
    return encoded_pixels(image) if is_linear_light(rainy.metadata) else image


def _with_hidden_colours(rainy: Picture, image: Pixels) -> Picture:
    """Return a frame with the restored `image` of `_visible`, except where it is transparent."""
    if is_linear_light(rainy.metadata):
        image = linear_pixels(image, rainy.pixels.dtype)
    if rainy.alpha is None or rainy.alpha.all():
        return rainy.with_image(image)
    transparent = rainy.alpha == 0
    where = transparent if image.ndim == 2 else transparent[..., None]
    # not in place: a dry frame is still a neighbour of the next one
    return rainy.with_image(np.where(where, rainy.image, image))
