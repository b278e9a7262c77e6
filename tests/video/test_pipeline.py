"""Three stages at a time."""

from __future__ import annotations

import threading
import time

import pytest

from derain.video.pipeline import run_pipeline


def same(items):
    return items


def test_everything_comes_through_in_order():
    taken: list[int] = []
    run_pipeline(range(500), lambda items: (2 * item for item in items), taken.append)
    assert taken == [2 * item for item in range(500)]


def test_work_may_give_more_or_less_than_comes():
    taken: list[int] = []
    run_pipeline(
        range(10),
        lambda items: (item for item in items if item % 5 == 0 for _ in range(3)),
        taken.append,
    )
    assert taken == [0, 0, 0, 5, 5, 5]


def test_what_lies_between_is_bounded():
    brought, taken, most = [], [], []

    def bring():
        for item in range(60):
            brought.append(item)
            most.append(len(brought) - len(taken))
            yield item

    def take(item: int) -> None:
        time.sleep(0.001)
        taken.append(item)

    run_pipeline(bring(), same, take, depth=3)
    assert max(most) <= 3 + 3 + 3  # two belts, and one in the hands of each stage


def test_stages_run_at_the_same_time():
    """Two stages that wait 30 ms for each of ten items take 0.3 s together and not 0.6 s."""

    def bring():
        for item in range(10):
            time.sleep(0.03)
            yield item

    start = time.perf_counter()
    run_pipeline(bring(), same, lambda item: time.sleep(0.03))
    assert time.perf_counter() - start < 0.5


def failing_bring():
    yield 1
    raise ValueError("bring")


def failing_work(items):
    yield next(items)
    raise ValueError("work")


def failing_take(item: int) -> None:
    raise ValueError("take")


def endless():
    while True:
        yield 1


@pytest.mark.parametrize(
    ("bring", "work", "take", "stage"),
    [
        (failing_bring(), same, len, "bring"),
        (endless(), failing_work, lambda item: None, "work"),
        (endless(), same, failing_take, "take"),
    ],
    ids=["bring", "work", "take"],
)
def test_a_failure_of_any_stage_comes_out_and_ends_the_others(bring, work, take, stage):
    before = threading.active_count()
    if stage == "bring":
        take = lambda item: None  # noqa: E731
    with pytest.raises(ValueError, match=stage):
        run_pipeline(bring, work, take)
    assert threading.active_count() == before


def test_what_was_done_before_ctrl_c_is_taken():
    taken: list[int] = []

    def work(items):
        for item in items:
            if item == 7:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(endless_count(), work, taken.append)
    assert taken == list(range(7))


def test_ctrl_c_after_a_failure_comes_out_as_it_is():
    failed = threading.Event()

    def take(item: int) -> None:
        failed.set()
        raise ValueError("take")

    def work(items):
        yield next(items)
        failed.wait()
        time.sleep(0.1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(endless(), work, take)


def endless_count():
    item = 0
    while True:
        yield item
        item += 1
