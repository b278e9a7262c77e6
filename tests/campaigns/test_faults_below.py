"""A sample of the campaign: failing system calls, jumps of the clock, signals and kills."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="measures processes as POSIX does")
pytest.importorskip("av")

from campaigns.fault_scenarios import SCENARIOS
from campaigns.faults_below import BAD

EACH = 1


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="replaces functions of glibc")
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost_or_silent(name, tmp_path):
    arguments = [str(tmp_path), "--each", str(EACH), "--only", name]
    process = subprocess.run(
        [sys.executable, "-m", "campaigns.faults_below", *arguments],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    results = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [result for result in results if result["status"] in BAD] == []
    assert process.returncode == 0, process.stderr
    assert results
