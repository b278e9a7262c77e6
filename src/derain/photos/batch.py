"""Restore many files: some threads, one network, and no file that stops the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from derain.errors import DerainError
from derain.files.paths import is_occupied
from derain.inference.restorer import Restorer
from derain.photos.jobs import Job
from derain.photos.options import RestoreOptions
from derain.photos.worker import PhotoResult, PhotoWorker


@dataclass
class BatchResult:
    """What became of a batch."""

    restored: int = 0
    megapixels: float = 0.0
    problems: list[tuple[Path, str]] = field(default_factory=list)
    already_there: list[Job] = field(default_factory=list)
    """Pictures whose target has appeared since the errands were listed, as of another run in the same folder."""
    seconds: float = 0.0
    was_interrupted: bool = False


class PhotoBatch:
    """Restores files with `jobs` threads, which share one engine: while one computes, another reads or writes.

    `on_progress(share)` is told, from any thread, by which share of one picture the batch has come forward; `on_problem(text)`
    which picture failed and why; `on_record(record)`, by one thread at a time, what was done with each picture.
    """

    def __init__(
        self,
        restorer: Restorer,
        treatment: RestoreOptions | None = None,
        *,
        jobs: int = 2,
        previews: bool = False,
        on_progress: Callable[[float], None] = lambda share: None,
        on_problem: Callable[[str], None] = lambda text: None,
        on_record: Callable[[PhotoResult], None] = lambda record: None,
    ) -> None:
        self.workshop = PhotoWorker(restorer, treatment or RestoreOptions(), previews=previews)
        self.jobs = jobs
        self.on_progress = on_progress
        self.on_problem = on_problem
        self.on_record = on_record
        self._stop = threading.Event()
        self._outcome = BatchResult()
        self._lock = threading.Lock()

    def run(self, errands: Iterable[Job]) -> BatchResult:
        """Do all errands. Ctrl-C ends it within the time of one tile for each thread, without a partial file."""
        start = time.perf_counter()
        queue = iter(errands)
        with ThreadPoolExecutor(max_workers=self.jobs, thread_name_prefix="derain") as pool:
            try:
                workers = [pool.submit(self._work, queue) for _ in range(self.jobs)]
                while wait(
                    workers, timeout=0.1
                ).not_done:  # in short steps: on Windows, Ctrl-C does not end a long one
                    pass
                for worker in workers:
                    worker.result()
            except (
                BaseException
            ) as error:  # also what a callback raises must not leave the threads running
                self._stop.set()
                if not isinstance(error, KeyboardInterrupt):
                    raise
                self._outcome.was_interrupted = True
        self._outcome.seconds = time.perf_counter() - start
        return self._outcome

    def _work(self, queue: Iterator[Job]) -> None:
        while not self._stop.is_set():
            with self._lock:
                errand = next(queue, None)
            if errand is None:
                return
            self._do(errand)

    def _do(self, errand: Job) -> None:
        if not errand.overwrite and is_occupied(errand.target):
            with self._lock:
                self._outcome.already_there.append(errand)
            self.on_progress(1)
            return
        shown = 0.0

        def on_tile(done: int, total: int) -> None:
            nonlocal shown
            if self._stop.is_set():
                raise _StoppedError
            self.on_progress(1 / total)
            shown += 1 / total

        try:
            record = self.workshop.do(errand, on_tile=on_tile)
        except _StoppedError:
            return
        except DerainError as error:
            record = PhotoResult(errand.source, errand.target, error=str(error))
        except MemoryError:
            text = f"{errand.source}: there is not enough memory to restore it; give --jobs 1 or a smaller --limit-mib"
            record = PhotoResult(errand.source, errand.target, error=text)
        except (
            Exception
        ) as error:  # a fault of ours must not cost the user the other 9,999 pictures
            text = f"{errand.source}: {type(error).__name__}: {error}; this is a bug in derain, please report it"
            record = PhotoResult(errand.source, errand.target, error=text)
        with self._lock:
            self._count(record)
        self.on_progress(1 - shown)

    def _count(self, record: PhotoResult) -> None:
        if record.error is None:
            self._outcome.restored += 1
            self._outcome.megapixels += record.megapixels
        else:
            self._outcome.problems.append((record.source, record.error))
            self.on_problem(record.error)
        self.on_record(record)


class _StoppedError(Exception):
    """Ctrl-C reached a thread between two tiles."""
