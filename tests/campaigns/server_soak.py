"""Soak of `derain serve` on loopback: eight clients, all kinds of requests, and killed workers.

From the root of the repository:

    PYTHONPATH=tests python -m campaigns.server_soak FOLDER [--requests 2000] [--kills 20]

The first campaign sends good, damaged, oversized, slow and unfinished requests, and compares every
good answer with the result of the command line. The second one sends good requests while the worker
is killed again and again in the middle of a photo. A request that is rejected with 429 is sent
again, and counted apart. The exit code is 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from campaigns.server_requests import (
    MAX_MEGAPIXELS,
    MAX_UPLOAD_MIB,
    UPLOAD_S,
    Answer,
    Case,
    exchange,
    make_photos,
    mix,
)

from derain.environment import environment_line

CLIENTS = 8
QUEUE = 4
FLAT = 0.05
"""Largest change of memory from the first quarter of the requests to the last."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Server:
    """`derain serve` in a process of its own."""

    process: subprocess.Popen[str]
    host: str
    log: Path

    def metric(self, name: str) -> float:
        """Return a value of /metrics."""
        with urllib.request.urlopen(f"http://{self.host}/metrics", timeout=30) as response:
            text = response.read().decode()
        return float(re.search(rf"^{name} (\S+)", text, re.MULTILINE)[1])

    def worker(self) -> int | None:
        """Return the process id of the worker."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in path.read_text().split():
            if b"spawn_main" in _read(Path(f"/proc/{pid}/cmdline")):
                return int(pid)
        return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def resident_bytes(pid: int | None) -> int:
    """Return the memory of a process; 0 if it is gone."""
    parts = _read(Path(f"/proc/{pid}/statm")).split()
    return int(parts[1]) * PAGE_BYTES if parts else 0


@contextmanager
def serve(folder: Path, model: str) -> Iterator[Server]:
    """Run a server; raises AssertionError unless it ends in order."""
    command = [sys.executable, "-m", "derain.cli.main", "serve", "--port", "0", "--model", model]
    command += ["--queue", str(QUEUE), "--upload-s", str(UPLOAD_S)]
    command += ["--max-upload-mib", str(MAX_UPLOAD_MIB), "--max-megapixels", str(MAX_MEGAPIXELS)]
    log, temporary = folder / "server.log", folder / "temporary"
    temporary.mkdir(exist_ok=True)
    environment = os.environ | {"TMPDIR": str(temporary)}
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        )
    host = process.stdout.readline().split()[2].removeprefix("http://")
    try:
        yield Server(process, host, log)
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    assert code == 0, f"the server ended with {code}"
    assert [*temporary.iterdir()] == [], "files were left behind"


@dataclass
class Outcome:
    """Answers and measurements of a campaign."""

    answers: list[tuple[Case, Answer]] = field(default_factory=list)
    rejected: list[Answer] = field(default_factory=list)
    """Answers with 429, whose requests were sent again."""
    seconds: float = 0.0
    queue: float = 0.0
    """Largest number of waiting photos."""
    memory: list[tuple[int, int, int]] = field(default_factory=list)
    """Finished requests, bytes of the server, bytes of the worker."""

    def wrong(self) -> Iterator[str]:
        """Yield a sentence for each answer that must not come."""
        for case, answer in self.answers:
            if answer.status not in case.statuses:
                yield f"{case.kind} ({case.send}): {answer.status} {answer.detail}"
            elif case.expected and answer.status == 200 and answer.body != case.expected:
                yield f"{case.kind}: another picture than that of the command line"
            elif case.kind == "slow" and case.expected and answer.body != case.expected:
                yield "slow: no picture"


def run(server: Server, cases: Iterable[Case], outcome: Outcome) -> None:
    """Send all requests from CLIENTS threads."""

    def send(case: Case) -> None:
        while (answer := exchange(server.host, case)).status == 429:
            outcome.rejected.append(answer)
            time.sleep(min(answer.retry_s, 0.5))
        outcome.answers.append((case, answer))

    start = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(send, cases))
    outcome.seconds = time.monotonic() - start


@contextmanager
def beside(work: threading.Thread, stop: threading.Event) -> Iterator[None]:
    """Run a thread during a block."""
    work.start()
    try:
        yield
    finally:
        stop.set()
        work.join()


def soak(folder: Path, model: str, *, requests: int, seed: int) -> list[str]:
    """Run the first campaign, print its figures, and return the claims that do not hold."""
    outcome, stop = Outcome(), threading.Event()
    photos = make_photos(folder / "photos", model, seed=seed)

    def watch() -> None:
        while not stop.wait(0.1):
            outcome.queue = max(outcome.queue, server.metric("derain_queue"))
            memory = resident_bytes(server.process.pid), resident_bytes(server.worker())
            outcome.memory.append((len(outcome.answers), *memory))

    with serve(folder, model) as server:
        run(server, photos * 2, Outcome())  # the network is loaded, its buffers exist
        with beside(threading.Thread(target=watch), stop):
            run(server, mix(photos, requests, seed), outcome)
        errors = server.log.read_text().count("Traceback")
        deaths = server.metric("derain_worker_deaths")
    kinds = Counter((case.kind, answer.status) for case, answer in outcome.answers)
    for (kind, status), count in sorted(kinds.items()):
        print(f"{count:6} {kind}, {status or 'no answer'}")
    print(f"{len(outcome.rejected):6} rejected with 429 and sent again, {outcome.seconds:.0f} s")
    failures = [*outcome.wrong()]
    for name, column in (("server", 1), ("worker", 2)):
        first, last = _quarters(outcome.memory, column)
        change = last / first - 1
        print(f"{name}: {first / 2**20:.1f} MiB, then {last / 2**20:.1f} MiB ({change:+.1%})")
        if abs(change) > FLAT:
            failures.append(f"memory of the {name} changed by {change:+.1%}")
    print(f"most waiting photos: {outcome.queue:.0f} of {QUEUE}")
    if outcome.queue > QUEUE:
        failures.append(f"{outcome.queue:.0f} photos waited")
    failures += ["429 without Retry-After" for answer in outcome.rejected if answer.retry_s < 1]
    if errors or deaths:
        failures.append(f"{errors} tracebacks in the log, {deaths:.0f} dead workers")
    return failures


def _quarters(samples: Sequence[tuple[int, int, int]], column: int) -> tuple[float, float]:
    """Return the means over the first and the last quarter of the requests."""
    total = samples[-1][0]
    first = [sample[column] for sample in samples if sample[0] <= total / 4]
    last = [sample[column] for sample in samples if sample[0] >= total * 3 / 4]
    return sum(first) / len(first), sum(last) / len(last)


def kill(folder: Path, model: str, *, requests: int, kills: int, seed: int) -> list[str]:
    """Run the second campaign, print its figures, and return the claims that do not hold."""
    outcome, stop, killed = Outcome(), threading.Event(), []
    photos = make_photos(folder / "large", model, seed=seed)
    cases = [photos[index % len(photos)] for index in range(requests)]

    def hunt() -> None:
        while len(killed) < kills and not stop.wait(0.01):
            if len(outcome.answers) >= (len(killed) + 1) * requests / (kills + 2):
                killed.extend([pid for pid in [server.worker()] if _kill_computing(server, pid)])

    with serve(folder, model) as server:
        with beside(threading.Thread(target=hunt), stop):
            run(server, cases, outcome)
        log = server.log.read_text()
        deaths = server.metric("derain_worker_deaths")
    lost = [answer for _, answer in outcome.answers if answer.status == 503]
    others = Counter(answer.status for _, answer in outcome.answers)
    print(f"{len(killed)} workers killed while they computed, {deaths:.0f} deaths noticed")
    print(f"{len(outcome.answers)} requests, {outcome.seconds:.0f} s:", dict(others))
    print(f"{len(outcome.rejected):6} rejected with 429 and sent again")
    failures = [text for text in outcome.wrong() if "worker process died" not in text]
    if not len(killed) == deaths == len(lost) == kills:
        failures.append(f"{len(killed)} kills, {deaths:.0f} deaths, {len(lost)} answers with 503")
    named = re.findall(r"worker process died\n.* (\w+) lost its worker", log)
    if sorted(named) != sorted(answer.request for answer in lost):
        failures.append("the log names other requests than those that failed")
    return failures


def _kill_computing(server: Server, pid: int | None) -> bool:
    """Kill the worker if it is computing. It stands still while that is asked."""
    if pid is None:
        return False
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.05)  # its last message arrives
    is_computing = server.metric("derain_computing") == 1
    os.kill(pid, signal.SIGKILL if is_computing else signal.SIGCONT)
    while is_computing and server.worker() == pid and resident_bytes(pid):
        time.sleep(0.01)
    return is_computing


def main() -> int:
    """Run both campaigns; return 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--kill-requests", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.reconfigure(line_buffering=True)  # figures appear as they are measured
    print(environment_line())
    folder, model, seed = options.folder, options.model, options.seed
    failures = soak(folder, model, requests=options.requests, seed=seed)
    kills = options.kills
    failures += kill(folder, model, requests=options.kill_requests, kills=kills, seed=seed)
    print(*failures, f"{len(failures)} claims do not hold", sep="\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
