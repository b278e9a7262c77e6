"""The places that requests hold, and the estimate of when one is free."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("fastapi")
from derain.serve import pool as pool_module
from derain.serve.messages import Event, Task
from derain.serve.pool import Pool
from derain.serve.problems import Problem
from derain.serve.settings import Settings

TASK = Task(Path("photo"), Path("restored"), None, "fast", 1.0)


@pytest.fixture
def clock(monkeypatch):
    """The time that the pool sees: `clock.now`."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(pool_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def pool(clock, monkeypatch):
    """A pool of one running and two waiting photos, whose worker never answers."""
    pool = Pool(Settings(queue=2))
    monkeypatch.setattr(pool, "start", lambda: None)
    return pool


def test_uploads_beyond_the_queue_are_429(pool):
    with ExitStack() as uploads:
        for _ in range(3):
            uploads.enter_context(pool.reserve())
        assert not pool.has_room
        with pytest.raises(Problem, match="3 photos are waiting") as caught:
            uploads.enter_context(pool.reserve())
        assert caught.value.status == 429


def test_failed_upload_frees_its_place(make_client, photo):
    with make_client(queue=0) as client:
        statuses = [client.post("/v1/restore", content=body).status_code for body in (b"", photo)]
    assert statuses == [400, 200]


def test_draining_rejects_what_was_uploaded_meanwhile(pool):
    with pool.reserve():
        pool.drain()
        with pytest.raises(Problem, match="shutting down"):
            asyncio.run(pool.run(TASK))


def test_time_of_a_photo_excludes_its_wait_in_the_queue(pool, clock):
    """Each of three photos takes 2 s; the last one has waited 4 s before."""

    async def restore_all() -> None:
        tasks = [asyncio.ensure_future(pool.run(TASK)) for _ in range(3)]
        for number in (1, 2, 3):
            await asyncio.sleep(0)
            pool._on_event(Event("computing", number))
            clock.now += 2
            pool._on_event(Event("computed", number))
            pool._on_event(Event("done", number))
            await tasks[number - 1]

    pool.mean_seconds = 2.0
    asyncio.run(restore_all())
    assert pool.mean_seconds == pytest.approx(2)


def test_deadline_is_503_in_python_310(pool, monkeypatch):
    class OwnTimeoutError(Exception):
        pass

    async def wait_for(future, timeout):
        raise OwnTimeoutError

    monkeypatch.setattr(asyncio, "TimeoutError", OwnTimeoutError)
    monkeypatch.setattr(asyncio, "wait_for", wait_for)
    with pytest.raises(Problem, match="not finished within 300 s"):
        asyncio.run(pool.run(TASK))
