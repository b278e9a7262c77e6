"""A pipe that may be ended while it is read."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time

import pytest

from derain.video.pipe_reader import InterruptibleReader

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows cannot tell whether a pipe has anything"
)


@pytest.fixture
def pipe():
    """(reader, what writes to it)."""
    ends = os.pipe()
    with os.fdopen(ends[0], "rb") as inlet, os.fdopen(ends[1], "wb", buffering=0) as outlet:
        yield InterruptibleReader(inlet), outlet


@pytest.mark.parametrize("of_a_pipe", [True, False], ids=["pipe", "memory"])
def test_lines_and_then_the_rest(of_a_pipe, pipe):
    data = b"one\ntwo\n" + bytes(range(256)) * 20
    reader, outlet = pipe
    if of_a_pipe:
        outlet.write(data)
        outlet.close()
    else:
        reader = InterruptibleReader(io.BytesIO(data))
    assert [reader.readline(100), reader.readline(2), reader.readline(100)] == [
        b"one\n",
        b"tw",
        b"o\n",
    ]
    rest = b""
    while part := reader.read(1000):
        assert len(part) <= 1000
        rest += part
    assert rest == data[8:]
    assert reader.readline(100) == b""


def test_what_has_come_is_there_at_once(pipe):
    reader, outlet = pipe
    outlet.write(b"abc")
    assert reader.read(1000) == b"abc"


def test_a_read_that_waits_is_ended(pipe):
    reader, _ = pipe
    found = []
    thread = threading.Thread(target=lambda: found.append(reader.read(10)), daemon=True)
    thread.start()
    time.sleep(0.3)
    assert not found
    reader.end()
    thread.join(timeout=5)
    assert found == [b""]


def test_ctrl_c_ends_a_pipe_that_stands_still():
    frame = b"FRAME\n" + bytes(64 * 48 * 3 // 2)
    program = (
        "import sys\n"
        "from derain.video.pipe import restore_pipe\n"
        "print(restore_pipe(sys.stdin.buffer, sys.stdout.buffer, lambda rainy: rainy).was_interrupted, file=sys.stderr)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdin.write(b"YUV4MPEG2 W64 H48 F25:1 C420jpeg\n" + frame * 3)
        child.stdin.flush()
        child.stdout.readline()
        child.stdout.read(len(frame))
        child.send_signal(2)
        start = time.perf_counter()
        assert child.stderr.readline() == b"True\n"
        assert time.perf_counter() - start < 5
        child.stdin.close()
