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


def test_interval_equals_scipy(rng):
    stats = pytest.importorskip("scipy.stats")
    values = rng.normal(30, 3, 60)
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", confidence_level=LEVEL, rng=1
    ).confidence_interval
    result = mean(values.tolist())
    plain = [
        result.value + (end - result.value) / small_sample_factor(60)
        for end in (result.low, result.high)
    ]
    assert plain == pytest.approx((expected.low, expected.high), abs=0.05)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 8, 20, 100])
def test_small_sample_factor_follows_student_t(count):
    quantile = pytest.importorskip("scipy.stats").t.ppf(0.975, count - 1)
    assert small_sample_factor(count) == pytest.approx(
        math.sqrt(count / (count - 1)) * quantile / 1.959964, rel=0.02
    )


def test_interval_is_reproducible(rng):
    values = rng.normal(30, 3, 20).tolist()
    assert mean(values) == mean(values)


def test_coverage_over_50_pictures(rng):
    covered = [
        result.low <= 30 <= result.high
        for result in (mean(rng.normal(30, 3, 50).tolist()) for _ in range(100))
    ]
    assert 0.87 <= np.mean(covered) <= 1


def test_coverage_over_8_pictures(rng):
    covered = [
        result.low <= 30 <= result.high
        for result in (mean(rng.normal(30, 3, 8).tolist()) for _ in range(300))
    ]
    assert np.mean(covered) > 0.92  # the plain percentile interval: 0.87


def test_mean_skips_identical_pictures():
    assert mean([30.0, math.inf, 32.0]).value == 31


def test_mean_of_identical_pictures_is_infinite():
    assert mean([math.inf, math.inf]).value == math.inf


def test_one_picture_has_no_interval():
    assert math.isnan(mean([30.0]).low)


def test_pooled_psnr_by_hand():
    # errors 0.1 and 0.001: the mean is 0.0505, 10 log10(1 / 0.0505) = 12.967 dB, not 20 dB
    assert pooled_psnr([10, 30]) == pytest.approx(12.967, abs=1e-3)


def test_pooled_psnr_counts_identical_pictures():
    # errors 0.1 and 0: 0.05, 13.010 dB
    assert pooled_psnr([10, math.inf]) == pytest.approx(13.0103, abs=1e-4)


def test_a_small_steady_advantage_is_significant(rng):
    assert compare("a", "b", rng.normal(0.1, 0.1, 50).tolist()).better == "a"


def test_a_steady_disadvantage_is_significant(rng):
    assert compare("a", "b", rng.normal(-0.1, 0.1, 50).tolist()).better == "b"


def test_scatter_is_not_significant():
    assert compare("a", "b", [1.0, -0.9, 0.8, -1.0, 0.4, -0.1]).better is None


def test_false_claims_over_40_pictures(rng):
    claimed = [
        compare("a", "b", rng.normal(0, 1, 40).tolist()).better is not None for _ in range(100)
    ]
    assert np.mean(claimed) <= 0.12


def test_infinite_differences_are_skipped():
    assert compare("a", "b", [1.0, math.inf, 2.0, math.nan]).pictures == 2


@pytest.mark.parametrize(("perfect", "better"), [(math.inf, None), (-math.inf, "b")])
def test_no_claim_against_perfect_pictures(perfect, better):
    worse = [-1.0 - number / 10 for number in range(8)]
    assert compare("a", "b", [*worse, perfect]).better == better


@pytest.mark.slow
@pytest.mark.parametrize(("is_plain", "low", "high"), [(False, 0.03, 0.07), (True, 0.09, 0.13)])
def test_false_claims_over_8_pictures(is_plain, low, high, rng, monkeypatch):
    if is_plain:
        monkeypatch.setattr(statistics, "small_sample_factor", lambda count: 1.0)
    claimed = [
        compare("a", "b", rng.normal(0, 1, 8).tolist()).better is not None for _ in range(1000)
    ]
    assert low < np.mean(claimed) < high


@pytest.mark.parametrize(("pictures", "better"), [(2, None), (5, None), (6, "a")])
def test_few_pictures_prove_little(pictures, better):
    # p is at least 2 / 2**n: 0.0625 for 5 and 0.031 for 6 pictures
    assert compare("a", "b", [10.0 + number for number in range(pictures)]).better == better


def test_one_picture_proves_nothing():
    assert compare("a", "b", [5.0]).better is None


def test_holm_by_hand():
    # sorted .01 .02 .025, times 3, 2, 1: .03, .04, .025; the last must not be below the second
    comparisons = [Comparison("a", "b", Mean(1, 0, 2), p, 10) for p in (0.025, 0.01, 0.02)]
    assert [c.p for c in holm(comparisons)] == pytest.approx([0.04, 0.03, 0.04])


def test_copies_do_not_add_evidence():
    scenes = [str(number // 14) for number in range(42)]
    alone = compare("a", "b", [0.2, 0.3, 0.7])
    copied = compare("a", "b", [value for value in (0.2, 0.3, 0.7) for _ in range(14)], scenes)
    assert copied.better is None
    assert copied.pictures == 42
    assert copied.p == pytest.approx(alone.p)
    assert copied.difference.low == pytest.approx(alone.difference.low)


def test_false_claims_over_rains_of_20_scenes(rng):
    scenes = [str(number // 14) for number in range(20 * 14)]
    claimed = 0
    for _ in range(100):
        values = np.repeat(rng.normal(0, 1, 20), 14) + rng.normal(0, 0.5, 280)
        claimed += compare("a", "b", values.tolist(), scenes).better is not None
    assert claimed <= 12  # without the scenes 60


def test_mean_weights_pictures_not_scenes():
    assert mean([1.0, 1.0, 1.0, 5.0], ["a", "a", "a", "b"]).value == 2


def test_many_candidates_are_separated(rng):
    """253 pairs, 2 dB apart on 200 pictures."""
    pairs = 11 * [compare("a", "b", rng.normal(2, 0.5, 200).tolist()) for _ in range(23)]
    assert all(comparison.better == "a" for comparison in holm(pairs))
