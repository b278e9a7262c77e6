"""Scoring in threads: order, bounded memory, and results that do not depend on timing."""

import threading
import time

import numpy as np
import pytest

from derain.evaluate import scoring_pool
from derain.evaluate.protocols import PROTOCOLS, score
from derain.evaluate.scoring import Sample, score_candidates
from derain.evaluate.scoring_pool import ScoringPool


def test_results_arrive_in_the_order_of_submission():
    results = []
    with ScoringPool("no memory") as pool:
        for index in range(6):
            pool.submit(lambda i=index: time.sleep(0.05 - i / 150) or i, results.append, px=1)
        pool.drain()
    assert results == list(range(6))


def test_work_runs_in_another_thread():
    threads = []
    with ScoringPool(None) as pool:
        pool.submit(lambda: threads.append(threading.current_thread()), lambda _: None, px=1)
        pool.drain()
    assert threads != [threading.current_thread()]


def test_results_are_used_in_the_submitting_thread():
    threads = []
    with ScoringPool(None) as pool:
        pool.submit(lambda: None, lambda _: threads.append(threading.current_thread()), px=1)
        pool.drain()
    assert threads == [threading.current_thread()]


@pytest.mark.parametrize(("px", "most"), [(10, 4), (30, 1), (1000, 1)])
def test_waiting_pixels_are_bounded(px, most, monkeypatch):
    monkeypatch.setattr(scoring_pool, "MAX_WAITING_PX", 40)
    release, waiting, highest = threading.Event(), [], []
    with ScoringPool(None) as pool:
        for _ in range(8):
            if len(waiting) == most:
                release.set()
            pool.submit(release.wait, lambda _: waiting.pop(), px=px)
            waiting.append(px)
            highest.append(len(waiting))
        pool.drain()
    assert max(highest) == most


def test_out_of_memory_is_tried_again_alone():
    attempts, results = [], []

    def work():
        attempts.append(1)
        if len(attempts) == 1:
            raise MemoryError
        return "scored"

    with ScoringPool("no memory") as pool:
        pool.submit(work, results.append, px=1)
        pool.drain()
    assert results == ["scored"]


def test_repeated_out_of_memory_has_its_own_result():
    def work():
        raise MemoryError

    results = []
    with ScoringPool("no memory") as pool:
        pool.submit(work, results.append, px=1)
        pool.drain()
    assert results == ["no memory"]


def test_memory_is_freed_before_a_second_attempt():
    results = []
    with ScoringPool(None) as pool:
        pool.submit(lambda: "scored", results.append, px=1)

        def restore():
            if not results:
                raise MemoryError
            return "restored"

        assert pool.run_here(restore) == "restored"


@pytest.fixture(scope="module")
def many():
    """Forty samples, and a candidate that returns them slightly darker."""
    rng = np.random.default_rng(5)
    clean = [rng.integers(0, 256, (40, 44, 3), dtype=np.uint8) for _ in range(40)]
    samples = [
        Sample(f"{i}", lambda image=image: (255 - image, image)) for i, image in enumerate(clean)
    ]
    return samples, {"darker": lambda sample, rainy: rainy - rainy // 9}


def test_threads_do_not_change_the_scores(many):
    samples, candidates = many
    _, row = score_candidates("set", samples, candidates).rows
    for sample, result in zip(samples, row.results, strict=True):
        rainy, clean = sample.load()
        restored = candidates["darker"](sample, rainy)
        assert result.sample == sample.name
        assert result.scores == {p: score(PROTOCOLS[p], restored, clean) for p in PROTOCOLS}


def test_on_sample_is_called_once_per_sample(many):
    samples, candidates = many
    calls = []
    score_candidates("set", samples, candidates, on_sample=lambda: calls.append(1))
    assert len(calls) == len(samples)


def test_scoring_overlaps_restoring(monkeypatch):
    """The next picture is restored while the first one waits for its score."""
    is_restoring = threading.Event()
    clean = np.zeros((20, 20, 3), np.uint8)

    def restore(sample, rainy):
        if sample.name == "second":
            is_restoring.set()
        return rainy

    def slow_score(protocol, restored, target):
        assert is_restoring.wait(timeout=10)
        return score(protocol, restored, target)

    monkeypatch.setattr("derain.evaluate.scoring.score", slow_score)
    samples = [Sample(name, lambda: (clean, clean)) for name in ("first", "second")]
    evaluation = score_candidates("set", samples, {"model": restore}, protocols=["rgb"])
    assert [len(row.results) for row in evaluation.rows] == [2, 2]
