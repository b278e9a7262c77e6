"""Three stages at a time: one thread brings, this one works, one takes away. What lies between them is bounded."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")
DEPTH = 4
"""Items between two stages: enough to bridge a frame that takes longer, and 100 MB for frames of 4K."""
STEP_S = 0.1
"""Waiting is done in steps, so that Ctrl-C and failures are seen."""


def run_pipeline(
    bring: Iterable[A],
    work: Callable[[Iterator[A]], Iterable[B]],
    take: Callable[[B], None],
    *,
    depth: int = DEPTH,
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Take everything that `work` makes of what is brought, in order. `bring` and `take` run in threads of their own.

    What one of the three raises ends all and comes out here. Whatever `work` had given by then is taken, so that the target of an
    interrupted run is whole as far as it goes. `on_stop()` is called before the end of `bring` is awaited, to wake it where it
    waits for something that may never come.
    """
    stop = threading.Event()
    coming: _Channel[A] = _Channel(depth, stop)
    going: _Channel[B] = _Channel(depth, stop)
    failures: list[BaseException] = []

    def guarded(stage: Callable[[], None]) -> None:
        try:
            stage()
        except _StoppedError:
            return
        except BaseException as error:  # it is raised again where the caller can see it
            failures.append(error)
            stop.set()

    def bringing() -> None:
        coming.fill(bring)

    def taking() -> None:
        for item in going:
            take(item)

    bringer = threading.Thread(target=guarded, args=(bringing,), name="derain-bring", daemon=True)
    taker = threading.Thread(target=guarded, args=(taking,), name="derain-take", daemon=True)
    bringer.start()
    taker.start()
    try:
        going.fill(work(iter(coming)))
    except _StoppedError:
        pass  # what stopped it is among the failures
    except BaseException:
        with suppress(
            _StoppedError
        ):  # a stage that has failed before must not hide why this one ends
            going.end()
        taker.join()
        raise
    finally:
        taker.join()
        stop.set()
        on_stop()
        bringer.join()
    if failures:
        raise failures[0]


class _StoppedError(Exception):
    """Another stage failed."""


class _End:
    """Nothing more comes."""


class _Channel(Generic[A]):
    """A bounded queue that gives up when the run has stopped."""

    def __init__(self, depth: int, stop: threading.Event) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(depth)
        self._stop = stop

    def fill(self, items: Iterable[A]) -> None:
        """Put everything on, and the end behind it."""
        for item in items:
            self._put(item)
        self._put(_End())

    def end(self) -> None:
        """Put the end behind what is there."""
        self._put(_End())

    def __iter__(self) -> Iterator[A]:
        while True:
            try:
                item = self._queue.get(timeout=STEP_S)
            except queue.Empty:
                if self._stop.is_set():
                    raise _StoppedError from None
                continue
            if isinstance(item, _End):
                return
            yield item

    def _put(self, item: A | _End) -> None:
        while True:
            if self._stop.is_set():
                raise _StoppedError
            try:
                self._queue.put(item, timeout=STEP_S)
            except queue.Full:
                continue
            return
