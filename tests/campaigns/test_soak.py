"""A sample of the campaign: memory, files and threads do not grow with the number of pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("av")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "amount",
    [["api", "--photos", "300"], ["command", "--photos", "300"], ["video", "--minutes", "0.4"]],
    ids=lambda amount: amount[0],
)
def test_nothing_grows(amount, tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "campaigns.soak", str(tmp_path), *amount],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "flat" in process.stdout
