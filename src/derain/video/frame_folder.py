"""Frames of a clip as pictures in a folder, in the order of their numbers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from derain import pictures
from derain.errors import PictureError
from derain.files.messages import listing_error
from derain.files.paths import exists, same_file
from derain.inference.blending import check_blend
from derain.inference.restorer import Restorer
from derain.photos.jobs import APPLE_DOUBLE_PREFIX, RAIN_SUFFIX, RESULT_SUFFIXES
from derain.photos.worker import create_folder
from derain.pictures import PICTURE_SUFFIXES, Picture, Pixels
from derain.video.errors import VideoError
from derain.video.frames import FrameOptions, VideoResult, restore_frames
from derain.video.pipeline import run_pipeline
from derain.video.temporal import REACH


def find_frames(folder: Path) -> list[Path]:
    """The pictures right in a folder, results that lie beside them excepted; frame 2 comes before frame 10.

    Raises VideoError if there are none, or the folder may not be searched.
    """
    try:
        pictures = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES]
    except OSError as error:
        raise VideoError(listing_error(error)) from error
    stems = {path.stem for path in pictures}
    found = [
        path
        for path in pictures
        if not path.name.startswith(APPLE_DOUBLE_PREFIX) and _origin(path.stem) not in stems
    ]
    if not found:
        raise VideoError(
            f"{folder}: holds no frames that derain reads; name a folder of pictures, or clips one by one, as `{folder}/*.mp4`"
        )
    return sorted(
        found,
        key=lambda path: [
            (int(part), part) if part.isdecimal() else (-1, part) for part in _parts(path.name)
        ],
    )


def restore_frame_folder(
    folder: Path,
    output: Path,
    restorer: Restorer,
    wishes: FrameOptions | None = None,
    *,
    overwrite: bool = False,
    on_start: Callable[[int | None], None] = lambda frames: None,
    on_frame: Callable[[], None] = lambda: None,
) -> VideoResult:
    """Restore the frames in `folder` into files of the same names in `output`, with all that they carry.

    Frames that are there already are left alone, unless `overwrite`; the temporal step looks at those beside a missing one. A
    frame that cannot be read, or is no picture of the kind that its name says, is passed over and told of; what frames cannot
    keep is told once.
    Raises DerainError for a folder without frames, and for an output that cannot be written.
    """
    there = find_frames(folder)
    missing = [
        index for index, path in enumerate(there) if overwrite or not exists(output / path.name)
    ]
    if same_file(output, folder) and not overwrite:
        raise VideoError(
            f"{output}: is the folder of the frames; give --overwrite to replace them or another -o"
        )
    create_folder(output)
    tally, start = VideoResult(), time.perf_counter()
    lost: dict[str, None] = {}  # an ordered set: most frames lose the same
    if len(missing) < len(there):
        tally.notes.append(
            f"{len(there) - len(missing)} of {len(there)} frames were there already; --overwrite restores all"
        )
    rows = _rows(missing, reach=REACH if wishes and wishes.temporal else 0, count=len(there))
    on_start(sum(map(len, rows)))
    wanted = {there[index] for index in missing}

    def read(row: range) -> Iterator[tuple[Pixels, tuple[Picture, Path]]]:
        for path in there[row.start : row.stop]:
            try:
                rainy = _read(path, wishes or FrameOptions())
                pictures.check_fits(rainy, output / path.name)
            except PictureError as error:
                tally.problems.append(str(error))
                on_frame()
                continue
            lost.update(
                dict.fromkeys(
                    rainy.omissions + pictures.omissions_when_writing(rainy, output / path.name)
                )
            )
            yield rainy.samples, (rainy, output / path.name)

    def write(shot: tuple[Pixels, tuple[Picture, Path]]) -> None:
        samples, (rainy, target) = shot
        if folder / target.name in wanted:
            pictures.write(rainy.with_samples(samples), target)

    def restored(shots: Iterable[tuple[Pixels, Any]]) -> Iterator[tuple[Pixels, Any]]:
        return restore_frames(shots, restorer, wishes or FrameOptions(), tally, on_frame=on_frame)

    try:
        for row in rows:
            run_pipeline(read(row), restored, write)
    except KeyboardInterrupt:
        tally.was_interrupted = True
    tally.notes += lost
    tally.seconds = time.perf_counter() - start
    return tally


def _rows(missing: Sequence[int], *, reach: int, count: int) -> list[range]:
    """The numbers 0..count - 1 within `reach` of one that is missing, as rows without a gap."""
    rows: list[range] = []
    for index in missing:
        first, end = max(index - reach, 0), min(index + reach + 1, count)
        if rows and first <= rows[-1].stop:
            rows[-1] = range(rows[-1].start, end)
        else:
            rows.append(range(first, end))
    return rows


def _read(path: Path, wishes: FrameOptions) -> Picture:
    rainy = pictures.read(path)
    try:
        check_blend(rainy.samples, strength=wishes.strength, mask=wishes.mask)
    except PictureError as error:
        raise PictureError(f"{path}: {error}") from error
    return rainy


def _origin(stem: str) -> str | None:
    """The name of the frame of which a result has been made, by the name of the result."""
    name = stem.removesuffix(RAIN_SUFFIX)
    return next((name.removesuffix(end) for end in RESULT_SUFFIXES if name.endswith(end)), None)


def _parts(name: str) -> list[str]:
    return re.split(r"(\d+)", name)
