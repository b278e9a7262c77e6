"""What the worker process does: it restores photos, one network at a time, and reports events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from numpy.typing import NDArray

from derain.errors import DataError, DerainError, PictureError
from derain.inference.blending import read_mask
from derain.inference.restorer import Restorer
from derain.photos.jobs import Job
from derain.photos.options import RestoreOptions
from derain.photos.worker import PhotoWorker
from derain.pictures import Picture
from derain.serve.messages import Event, Task


class _CancelledError(Exception):
    """The client of a task is gone."""


class Worker:
    """Restores tasks in several threads, with one network at a time."""

    def __init__(self, connection: Connection, network: dict[str, Any]) -> None:
        self._connection, self._network = connection, network
        self._restorers: dict[str, Restorer] = {}
        self._cancelled: set[int] = set()
        self._is_stopping = False
        self._sending, self._loading = threading.Lock(), threading.Lock()
        self.computing = threading.Lock()
        """Held while a network computes."""

    def warm_up(self, model: str) -> None:
        """Load the default model and announce it; a failure is also reported by each task."""
        try:
            self._restorer(model)
        except DerainError as error:
            self.send(Event("broken", detail=str(error)))
        else:
            self.send(Event("ready"))

    def cancel(self, number: int) -> None:
        """Stop a task before its next tile."""
        self._cancelled.add(number)

    def cancel_all(self) -> None:
        """Stop all tasks before their next tiles."""
        self._is_stopping = True

    def restore(self, task: Task) -> None:
        """Restore one photo and send its result."""
        try:
            self.check(task)
            restorer = _AnnouncingRestorer(self, task, self._restorer(task.model))
            job = Job(task.source, task.target, task.rain_target, overwrite=True)
            mask = None if task.mask is None else read_mask(task.mask)
            options = RestoreOptions(strength=task.strength, mask=mask)
            result = PhotoWorker(restorer, options).restore(
                job, on_tile=lambda done, total: self.check(task)
            )
        except _CancelledError:
            self.send(Event("cancelled", task.number))
        except DerainError as error:
            is_input = isinstance(error, (PictureError, DataError))
            self._fail(task, str(error), is_fault_of_input=is_input)
        except Exception as error:
            self._fail(task, f"{type(error).__name__}: {error}", is_fault_of_input=False)
        else:
            self.send(Event("done", task.number, omissions=result.omissions))
        finally:
            self._cancelled.discard(task.number)

    def _fail(self, task: Task, text: str, *, is_fault_of_input: bool) -> None:
        # names of the server, not the user's
        names = {task.source: "photo", task.target: "photo", task.rain_target: "photo"}
        for path, name in (names | {task.mask: "mask"}).items():
            if path is not None:
                text = text.replace(str(path), name)
        event = Event("failed", task.number, text, is_fault_of_input=is_fault_of_input)
        self.send(event)

    def check(self, task: Task) -> None:
        """Raise _CancelledError if the task is to stop."""
        if self._is_stopping or task.number in self._cancelled:
            raise _CancelledError

    def _restorer(self, model: str) -> Restorer:
        with self._loading:
            if model not in self._restorers:
                self._restorers[model] = Restorer(model, **self._network)
            return self._restorers[model]

    def send(self, event: Event) -> None:
        """Send an event to the server, from any thread."""
        with self._sending:
            try:
                self._connection.send(event)
            except OSError:  # the server is gone; no one waits for the event
                self._is_stopping = True


class _AnnouncingRestorer:
    """A restorer that computes one task at a time and announces it."""

    def __init__(self, worker: Worker, task: Task, restorer: Restorer) -> None:
        self._worker, self._task, self._restorer = worker, task, restorer

    def restore_picture(
        self,
        rainy: Picture,
        *,
        strength: float = 1.0,
        mask: NDArray[Any] | None = None,
        on_tile: Callable[[int, int], None] | None = None,
    ) -> Picture:
        """Call `Restorer.restore_picture`, after those that came before."""
        with self._worker.computing:
            self._worker.check(self._task)
            number, start = self._task.number, time.monotonic()
            self._worker.send(Event("computing", number))
            try:
                return self._restorer.restore_picture(
                    rainy, strength=strength, mask=mask, on_tile=on_tile
                )
            finally:
                seconds = time.monotonic() - start
                self._worker.send(Event("computed", number, seconds=seconds))
