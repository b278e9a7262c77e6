"""The targets of the fuzzing campaign, with seeded changes of their examples and kept corpora."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("av")

from campaigns import fuzz_all
from campaigns.fuzz import TARGETS, kept_inputs, seeds
from campaigns.fuzz_all import fuzz_share, minimise, pack, read_log
from campaigns.mutations import RANDOM, TEXT, long_run

CASES = 150
"""Changes of each example; kept inputs get one."""
LONG_CASES = 60
LONG_LIMIT_S = 2.0
"""Time of the processor for an input with a long run."""
LOG = """\
#2\tINITED cov: 5 ft: 6 corp: 1/44b exec/s: 0 rss: 68Mb
#9\tNEW    cov: 8 ft: 43 corp: 7/52b lim: 48 exec/s: 0 rss: 68Mb L: 44/44 MS: 1 ChangeByte-
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_parser_raises_what_its_callers_expect(name):
    rng = random.Random(f"fuzz {name}")
    examples = seeds()[name]
    for example in [*examples, *kept_inputs(name)]:
        TARGETS[name](example)
        for _ in range(CASES if example in examples else 1):
            change = rng.choice(RANDOM + TEXT)
            TARGETS[name](change(example or b"0", rng))


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_long_runs_take_little_time(name):
    rng = random.Random(f"long {name}")
    examples = [example for example in [*seeds()[name], *kept_inputs(name)] if example]
    for example in examples[:3]:
        TARGETS[name](example)  # imports the parsers
    for _ in range(LONG_CASES):
        data = long_run(rng.choice(examples), rng)
        start = time.process_time()
        TARGETS[name](data)
        assert time.process_time() - start < LONG_LIMIT_S, data[:1000]


@pytest.mark.parametrize("name", TARGETS)
def test_minimised_corpus_of_each_parser_is_kept(name):
    assert len(kept_inputs(name)) > 1


def test_log_of_libfuzzer_gives_inputs_and_coverage():
    assert read_log(LOG) == {"inputs": 9, "edges": 8, "features": 43, "finding": None}
    failed = read_log(LOG + "artifact_prefix='c-'; Test unit written to c-crash-1\n")
    assert failed["finding"] == "c-crash-1"


def test_a_finding_is_checked_again(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    (tmp_path / "good").write_bytes(seeds()["log"][0])
    assert not fuzz_all.fails("log", tmp_path / "good")
    assert fuzz_all.fails("log", tmp_path / "missing")


def test_equal_corpora_give_equal_archives(tmp_path):
    archives = []
    for index in range(2):
        folder = tmp_path / f"{index}"
        folder.mkdir()
        paths = [folder / name for name in ("a", "b", "results.jsonl")]
        for path in paths:
            path.write_text(path.name)
        pack({"log": paths[:2]}, paths[2], folder / "kept.zip")
        archives.append((folder / "kept.zip").read_bytes())
    assert archives[0] == archives[1]


def test_campaign_ends_when_a_target_has_had_its_time(tmp_path, monkeypatch):
    shares = []

    def fuzz(folder, name, seconds):
        shares.append((name, seconds))
        return {"target": name, "cpu_s": seconds}

    monkeypatch.setattr(fuzz_all, "fuzz_share", fuzz)
    run = partial(fuzz_all.run_target, folder=tmp_path, share=5, end=math.inf)
    run("png", minutes=7)
    run("exif", minutes=2)
    assert shares == [("png", 300), ("png", 120), ("exif", 120)]
    run("png", minutes=8)
    assert shares[3:] == [("png", 60)]
    run("xmp", minutes=1, end=0)
    assert len(fuzz_all.read_results(tmp_path)) == len(shares) == 4


@pytest.mark.slow
def test_minimised_corpus_has_the_coverage_of_the_corpus(tmp_path, monkeypatch):
    pytest.importorskip("atheris", reason="atheris has an environment of its own")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    result = fuzz_share(tmp_path, "list", 5)
    kept = minimise(tmp_path, "list")
    assert 0 < len(kept) < len(list((tmp_path / "corpora" / "list").iterdir()))
    command = [sys.executable, "-m", "campaigns.fuzz", "list", str(kept[0].parent), "-runs=0"]
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert read_log(again.stderr)["edges"] == result["edges"]
