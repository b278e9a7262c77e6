"""The queue and the worker process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from campaigns.server_requests import CUT_OFF, Case, exchange
from helpers.pictures_in_memory import encode

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def large():
    """A photo that takes a second or more."""
    return encode(np.random.default_rng(1).integers(0, 256, (2000, 2000, 3), np.uint8), "TIFF")


@pytest.fixture
def blurring(make_client, networks):
    """`blurring(queue=0)`: a client of a server with a slow network."""
    return lambda **settings: make_client(model=str(networks / "blurring.onnx"), **settings)


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def test_full_queue_is_429(blurring, large):
    with blurring(queue=0) as client, ThreadPoolExecutor() as threads:
        running = threads.submit(client.post, "/v1/restore", content=large)
        wait_until(lambda: not client.app.state.pool.has_room)
        response = client.post("/v1/restore", content=large)
        assert response.status_code == 429
        assert int(response.headers["retry-after"]) >= 1
        assert running.result().status_code == 200


def test_waiting_photos_are_restored(blurring, photo):
    with blurring(queue=8) as client, ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(client.post, "/v1/restore", content=photo) for _ in range(8)]
        assert {answer.result().status_code for answer in answers} == {200}


def test_deadline_is_503(blurring, large):
    with blurring(deadline_s=0.05) as client:
        response = client.post("/v1/restore", content=large)
        assert response.status_code == 503
        assert "0.05 s" in response.json()["detail"]


def test_killed_worker_fails_its_photo_alone(blurring, large, photo):
    with blurring() as client, ThreadPoolExecutor() as threads:
        pool = client.app.state.pool
        client.post("/v1/restore", content=photo)
        running = threads.submit(client.post, "/v1/restore", content=large)
        wait_until(lambda: any(entry.is_computing for entry in pool._entries.values()))
        waiting = threads.submit(client.post, "/v1/restore", content=photo)
        wait_until(lambda: len(pool._entries) == 2)
        os.kill(pool.worker_pid, signal.SIGKILL)
        assert running.result().status_code == 503
        assert waiting.result().status_code == 200


def test_idle_worker_ends_and_comes_back(blurring, photo):
    with blurring(idle_minutes=0.005) as client:
        client.post("/v1/restore", content=photo)
        wait_until(lambda: client.app.state.pool.worker_pid is None)
        assert client.post("/v1/restore", content=photo).status_code == 200


def test_draining_rejects_photos(blurring, photo):
    with blurring() as client:
        client.app.state.pool.drain()
        assert client.post("/v1/restore", content=photo).status_code == 503


@pytest.fixture
def address(networks):
    """Host and port of `derain serve` in a process of its own, which gets SIGTERM at the end."""
    command = [sys.executable, "-m", "derain.cli.main", "serve", "--port", "0"]
    command += ["--model", str(networks / "blurring.onnx"), "--queue", "4"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    yield server.stdout.readline().split()[2].removeprefix("http://")
    server.send_signal(signal.SIGTERM)
    assert server.wait(30) == 0


def test_client_that_hangs_up_cancels_its_photo(address, large, photo):
    assert exchange(address, Case("hang up", large, send="leave")).status == CUT_OFF
    start = time.monotonic()
    assert exchange(address, Case("good", photo)).status == 200
    assert time.monotonic() - start < 30
