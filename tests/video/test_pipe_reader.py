"""A pipe whose reader can be interrupted."""

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
    sys.platform == "win32", reason="Windows cannot tell whether a pipe has data"
)


@pytest.fixture
def pipe():
    """(reader, writing end)."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as inlet, os.fdopen(writing, "wb", buffering=0) as outlet:
        yield InterruptibleReader(inlet), outlet


@pytest.mark.parametrize("is_pipe", [True, False], ids=["pipe", "memory"])
def test_lines_and_the_rest(is_pipe, pipe):
    data = b"one\ntwo\n" + bytes(range(256)) * 20
    reader, outlet = pipe
    if is_pipe:
        outlet.write(data)
        outlet.close()
    else:
        reader = InterruptibleReader(io.BytesIO(data))
    lines = [reader.readline(100), reader.readline(2), reader.readline(100)]
    assert lines == [b"one\n", b"tw", b"o\n"]
    rest = b""
    while part := reader.read(1000):
        assert len(part) <= 1000
        rest += part
    assert rest == data[8:]
    assert reader.readline(100) == b""


def test_available_data_is_returned_immediately(pipe):
    reader, outlet = pipe
    outlet.write(b"abc")
    assert reader.read(1000) == b"abc"


def test_end_wakes_a_waiting_read(pipe):
    reader, _ = pipe
    results = []
    thread = threading.Thread(target=lambda: results.append(reader.read(10)), daemon=True)
    thread.start()
    time.sleep(0.15)
    assert not results
    reader.end()
    thread.join(timeout=5)
    assert results == [b""]


def test_ctrl_c_ends_a_silent_pipe():
    frame = b"FRAME\n" + bytes(64 * 48 * 3 // 2)
    program = (
        "import sys\n"
        "from derain.video.pipe import restore_pipe\n"
        "result = restore_pipe(sys.stdin.buffer, sys.stdout.buffer, lambda rainy: rainy)\n"
        "print(result.was_interrupted, file=sys.stderr)\n"
    )
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    with subprocess.Popen([sys.executable, "-c", program], **pipes) as child:
        child.stdin.write(b"YUV4MPEG2 W64 H48 F25:1 C420jpeg\n" + frame * 3)
        child.stdin.flush()
        child.stdout.readline()
        child.stdout.read(len(frame))
        child.send_signal(2)
        start = time.perf_counter()
        assert child.stderr.readline() == b"True\n"
        assert time.perf_counter() - start < 5
        child.stdin.close()
