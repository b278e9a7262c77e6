"""The queue in front of the worker process: bounded, in order, and safe against its death."""

from __future__ import annotations

import asyncio
import itertools
import logging
import multiprocessing
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from multiprocessing.process import BaseProcess

from derain.serve.messages import Event, Task
from derain.serve.problems import Problem
from derain.serve.process import CONCURRENT_JOBS, run_worker
from derain.serve.settings import Settings

if sys.platform == "win32":
    from multiprocessing.connection import PipeConnection as Connection
else:
    from multiprocessing.connection import Connection

STOP_S = 5.0
"""How long a worker may take to end before it is killed."""
MAX_ATTEMPTS = 2
"""Workers that a photo may outlive; reading it may be what kills them."""
SHUTTING_DOWN = "the server is shutting down"
log = logging.getLogger("derain.serve")


@dataclass
class _Entry:
    task: Task
    future: asyncio.Future[Event]
    is_sent: bool = False
    is_computing: bool = False
    attempts: int = 0
    started: float | None = None
    """When the network began with its first page."""


class Pool:
    """Runs tasks in one worker process, which it starts on demand and replaces when it dies."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.is_draining = False
        self.mean_seconds = 5.0
        """Moving average of a task's time without its wait in the queue, for Retry-After."""
        self.restarts = 0
        self.network_seconds = 0.0
        """Time for which the network has computed, over all photos."""
        self._places = 0
        """Places that requests hold, from before their upload to their end."""
        self._entries: dict[int, _Entry] = {}
        self._numbers = itertools.count(1)
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._is_ready = False
        self._broken = ""
        self._last_used = time.monotonic()

    @property
    def waiting(self) -> int:
        """Tasks behind the running one."""
        return max(len(self._entries) - 1, 0)

    @property
    def computing(self) -> int:
        """Tasks in the network, 0 or 1."""
        return sum(entry.is_computing for entry in self._entries.values())

    @property
    def has_room(self) -> bool:
        """True if another request would be accepted."""
        return not self.is_draining and self._places <= self.settings.queue

    @property
    def is_ready(self) -> bool:
        """True if the worker runs and has its network."""
        return self._is_ready

    @property
    def broken(self) -> str:
        """Why the default model cannot be loaded, or an empty text."""
        return self._broken

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker, if it runs."""
        return self._process.pid if self._process is not None else None

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Hold a place for a request, its upload included. Raises Problem (429, 503)."""
        self._reject_while_draining()
        if not self.has_room:
            seconds = max(1, round(self.mean_seconds * self._places))
            text = f"{self._places} photos are waiting; try again in {seconds} s"
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, text, headers={"Retry-After": str(seconds)})
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    async def run(self, task: Task) -> Event:
        """Run a task and return its last event: `done` or `failed`. Raises Problem.

        The caller holds a place. Cancelling the coroutine cancels the task before its next tile.
        """
        self._reject_while_draining()
        number = next(self._numbers)
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        entry = self._entries[number] = _Entry(replace(task, number=number), future)
        try:
            self._feed()
            event = await asyncio.wait_for(future, self.settings.deadline_s)
        except asyncio.TimeoutError:  # the builtin one from Python 3.11 on
            limit_s = f"{self.settings.deadline_s:g} s"
            text = f"not finished within {limit_s}; try again later, or send a smaller photo"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, text) from None
        finally:
            if not future.done() or future.cancelled():
                self._cancel(entry)
            self._entries.pop(number, None)
            self._last_used = time.monotonic()
            self._feed()
        if entry.started is not None:
            self.mean_seconds += 0.2 * (time.monotonic() - entry.started - self.mean_seconds)
        return event

    def start(self) -> None:
        """Start the worker process unless it runs."""
        if self._process is not None:  # `_on_end` replaces a dead one
            return
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (theirs, self.settings.model, dict(self.settings.network))
        self._process = context.Process(target=run_worker, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self._last_used = time.monotonic()
        listening = (self._connection, self._process, asyncio.get_running_loop())
        threading.Thread(target=self._listen, args=listening, daemon=True).start()

    def drain(self) -> None:
        """Reject the tasks that wait; the running one may finish."""
        self.is_draining = True
        for entry in self._entries.values():
            if not entry.is_sent and not entry.future.done():
                problem = Problem(HTTPStatus.SERVICE_UNAVAILABLE, SHUTTING_DOWN)
                entry.future.set_exception(problem)

    async def stop_when_idle(self) -> None:
        """End the worker process whenever it has been idle for `idle_minutes`, until cancelled."""
        limit_s = self.settings.idle_minutes * 60
        while True:
            await asyncio.sleep(min(max(limit_s / 10, 0.05), 10))
            if self._process and not self._entries and time.monotonic() - self._last_used > limit_s:
                await self.stop()

    async def stop(self) -> None:
        """End the worker process. A task that comes meanwhile starts another one."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        self._is_ready = False
        if process is not None and connection is not None:
            await asyncio.to_thread(_end, process, connection)

    def _reject_while_draining(self) -> None:
        if self.is_draining:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, SHUTTING_DOWN)

    def _feed(self) -> None:
        """Send the oldest tasks to the worker, as many as it works on at once."""
        sent = [entry for entry in self._entries.values() if entry.is_sent]
        for entry in list(self._entries.values()):
            if entry.is_sent or entry.future.done():
                continue
            # what outlived a worker gets the next one to itself: another death shows the culprit
            is_alone = any(known.attempts > 1 for known in sent) or (entry.attempts and sent)
            if is_alone or len(sent) >= CONCURRENT_JOBS:
                return
            self.start()
            entry.is_sent = True
            entry.attempts += 1
            sent.append(entry)
            self._send(entry.task)

    def _cancel(self, entry: _Entry) -> None:
        if entry.is_sent:
            self._send(entry.task.number)

    def _send(self, message: Task | int) -> None:
        with suppress(OSError):  # a dead worker is noticed by `_listen`
            if self._connection is not None:
                self._connection.send(message)

    def _listen(
        self, connection: Connection, process: BaseProcess, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Pass the worker's events to the loop, in a thread, until the worker ends."""
        while True:
            try:
                event = connection.recv()
            except (EOFError, OSError):
                break
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._on_event, event)
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._on_end, process)

    def _on_event(self, event: Event) -> None:
        if event.kind in {"ready", "broken"}:
            self._is_ready, self._broken = event.kind == "ready", event.detail
            return
        self.network_seconds += event.seconds
        entry = self._entries.get(event.number)
        if entry is None:  # its client is gone
            return
        if event.kind in {"computing", "computed"}:
            entry.is_computing = event.kind == "computing"
            if entry.started is None:
                entry.started = time.monotonic()
        elif not entry.future.done():
            entry.future.set_result(event)

    def _on_end(self, process: BaseProcess) -> None:
        """Fail the task that a dead worker computed, and give the others to a new one."""
        if process is not self._process:  # stopped on purpose
            return
        self._process = None
        self._is_ready = False
        self.restarts += 1
        log.warning("the worker process died")
        for entry in self._entries.values():
            is_lost = entry.is_computing or entry.attempts >= MAX_ATTEMPTS or self.is_draining
            if is_lost and not entry.future.done():
                log.warning("%s lost its worker", entry.task.request)
                text = "the worker process died while it restored this photo; try again"
                entry.future.set_exception(Problem(HTTPStatus.SERVICE_UNAVAILABLE, text))
            entry.is_sent = entry.is_computing = False
            entry.started = None
        if not self.is_draining:
            self._feed()


def _end(process: BaseProcess, connection: Connection) -> None:
    with suppress(OSError):
        connection.send(None)
    process.join(STOP_S)
    if process.is_alive():
        process.kill()
        process.join()
    connection.close()
