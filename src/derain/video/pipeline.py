"""Three concurrent stages: produce, transform, consume, with bounded queues between them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")
DEPTH = 4
"""Items between two stages: enough to bridge a slow frame, and 100 MB for 4K frames."""
STEP_S = 0.1
"""Waits are split into steps, so that Ctrl-C and failures are noticed."""


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
    producer.start()
    consumer.start()
    try:
        outputs.fill(transform(iter(inputs)))
    except _StoppedError:
        pass  # the cause is among the failures
    except BaseException:
        with suppress(_StoppedError):  # an earlier failure must not hide this exception
            outputs.end()
        consumer.join()
        raise
    finally:
        consumer.join()
        stop.set()
        on_stop()
        producer.join()
    if failures:
        raise failures[0]


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

    def end(self) -> None:
        """Put the end marker."""
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
