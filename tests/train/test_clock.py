import pytest

from derain.train.clock import Clock


def hours_of(*steps, away=0.0):
    """What a run of steps of so many seconds counts, with `away` seconds of validation after each."""
    time = [0.0]
    clock = Clock(now=lambda: time[0])
    total = 0.0
    for seconds in steps:
        time[0] += seconds
        total += clock.step()
        time[0] += away
        clock.resume()
    return total


def test_steps_count_and_what_lies_between_them_does_not():
    assert hours_of(*[0.5] * 100, away=60) == pytest.approx(50 / 3600)


def test_a_pause_counts_as_one_step():
    assert hours_of(2, 2, 2, 7200, 2) == pytest.approx(10 / 3600)
    assert hours_of(60, 1, 1, 1, 1, 300, 1) == pytest.approx(66 / 3600)


def test_a_slow_start_and_slow_steps_count():
    assert hours_of(90, 1, 1, 15) == pytest.approx(107 / 3600)
    assert hours_of(300, 320, 290, 900) == pytest.approx(1810 / 3600)


def test_steps_that_become_slower_for_good_are_counted_again_soon():
    assert hours_of(*[1] * 10, *[30] * 200) > 0.9 * 6010 / 3600
