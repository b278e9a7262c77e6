"""Scores restored pictures in threads while the next picture is restored."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from derain.environment import available_cores

T = TypeVar("T")
Outcome = TypeVar("Outcome")
MAX_THREADS = 4
MAX_WAITING_PX = 8_000_000
"""Pixels of all pictures that wait for their scores; a larger picture waits on its own."""


@dataclass(frozen=True)
class _Task(Generic[Outcome]):
    future: Future[Outcome]
    work: Callable[[], Outcome]
    use: Callable[[Outcome], None]
    px: int


class ScoringPool(Generic[Outcome]):
    """Threads that score pictures; a context manager.

    Results are passed on in the order of submission, in the thread that submits, so that a report
    does not depend on timing. Memory is bounded by MAX_WAITING_PX. `out_of_memory` stands for a
    result that does not fit into memory even on its own.
    """

    def __init__(self, out_of_memory: Outcome) -> None:
        self._out_of_memory = out_of_memory
        self._threads = ThreadPoolExecutor(min(available_cores(), MAX_THREADS))
        self._tasks: deque[_Task[Outcome]] = deque()

    def __enter__(self) -> ScoringPool[Outcome]:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def submit(
        self, work: Callable[[], Outcome], use: Callable[[Outcome], None], *, px: int
    ) -> None:
        """Run `work` in a thread and pass its result to `use`; block while too many pixels wait."""
        self._finish(lambda task: task.future.done())
        self._finish(lambda _: sum(task.px for task in self._tasks) + px > MAX_WAITING_PX)
        self._tasks.append(_Task(self._threads.submit(work), work, use, px))

    def run_here(self, work: Callable[[], T]) -> T:
        """Run `work` in this thread; after a MemoryError, once more with the pool empty."""
        try:
            return work()
        except MemoryError:
            self.drain()
            return work()

    def drain(self) -> None:
        """Wait for all results."""
        self._finish(lambda _: True)

    def _finish(self, is_due: Callable[[_Task[Outcome]], bool]) -> None:
        while self._tasks and is_due(self._tasks[0]):
            task = self._tasks[0]
            result = self._result(task)  # Ctrl-C may end this wait, and the task stays
            self._tasks.popleft()
            task.use(result)

    def _result(self, task: _Task[Outcome]) -> Outcome:
        try:
            return task.future.result()
        except MemoryError:
            wait([other.future for other in self._tasks])
        try:
            return task.work()
        except MemoryError:
            return self._out_of_memory
