"""A sample of the campaign: damaged files of all kinds are refused or restored."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="measures processes as POSIX does")
pytest.importorskip("av")
pytest.importorskip("pillow_heif")

from campaigns.damage import BAD, run_campaign

CASES = 200


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_damaged_files_are_refused_or_restored(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    results = run_campaign(tmp_path, cases=range(CASES), seed=2)
    assert [result for result in results if result["status"] in BAD] == []
    assert {result["status"] for result in results} == {"refused", "restored"}
    assert len(results) == CASES
