"""What /metrics reports."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from derain.serve.pool import Pool


class Metrics:
    """Counters of one application."""

    def __init__(self, pool: Pool) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "derain_requests", "Requests.", ["route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "derain_request_seconds", "Time of a request.", ["route"], registry=self.registry
        )
        for name, text, function in (
            ("derain_queue", "Photos that wait.", lambda: pool.waiting),
            ("derain_computing", "Photos in the network, 0 or 1.", lambda: pool.computing),
            ("derain_network_seconds", "Time in the network.", lambda: pool.network_seconds),
            ("derain_worker_deaths", "Workers that died.", lambda: pool.restarts),
            (
                "derain_server_memory_bytes",
                "Resident memory of the server.",
                lambda: resident_bytes(os.getpid()),
            ),
            (
                "derain_worker_memory_bytes",
                "Resident memory of the worker.",
                lambda: resident_bytes(pool.worker_pid),
            ),
        ):
            Gauge(name, text, registry=self.registry).set_function(function)

    def count(self, route: str, status: int, seconds: float) -> None:
        """Add one request."""
        self._requests.labels(route, str(int(status))).inc()
        self._seconds.labels(route).observe(seconds)


def resident_bytes(pid: int | None) -> int:
    """Return the memory of a process from /proc; 0 where there is none."""
    if pid is None or sys.platform == "win32":
        return 0
    with suppress(OSError, ValueError, IndexError):
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    return 0
