"""One job from file to file: read, restore and write a photo."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from derain import pictures
from derain.errors import DerainError
from derain.files.atomic import check_writable, remove_stale_temporaries
from derain.files.paths import create_folder, is_taken
from derain.inference.blending import rain_layer
from derain.photos.disk_queue import DiskQueue, disk_queue
from derain.photos.jobs import Job
from derain.photos.options import RestoreOptions
from derain.photos.preview import Preview, make_preview
from derain.pictures import Picture


@dataclass
class PhotoResult:
    """Outcome of one job."""

    source: Path
    target: Path
    width: int = 0
    height: int = 0
    frames: int = 0
    seconds: dict[str, float] = field(
        default_factory=lambda: {"read": 0.0, "restore": 0.0, "write": 0.0}
    )
    error: str | None = None
    """Why the job failed."""
    omissions: tuple[str, ...] = ()
    """Parts of the input that the result lacks, a sentence each."""
    preview: Preview | None = None

    @property
    def megapixels(self) -> float:
        """Restored pixels, in millions."""
        return self.frames * self.width * self.height / 1e6


class PictureRestorer(Protocol):
    """The part of a `Restorer` that a worker uses. Thread-safe."""

    def restore_picture(
        self,
        rainy: Picture,
        *,
        strength: float = 1.0,
        mask: NDArray[Any] | None = None,
        on_tile: Callable[[int, int], None] | None = None,
    ) -> Picture:
        """See `Restorer.restore_picture`."""


class PhotoWorker:
    """Runs jobs, from any number of threads."""

    def __init__(
        self, restorer: PictureRestorer, options: RestoreOptions, *, with_previews: bool = False
    ) -> None:
        """`with_previews`: each result carries small JPEGs for the HTML report."""
        self.restorer = restorer
        self.options = options
        self.with_previews = with_previews
        self._cleaned_folders: set[Path] = set()

    def restore(self, job: Job, *, on_tile: Callable[[int, int], None]) -> PhotoResult:
        """Restore one file, completely or not at all.

        `on_tile(done, total)` is called after each tile and may raise an exception to stop. Raises
        DerainError.
        """
        result = PhotoResult(job.source, job.target)
        count = pictures.count_frames(job.source)
        folder = job.target.parent
        create_folder(folder)
        if folder not in self._cleaned_folders:
            self._cleaned_folders.add(folder)
            remove_stale_temporaries(folder)
        for path in job.targets:
            check_writable(path)
        if count == 1:
            self._restore_picture(job, result, on_tile)
        else:
            self._restore_frames(job, result, lambda done, total: on_tile(done, total * count))
        return result

    def _restore_picture(
        self, job: Job, result: PhotoResult, on_tile: Callable[[int, int], None]
    ) -> None:
        (rainy,) = self._read(job.source, result)
        restored = self._restore(rainy, result, on_tile)
        layer = rain_layer(rainy, restored) if job.rain_target is not None else None
        output = self.options.apply(rainy, restored)
        del rainy, restored  # at 100 megapixels, each holds 300 MB that the writer needs
        with _measure(result, "write"), ExitStack() as undo:
            if layer is not None:
                _write_rain_layer(layer, job, undo)
                del layer
            pictures.write(output, job.target, overwrite=job.overwrite, permissions_of=job.source)
            undo.pop_all()

    def _restore_frames(
        self, job: Job, result: PhotoResult, on_tile: Callable[[int, int], None]
    ) -> None:
        def restored_frames(layers: DiskQueue | None, undo: ExitStack) -> Iterator[Picture]:
            for rainy in self._read(job.source, result):
                restored = self._restore(rainy, result, on_tile)
                if layers is not None:
                    layers.add(rain_layer(rainy, restored))
                yield self.options.apply(rainy, restored)
            if layers is not None:
                _write_rain_layer(layers, job, undo)

        start = time.perf_counter()
        rain_target = job.rain_target
        with (
            ExitStack() as undo,
            nullcontext() if rain_target is None else disk_queue(rain_target.parent) as layers,
        ):
            pictures.write_frames(
                restored_frames(layers, undo),
                job.target,
                overwrite=job.overwrite,
                permissions_of=job.source,
            )
            undo.pop_all()
        elapsed = time.perf_counter() - start
        result.seconds["write"] = elapsed - result.seconds["read"] - result.seconds["restore"]

    def _read(self, source: Path, result: PhotoResult) -> Iterator[Picture]:
        frames = pictures.read_frames(source)
        while True:
            with _measure(result, "read"):
                rainy = next(frames, None)
            if rainy is None:
                return
            result.height, result.width = rainy.pixels.shape[:2]
            result.frames += 1
            omissions = pictures.omissions_when_writing(
                self.options.with_metadata(rainy), result.target, is_first=result.frames == 1
            )
            # most frames have the same omissions
            result.omissions = tuple(
                dict.fromkeys([*result.omissions, *rainy.omissions, *omissions])
            )
            pictures.check_fits(rainy, result.target, columns=2 if self.options.compare else 1)
            yield rainy

    def _restore(
        self, rainy: Picture, result: PhotoResult, on_tile: Callable[[int, int], None]
    ) -> Picture:
        options = self.options
        with _measure(result, "restore"):
            try:
                restored = self.restorer.restore_picture(
                    rainy, strength=options.strength, mask=options.mask, on_tile=on_tile
                )
            except DerainError as error:
                raise type(error)(f"{result.source}: {error}") from error
        if self.with_previews and result.preview is None:
            result.preview = make_preview(rainy, restored)
        return restored


def _write_rain_layer(layer: Picture | DiskQueue, job: Job, undo: ExitStack) -> None:
    """Write the rain layer; `undo` removes it again if the target fails.

    The rain layer comes first, because an existing target means that the job is done.
    """
    if job.rain_target is None:
        return
    is_new = not is_taken(job.rain_target)
    if isinstance(layer, Picture):
        pictures.write(layer, job.rain_target, overwrite=job.overwrite, permissions_of=job.source)
    else:
        pictures.write_frames(
            layer, job.rain_target, overwrite=job.overwrite, permissions_of=job.source
        )
    if is_new:
        undo.callback(job.rain_target.unlink, missing_ok=True)


@contextmanager
def _measure(result: PhotoResult, step: str) -> Iterator[None]:
    """Add the duration of the block to one step of the result."""
    start = time.perf_counter()
    try:
        yield
    finally:
        result.seconds[step] += time.perf_counter() - start
