"""One errand from file to file: read, restore, write, and a record of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from derain import pictures
from derain.errors import DerainError
from derain.files.atomic import check_writable, remove_stale_temporaries
from derain.files.paths import create_folder, is_occupied
from derain.inference.blending import rain_layer
from derain.inference.restorer import Restorer
from derain.photos.disk_queue import DiskQueue, disk_queue
from derain.photos.jobs import Job
from derain.photos.options import RestoreOptions
from derain.photos.preview import Preview, preview
from derain.pictures import Picture


@dataclass
class PhotoResult:
    """What was done with one picture, and how long it took."""

    source: Path
    target: Path
    width: int = 0
    height: int = 0
    frames: int = 0
    seconds: dict[str, float] = field(
        default_factory=lambda: {"read": 0.0, "restore": 0.0, "write": 0.0}
    )
    error: str | None = None
    """Why there is no result."""
    omissions: tuple[str, ...] = ()
    """What of the file is missing in the result, a sentence each."""
    preview: Preview | None = None

    @property
    def megapixels(self) -> float:
        """Pixels that were restored, in millions."""
        return self.frames * self.width * self.height / 1e6


class PhotoWorker:
    """Does errands, from any number of threads; `previews` says whether records carry small pictures for looking."""

    def __init__(
        self, restorer: Restorer, treatment: RestoreOptions, *, previews: bool = False
    ) -> None:
        self.restorer = restorer
        self.treatment = treatment
        self.previews = previews
        self._tidied: set[Path] = set()

    def do(self, errand: Job, *, on_tile: Callable[[int, int], None]) -> PhotoResult:
        """Restore one file; `on_tile(done, total)` may raise to stop. Raises DerainError; nothing half done is left."""
        record = PhotoResult(errand.source, errand.target)
        count = pictures.count_frames(errand.source)
        create_folder(errand.target.parent)
        if errand.target.parent not in self._tidied:
            self._tidied.add(errand.target.parent)
            remove_stale_temporaries(errand.target.parent)
        for path in errand.targets:
            check_writable(path)
        if count == 1:
            self._one(errand, record, on_tile)
        else:
            self._many(errand, record, lambda done, total: on_tile(done, total * count))
        return record

    def _one(self, errand: Job, record: PhotoResult, on_tile: Callable[[int, int], None]) -> None:
        (rainy,) = self._read(errand.source, record)
        restored = self._restored(rainy, record, on_tile)
        layer = rain_layer(rainy, restored) if errand.rain is not None else None
        finished = self.treatment.finished(rainy, restored)
        del rainy, restored  # of 100 megapixels each is 300 MB that the writer needs
        with _timed(record, "write"), ExitStack() as undo:
            if layer is not None:
                _write_rain(layer, errand, undo)
                del layer
            pictures.write(finished, errand.target, overwrite=errand.overwrite)
            undo.pop_all()

    def _many(self, errand: Job, record: PhotoResult, on_tile: Callable[[int, int], None]) -> None:
        def finished(layers: DiskQueue | None, undo: ExitStack) -> Iterator[Picture]:
            for rainy in self._read(errand.source, record):
                restored = self._restored(rainy, record, on_tile)
                if layers is not None:
                    layers.add(rain_layer(rainy, restored))
                yield self.treatment.finished(rainy, restored)
            if layers is not None:
                _write_rain(layers, errand, undo)

        start = time.perf_counter()
        with (
            ExitStack() as undo,
            nullcontext() if errand.rain is None else disk_queue(errand.rain.parent) as layers,
        ):
            pictures.write_frames(finished(layers, undo), errand.target, overwrite=errand.overwrite)
            undo.pop_all()
        record.seconds["write"] = (
            time.perf_counter() - start - record.seconds["read"] - record.seconds["restore"]
        )

    def _read(self, source: Path, record: PhotoResult) -> Iterator[Picture]:
        frames = pictures.read_frames(source)
        while True:
            with _timed(record, "read"):
                rainy = next(frames, None)
            if rainy is None:
                return
            record.height, record.width = rainy.pixels.shape[:2]
            record.frames += 1
            lost = pictures.omissions_when_writing(self.treatment.described(rainy), record.target)
            record.omissions = tuple(dict.fromkeys([*record.omissions, *rainy.omissions, *lost]))
            pictures.check_fits(rainy, record.target, abreast=2 if self.treatment.compares else 1)
            yield rainy

    def _restored(
        self, rainy: Picture, record: PhotoResult, on_tile: Callable[[int, int], None]
    ) -> Picture:
        treatment = self.treatment
        with _timed(record, "restore"):
            try:
                restored = self.restorer.restore_picture(
                    rainy, strength=treatment.strength, mask=treatment.mask, on_tile=on_tile
                )
            except DerainError as error:
                raise type(error)(f"{record.source}: {error}") from error
        if self.previews and record.preview is None:
            record.preview = preview(rainy, restored)
        return restored


def _write_rain(layer: Picture | DiskQueue, errand: Job, undo: ExitStack) -> None:
    """Write the rain before the target, whose presence means that all is done; `undo` removes it if that fails."""
    if errand.rain is None:
        return
    is_new = not is_occupied(errand.rain)
    if isinstance(layer, Picture):
        pictures.write(layer, errand.rain, overwrite=errand.overwrite)
    else:
        pictures.write_frames(layer, errand.rain, overwrite=errand.overwrite)
    if is_new:
        undo.callback(errand.rain.unlink, missing_ok=True)


@contextmanager
def _timed(record: PhotoResult, kind: str) -> Iterator[None]:
    """Add the seconds of a block to one kind of work."""
    start = time.perf_counter()
    try:
        yield
    finally:
        record.seconds[kind] += time.perf_counter() - start
