"""Restore many photos: several threads, one network, and no failure that stops the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait

from derain.errors import DerainError, explain_failure
from derain.files.messages import TargetExistsError
from derain.files.paths import is_taken
from derain.inference.restorer import Restorer
from derain.photos.jobs import Job, JobList
from derain.photos.options import RestoreOptions
from derain.photos.summary import Summary
from derain.photos.worker import PhotoResult, PhotoWorker


class PhotoBatch:
    """Runs jobs in threads that share one engine: while one computes, others read or write."""

    def __init__(
        self,
        restorer: Restorer,
        options: RestoreOptions | None = None,
        *,
        workers: int = 2,
        with_previews: bool = False,
        on_progress: Callable[[float], None] = lambda share: None,
        on_result: Callable[[PhotoResult], None] = lambda result: None,
        on_existing: Callable[[Job], None] = lambda job: None,
    ) -> None:
        """`workers` is the number of threads.

        `on_progress(share)` is called from any thread with the completed share of one picture,
        `on_result(result)` after each job and `on_existing(job)` for a job whose target appeared
        in the meantime, both by one thread at a time.
        """
        self.worker = PhotoWorker(
            restorer, options or RestoreOptions(), with_previews=with_previews
        )
        self.workers = workers
        self.on_progress = on_progress
        self.on_result = on_result
        self.on_existing = on_existing
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def run(self, jobs: JobList) -> Summary:
        """Run all pending jobs. After Ctrl-C, each thread stops at its next tile without output."""
        start = time.perf_counter()
        summary = Summary.from_jobs(jobs)
        queue = iter(jobs.pending)
        with ThreadPoolExecutor(max_workers=self.workers, thread_name_prefix="derain") as pool:
            try:
                threads = [pool.submit(self._work, queue, summary) for _ in range(self.workers)]
                # short waits: on Windows, Ctrl-C does not end a long one
                while wait(threads, timeout=0.1).not_done:
                    pass
                for thread in threads:
                    thread.result()
            except BaseException as error:  # an exception of a callback must stop the threads, too
                self._stop.set()
                if not isinstance(error, KeyboardInterrupt):
                    raise
                summary.was_interrupted = True
        summary.seconds = time.perf_counter() - start
        return summary

    def _work(self, queue: Iterator[Job], summary: Summary) -> None:
        while not self._stop.is_set():
            with self._lock:
                job = next(queue, None)
            if job is None:
                return
            self._run_job(job, summary)

    def _run_job(self, job: Job, summary: Summary) -> None:
        if not job.overwrite and is_taken(job.target):
            self._skip(job, summary)
            self.on_progress(1)
            return
        progress = 0.0

        def on_tile(done: int, total: int) -> None:
            nonlocal progress
            if self._stop.is_set():
                raise _StoppedError
            self.on_progress(1 / total)
            progress += 1 / total

        try:
            result = self.worker.restore(job, on_tile=on_tile)
        except _StoppedError:
            return
        except DerainError as error:
            if isinstance(error.__cause__, TargetExistsError) and is_taken(job.target):
                self._skip(job, summary)
                self.on_progress(1 - progress)
                return
            result = PhotoResult(job.source, job.target, error=str(error))
        except MemoryError:
            problem = "not enough memory to restore it; use --jobs 1 or a smaller --limit-mib"
            result = PhotoResult(job.source, job.target, error=f"{job.source}: {problem}")
        except Exception as error:  # a bug must not cost the user the other 9,999 pictures
            problem = explain_failure(job.source, error)
            result = PhotoResult(job.source, job.target, error=problem)
        with self._lock:
            summary.add_result(result)
            self.on_result(result)
        self.on_progress(1 - progress)

    def _skip(self, job: Job, summary: Summary) -> None:
        """Count a job whose target has appeared, for example from a second run."""
        with self._lock:
            summary.add_existing()
            self.on_existing(job)


class _StoppedError(Exception):
    """Ctrl-C, noticed by a thread between two tiles."""
