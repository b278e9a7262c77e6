"""Three concurrent stages."""

from __future__ import annotations

import itertools
import signal
import threading
import time

import pytest

from derain.video.pipeline import run_pipeline


def identity(items):
    return items


def discard(item: int) -> None:
    pass


def test_order_is_kept():
    consumed: list[int] = []
    run_pipeline(range(500), lambda items: (2 * item for item in items), consumed.append)
    assert consumed == [2 * item for item in range(500)]


def test_transform_may_change_the_number_of_items():
    consumed: list[int] = []
    run_pipeline(
        range(10),
        lambda items: (item for item in items if item % 5 == 0 for _ in range(3)),
        consumed.append,
    )
    assert consumed == [0, 0, 0, 5, 5, 5]


def test_number_of_waiting_items_is_bounded():
    produced, consumed, waiting = [], [], []

    def produce():
        for item in range(60):
            produced.append(item)
            waiting.append(len(produced) - len(consumed))
            yield item

    def consume(item: int) -> None:
        time.sleep(0.001)
        consumed.append(item)

    run_pipeline(produce(), identity, consume, depth=3)
    assert max(waiting) <= 3 + 3 + 3  # two queues, and one item inside each stage


def test_stages_run_concurrently():
    """Each item is consumed only after the next one was produced."""
    produced = [threading.Event() for _ in range(4)]

    def produce():
        for item, event in enumerate(produced):
            event.set()
            yield item

    def consume(item):
        following = produced[min(item + 1, 3)]
        assert following.wait(10)

    run_pipeline(produce(), identity, consume)


def failing_produce():
    yield 1
    raise ValueError("produce")


def failing_transform(items):
    yield next(items)
    raise ValueError("transform")


def failing_consume(item: int) -> None:
    raise ValueError("consume")


@pytest.mark.parametrize(
    ("produce", "transform", "consume", "stage"),
    [
        (failing_produce(), identity, discard, "produce"),
        (itertools.count(), failing_transform, discard, "transform"),
        (itertools.count(), identity, failing_consume, "consume"),
    ],
    ids=["produce", "transform", "consume"],
)
def test_failure_of_a_stage_ends_the_others(produce, transform, consume, stage):
    before = threading.active_count()
    with pytest.raises(ValueError, match=stage):
        run_pipeline(produce, transform, consume)
    assert threading.active_count() == before


def test_items_before_an_interrupt_are_consumed():
    consumed: list[int] = []

    def transform(items):
        for item in items:
            if item == 7:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(itertools.count(), transform, consumed.append)
    assert consumed == list(range(7))


def test_interrupt_after_a_failure_is_raised():
    failed = threading.Event()

    def consume(item: int) -> None:
        failed.set()
        raise ValueError("consume")

    def transform(items):
        yield next(items)
        failed.wait()
        time.sleep(0.1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(itertools.count(), transform, consume)


def test_interrupt_while_threads_start_ends_them(monkeypatch):
    start = threading.Thread.start

    def start_and_interrupt(thread: threading.Thread) -> None:
        start(thread)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(threading.Thread, "start", start_and_interrupt)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(itertools.count(), identity, discard)
    assert threading.active_count() == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupt_at_the_last_item_waits_for_it():
    consumed: list[int] = []

    def consume(item: int) -> None:
        if item == 2:
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.3)
        consumed.append(item)

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(range(3), identity, consume)
    assert consumed == [0, 1, 2]
    assert threading.active_count() == before
