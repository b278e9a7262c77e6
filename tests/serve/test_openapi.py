"""The server does what its OpenAPI document says."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.fixture
def schemathesis():
    """The path of the program. Skips the test without it, fails it in CI."""
    found = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    if found is None and os.environ.get("CI") and sys.version_info >= (3, 11):
        pytest.fail("CI needs schemathesis; install the extra `dev`")
    if found is None:
        pytest.skip("needs schemathesis")
    return found


@pytest.mark.slow
def test_schemathesis_finds_nothing(schemathesis, networks, tmp_path):
    """200 examples of each operation, valid and invalid ones, with every check."""
    command = [sys.executable, "-m", "derain.cli.main", "serve", "--port", "0"]
    command += ["--model", str(networks / "darkening.onnx")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        document = f"{server.stdout.readline().split()[2]}/openapi.json"
        command = [schemathesis, "run", document, "--checks", "all", "--max-examples", "200"]
        command += ["--seed", "1", "--no-color", "--generation-database", "none"]
        # the first request for a model loads it
        command += ["--max-response-time", "120", "--request-timeout", "120"]
        hooks = {"SCHEMATHESIS_HOOKS": "helpers.openapi_photos", "PYTHONPATH": str(TESTS)}
        run = subprocess.run(
            command, env=os.environ | hooks, cwd=tmp_path, capture_output=True, text=True
        )
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    assert run.returncode == 0, run.stdout[-8000:]
