"""Means, intervals and comparisons of scores."""

import math

import numpy as np
import pytest

from derain.evaluate import statistics
from derain.evaluate.statistics import (
    LEVEL,
    Comparison,
    Mean,
    compare,
    holm,
    mean,
    pooled_psnr,
    small_sample_factor,
)


def test_the_interval_agrees_with_scipy(rng):
    stats = pytest.importorskip("scipy.stats")
    values = rng.normal(30, 3, 60)
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", confidence_level=LEVEL, rng=1
    ).confidence_interval
    found = mean(values.tolist())
    plain = [
        found.value + (end - found.value) / small_sample_factor(60)
        for end in (found.low, found.high)
    ]
    assert plain == pytest.approx((expected.low, expected.high), abs=0.05)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 8, 20, 100])
def test_the_interval_is_expanded_as_student_s_t_asks(count):
    quantile = pytest.importorskip("scipy.stats").t.ppf(0.975, count - 1)
    assert small_sample_factor(count) == pytest.approx(
        math.sqrt(count / (count - 1)) * quantile / 1.959964, rel=0.02
    )


def test_the_interval_is_the_same_at_every_call(rng):
    values = rng.normal(30, 3, 20).tolist()
    assert mean(values) == mean(values)


def test_the_interval_holds_the_truth_about_as_often_as_it_says(rng):
    held = [
        found.low <= 30 <= found.high
        for found in (mean(rng.normal(30, 3, 50).tolist()) for _ in range(100))
    ]
    assert 0.87 <= np.mean(held) <= 1


def test_the_interval_over_eight_pictures_holds_the_truth_about_as_often_as_it_says(rng):
    held = [
        found.low <= 30 <= found.high
        for found in (mean(rng.normal(30, 3, 8).tolist()) for _ in range(300))
    ]
    assert np.mean(held) > 0.92  # the plain percentile interval: 0.87


def test_identical_pictures_are_left_out_of_the_mean():
    assert mean([30.0, math.inf, 32.0]).value == 31


def test_the_mean_of_nothing_but_identical_pictures_is_infinite():
    assert mean([math.inf, math.inf]).value == math.inf


def test_one_picture_has_no_interval():
    assert math.isnan(mean([30.0]).low)


def test_the_pooled_error_is_averaged_before_the_logarithm():
    # errors 0.1 and 0.001: the mean is 0.0505, 10 log10(1 / 0.0505) = 12.967 dB, not the 20 dB between 10 and 30
    assert pooled_psnr([10, 30]) == pytest.approx(12.967, abs=1e-3)


def test_identical_pictures_count_in_the_pooled_error():
    # errors 0.1 and 0: 0.05, 13.010 dB
    assert pooled_psnr([10, math.inf]) == pytest.approx(13.0103, abs=1e-4)


def test_a_small_but_steady_advantage_is_found(rng):
    assert compare("a", "b", rng.normal(0.1, 0.1, 50).tolist()).better == "a"


def test_the_worse_one_first_is_found_too(rng):
    assert compare("a", "b", rng.normal(-0.1, 0.1, 50).tolist()).better == "b"


def test_an_advantage_within_the_scatter_is_not_claimed():
    assert compare("a", "b", [1.0, -0.9, 0.8, -1.0, 0.4, -0.1]).better is None


def test_a_difference_among_equals_is_claimed_as_seldom_as_the_level_allows(rng):
    claimed = [
        compare("a", "b", rng.normal(0, 1, 40).tolist()).better is not None for _ in range(100)
    ]
    assert np.mean(claimed) <= 0.12


def test_pictures_that_only_one_restored_perfectly_are_left_out_of_the_comparison():
    assert compare("a", "b", [1.0, math.inf, 2.0, math.nan]).pictures == 2


@pytest.mark.parametrize(("perfect", "better"), [(math.inf, None), (-math.inf, "b")])
def test_nothing_is_claimed_against_the_one_that_restored_pictures_perfectly(perfect, better):
    worse = [-1.0 - number / 10 for number in range(8)]
    assert compare("a", "b", [*worse, perfect]).better == better


@pytest.mark.parametrize(("is_plain", "low", "high"), [(False, 0.03, 0.07), (True, 0.09, 0.13)])
def test_a_difference_among_equals_is_claimed_as_seldom_over_few_pictures_but_by_the_plain_bootstrap(
    is_plain, low, high, rng, monkeypatch
):
    if is_plain:
        monkeypatch.setattr(statistics, "small_sample_factor", lambda count: 1.0)
    claimed = [
        compare("a", "b", rng.normal(0, 1, 8).tolist()).better is not None for _ in range(1000)
    ]
    assert low < np.mean(claimed) < high


@pytest.mark.parametrize(("pictures", "better"), [(2, None), (5, None), (6, "a")])
def test_few_pictures_cannot_prove_much_however_large_the_difference(pictures, better):
    # all n of them on one side: 2 / 2**n among equals, 0.0625 for 5 and 0.031 for 6
    assert compare("a", "b", [10.0 + number for number in range(pictures)]).better == better


def test_nothing_is_claimed_from_one_picture():
    assert compare("a", "b", [5.0]).better is None


def test_holm_raises_p_as_worked_out_by_hand():
    # sorted .01 .02 .025, times 3, 2, 1: .03, .04, .025, and the last one may not fall below the one before
    comparisons = [Comparison("a", "b", Mean(1, 0, 2), p, 10) for p in (0.025, 0.01, 0.02)]
    assert [c.p for c in holm(comparisons)] == pytest.approx([0.04, 0.03, 0.04])


def test_copies_of_pictures_prove_nothing():
    """Three scenes, each 14 times."""
    scenes = [str(number // 14) for number in range(42)]
    alone = compare("a", "b", [0.2, 0.3, 0.7])
    copied = compare("a", "b", [value for value in (0.2, 0.3, 0.7) for _ in range(14)], scenes)
    assert (copied.better, copied.pictures) == (None, 42)
    assert (copied.p, copied.difference.low) == pytest.approx((alone.p, alone.difference.low))


def test_intervals_over_rains_of_few_scenes_claim_what_they_say(rng):
    scenes = [str(number // 14) for number in range(20 * 14)]
    claimed = 0
    for _ in range(100):
        values = np.repeat(rng.normal(0, 1, 20), 14) + rng.normal(0, 0.5, 280)
        claimed += compare("a", "b", values.tolist(), scenes).better is not None
    assert claimed <= 12  # without the scenes 60


def test_a_mean_over_scenes_of_unequal_size_is_that_over_pictures():
    assert mean([1.0, 1.0, 1.0, 5.0], ["a", "a", "a", "b"]).value == 2


def test_many_candidates_can_be_told_apart(rng):
    """253 pairs, each of them 2 dB and more apart on 200 pictures."""
    pairs = [compare("a", "b", rng.normal(2, 0.5, 200).tolist()) for _ in range(253)]
    assert all(comparison.better == "a" for comparison in holm(pairs))
