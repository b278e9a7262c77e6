"""A small soak of `derain serve`."""

from __future__ import annotations

import pytest

pytest.importorskip("resource", reason="measures processes as POSIX does")
pytest.importorskip("fastapi")

from campaigns.server_soak import kill, soak

pytestmark = pytest.mark.slow


def test_server_survives_all_kinds_of_requests(networks, tmp_path):
    assert soak(tmp_path, str(networks / "blurring.onnx"), requests=120, seed=7) == []


def test_killed_worker_fails_one_request_alone(tmp_path):
    assert kill(tmp_path, "fast", requests=20, kills=2, seed=7) == []
