"""Hours of training, and intervals."""

from types import SimpleNamespace

import pytest

from derain.train.clock import Clock, Every


def hours_of(*steps, away=0.0):
    """Return the hours of steps of so many seconds, with `away` seconds of validation between."""
    time = [0.0]
    clock = Clock(now=lambda: time[0])
    total = 0.0
    for seconds in steps:
        time[0] += seconds
        total += clock.step()
        time[0] += away
        clock.resume()
    return total


def test_time_between_steps_does_not_count():
    assert hours_of(*[0.5] * 100, away=60) == pytest.approx(50 / 3600)


def test_a_pause_counts_as_one_step():
    assert hours_of(2, 2, 2, 7200, 2) == pytest.approx(10 / 3600)
    assert hours_of(60, 1, 1, 1, 1, 300, 1) == pytest.approx(66 / 3600)


def test_a_slow_start_and_slow_steps_count():
    assert hours_of(90, 1, 1, 15) == pytest.approx(107 / 3600)
    assert hours_of(300, 320, 290, 900) == pytest.approx(1810 / 3600)


def test_lasting_slowdown_counts_again_soon():
    assert hours_of(*[1] * 10, *[30] * 200) > 0.9 * 6010 / 3600


ALONE = SimpleNamespace(world_size=1)


def test_interval_in_steps():
    every = Every(ALONE, steps=3)
    assert [step for step in range(1, 8) if every.is_due(step)] == [3, 6]


def test_interval_in_minutes():
    time = [0.0]
    every = Every(ALONE, minutes=2, now=lambda: time[0])
    time[0] = 119
    assert not every.is_due(1)
    time[0] = 120
    assert every.is_due(2)


def test_interval_restarts():
    time = [0.0]
    every = Every(ALONE, minutes=2, now=lambda: time[0])
    time[0] = 130
    every.restart()
    assert not every.is_due(1)


def test_zero_minutes_are_always_due():
    assert Every(ALONE, minutes=0).is_due(1)


def test_interval_without_limits_is_never_due():
    assert not Every(ALONE).is_due(1)
