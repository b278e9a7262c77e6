"""A worker process with limits: cases that hang or end the process do not end the campaign."""

from __future__ import annotations

import json
import os
import queue
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

CPU_LIMIT_S = 60.0
"""Time of the processor for a case; most take a tenth of a second."""
WAIT_LIMIT_S = 300.0
"""A case may also wait forever. Time in which it would compute if it could does not count."""
MEMORY_LIMIT_MIB = 2048
"""Memory of the worker above what it has once it is ready."""
STEP_S = 0.2


class WatchedWorker:
    """Runs `python -m MODULE ARGUMENTS`, which answers each line of JSON by another."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = [sys.executable, *command]
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str | None] = queue.Queue()

    def ask(self, case: Any) -> dict[str, Any]:
        """Return the answer to a case: `{"status": "hung"}` or `"crashed"` if there is none."""
        process = self._started()
        assert process.stdin is not None
        cpu_start, waited_s = _cpu_seconds(process.pid), 0.0
        process.stdin.write(json.dumps(case) + "\n")
        process.stdin.flush()
        while True:
            try:
                line = self._answers.get(timeout=STEP_S)
            except queue.Empty:
                waited_s += STEP_S if is_asleep(process.pid) else 0
                cpu = _cpu_seconds(process.pid) - cpu_start
                if cpu < CPU_LIMIT_S and waited_s < WAIT_LIMIT_S:
                    continue
                process.kill()
                self.close()
                return {"status": "hung", "details": [f"{cpu:.0f} s of the processor"]}
            if line is None:
                self.close()
                return {"status": "crashed", "details": [f"exit code {process.returncode}"]}
            answer: dict[str, Any] = json.loads(line)
            return answer

    def close(self) -> None:
        """End the worker."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            answers: queue.Queue[str | None] = queue.Queue()
            process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            self._process, self._answers = process, answers

            def read() -> None:
                assert process.stdout is not None
                for line in process.stdout:
                    answers.put(line)
                process.wait()
                answers.put(None)

            threading.Thread(target=read, daemon=True).start()
        return self._process


def limit_memory(mib: int = MEMORY_LIMIT_MIB) -> None:
    """Limit the address space of this process to what it has now and `mib` MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + mib * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def serve_cases() -> Iterator[tuple[Any, Any]]:
    """Yield (case, answer) in the worker; `answer(values)` sends the answer."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not an answer

    def answer(values: dict[str, Any]) -> None:
        channel.write(json.dumps(values) + "\n")
        channel.flush()

    for line in os.fdopen(os.dup(0), "r"):
        yield json.loads(line), answer


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_asleep(pid: int) -> bool:
    """True if all threads wait: none computes, waits for a processor or a disk, or is stopped."""
    try:
        threads = [(path / "stat").read_text() for path in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:  # one has ended
        return False
    return all(thread.rpartition(")")[2].split()[0] == "S" for thread in threads)
