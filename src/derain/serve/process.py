"""The worker process: it holds the networks, so that ending it returns all memory to the system."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

CONCURRENT_JOBS = 2
"""One job computes while another is read or written."""


@dataclass(frozen=True)
class Task:
    """One photo to restore."""

    source: Path
    target: Path
    rain_target: Path | None
    model: str
    strength: float
    mask: Path | None = None
    request: str = ""
    """Id of the request, for the log."""
    number: int = 0
    """Set by the pool."""


@dataclass(frozen=True)
class Event:
    """A message: the network is `ready` or `broken`, or the state of a task.

    A task is `computing` and `computed` for each page, then `done`, `failed` or `cancelled`.
    """

    kind: str
    number: int = 0
    detail: str = ""
    """The sentence of a failure."""
    is_fault_of_input: bool = True
    """False where the network or the machine failed."""
    omissions: tuple[str, ...] = ()
    """Parts of the input that the result lacks, a sentence each."""
    seconds: float = 0.0
    """Time in the network, of `computed`."""


class _CancelledError(Exception):
    """The client of a task is gone."""


def run_worker(connection: Connection, model: str, network: dict[str, Any]) -> None:
    """Restore the tasks that come through `connection` until it is closed.

    Messages in: `Task`, an int (cancel that task), None (stop). Messages out: `Event`.
    """
    for name in (signal.SIGINT, signal.SIGTERM):  # the server decides when its worker ends
        signal.signal(name, signal.SIG_IGN)
    worker = _Worker(connection, network)
    worker.warm_up(model)
    with ThreadPoolExecutor(CONCURRENT_JOBS) as threads:
        while True:
            try:
                message = connection.recv()
            except (EOFError, OSError):  # the server is gone
                message = None
            if message is None:
                worker.cancel_all()
                return
            if isinstance(message, int):
                worker.cancel(message)
            else:
                threads.submit(worker.restore, message)


class _Worker:
    def __init__(self, connection: Connection, network: dict[str, Any]) -> None:
        self._connection, self._network = connection, network
        self._restorers: dict[str, Any] = {}
        self._cancelled: set[int] = set()
        self._is_stopping = False
        self._sending, self._loading, self._computing = (threading.Lock() for _ in range(3))

    def warm_up(self, model: str) -> None:
        """Load the default model and announce it; a failure is also reported by each task."""
        from derain.errors import DerainError

        try:
            self._restorer(model)
        except DerainError as error:
            self._send(Event("broken", detail=str(error)))
        else:
            self._send(Event("ready"))

    def cancel(self, number: int) -> None:
        """Stop a task before its next tile."""
        self._cancelled.add(number)

    def cancel_all(self) -> None:
        """Stop all tasks before their next tiles."""
        self._is_stopping = True

    def restore(self, task: Task) -> None:
        """Restore one photo and send its result."""
        from derain.errors import DataError, DerainError, PictureError
        from derain.inference.blending import read_mask
        from derain.photos.jobs import Job
        from derain.photos.options import RestoreOptions
        from derain.photos.worker import PhotoWorker

        try:
            self._check(task)
            restorer = _Announcing(self, task, self._restorer(task.model))
            job = Job(task.source, task.target, task.rain_target, overwrite=True)
            mask = None if task.mask is None else read_mask(task.mask)
            options = RestoreOptions(strength=task.strength, mask=mask)
            worker = PhotoWorker(restorer, options)  # type: ignore[arg-type]
            result = worker.restore(job, on_tile=lambda done, total: self._check(task))
        except _CancelledError:
            self._send(Event("cancelled", task.number))
        except DerainError as error:
            is_input = isinstance(error, (PictureError, DataError))
            self._fail(task, str(error), is_fault_of_input=is_input)
        except Exception as error:
            self._fail(task, f"{type(error).__name__}: {error}", is_fault_of_input=False)
        else:
            self._send(Event("done", task.number, omissions=result.omissions))
        finally:
            self._cancelled.discard(task.number)

    def _fail(self, task: Task, text: str, *, is_fault_of_input: bool) -> None:
        # names of the server, not the user's
        names = {task.source: "photo", task.target: "photo", task.rain_target: "photo"}
        for path, name in (names | {task.mask: "mask"}).items():
            if path is not None:
                text = text.replace(str(path), name)
        event = Event("failed", task.number, text, is_fault_of_input=is_fault_of_input)
        self._send(event)

    def _check(self, task: Task) -> None:
        if self._is_stopping or task.number in self._cancelled:
            raise _CancelledError

    def _restorer(self, model: str) -> Any:
        from derain.inference.restorer import Restorer

        with self._loading:
            if model not in self._restorers:
                self._restorers[model] = Restorer(model, **self._network)
            return self._restorers[model]

    def _send(self, event: Event) -> None:
        with self._sending:
            try:
                self._connection.send(event)
            except OSError:  # the server is gone; no one waits for the event
                self._is_stopping = True


class _Announcing:
    """A restorer that computes one task at a time and announces it."""

    def __init__(self, worker: _Worker, task: Task, restorer: Any) -> None:
        self._worker, self._task, self._restorer = worker, task, restorer

    def restore_picture(
        self, rainy: Any, *, on_tile: Callable[[int, int], None], **options: Any
    ) -> Any:
        """Call `Restorer.restore_picture`, after those that came before."""
        with self._worker._computing:
            self._worker._check(self._task)
            number, start = self._task.number, time.monotonic()
            self._worker._send(Event("computing", number))
            try:
                return self._restorer.restore_picture(rainy, on_tile=on_tile, **options)
            finally:
                seconds = time.monotonic() - start
                self._worker._send(Event("computed", number, seconds=seconds))
