"""Three concurrent stages: produce, transform, consume, with bounded queues between them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Generic, TypeVar

from derain.video.interrupts import HeldInterrupts

A = TypeVar("A")
B = TypeVar("B")
DEPTH = 4
"""Items between two stages: enough to bridge a slow frame, and 100 MB for 4K frames."""
STEP_S = 0.1
"""Waits are split into steps, so that Ctrl-C and failures are noticed."""
GRACE_S = 30.0
"""Longest wait for a thread after an interrupt during the wait: it may be blocked forever."""


def run_pipeline(
    produce: Iterable[A],
    transform: Callable[[Iterator[A]], Iterable[B]],
    consume: Callable[[B], None],
    *,
    depth: int = DEPTH,
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Pass `produce` through `transform` to `consume`, in order.

    `produce` and `consume` run in threads of their own. An exception in any stage ends the run
    and is raised here. Items that `transform` has yielded by then are consumed, so that the output
    of an interrupted run is valid. `on_stop()` is called before the run waits for `produce` to
    end; it can wake a `produce` that is blocked forever.
    """
    stop = threading.Event()
    inputs: _Channel[A] = _Channel(depth, stop)
    outputs: _Channel[B] = _Channel(depth, stop)
    failures: list[BaseException] = []

    def guard(stage: Callable[[], None]) -> None:
        try:
            stage()
        except _StoppedError:
            return
        except BaseException as error:  # raised again in the calling thread
            failures.append(error)
            stop.set()

    def run_producer() -> None:
        inputs.fill(produce)

    def run_consumer() -> None:
        for item in outputs:
            consume(item)

    producer = threading.Thread(
        target=guard, args=(run_producer,), name="derain-produce", daemon=True
    )
    consumer = threading.Thread(
        target=guard, args=(run_consumer,), name="derain-consume", daemon=True
    )
    with HeldInterrupts() as interrupts:  # the threads use files that the caller closes
        producer.start()
        consumer.start()
        try:
            try:
                interrupts.release()
                outputs.fill(transform(iter(inputs)))
            finally:
                interrupts.hold()
        except BaseException as error:
            interrupts.hold()  # a signal may have come just before the first time
            if not isinstance(error, _StoppedError):
                failures.insert(0, error)  # an earlier failure must not hide this exception
            with suppress(_StoppedError):
                outputs.end(unless=interrupts)
        _join(consumer, interrupts)
        stop.set()
        on_stop()
        _join(producer, interrupts)
        if failures:
            raise failures[0]


def _join(thread: threading.Thread, interrupts: HeldInterrupts) -> None:
    """Wait for the end of a thread, without end unless an interrupt comes."""
    while thread.is_alive() and not interrupts.is_received:
        thread.join(STEP_S)
    thread.join(GRACE_S)


class _StoppedError(Exception):
    """Another stage failed."""


class _End:
    """Marker behind the last item."""


class _Channel(Generic[A]):
    """A bounded queue that raises _StoppedError once the run has stopped."""

    def __init__(self, depth: int, stop: threading.Event) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(depth)
        self._stop = stop

    def fill(self, items: Iterable[A]) -> None:
        """Put all items and the end marker."""
        for item in items:
            self._put(item)
        self._put(_End())

    def end(self, *, unless: HeldInterrupts) -> None:
        """Put the end marker, unless an interrupt comes while the queue is full."""
        self._put(_End(), unless=unless)

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

    def _put(self, item: A | _End, *, unless: HeldInterrupts | None = None) -> None:
        while True:
            if self._stop.is_set() or (unless is not None and unless.is_received):
                raise _StoppedError
            try:
                self._queue.put(item, timeout=STEP_S)
            except queue.Full:
                continue
            return
