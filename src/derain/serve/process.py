"""The worker process: it holds the networks, so that ending it returns all memory to the system.

The server imports this module for its messages; `derain.serve.worker` is for the process alone.
"""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

CONCURRENT_JOBS = 2
"""One job computes while another is read or written."""


@dataclass(frozen=True)
class Task:
    """One photo to restore."""

    source: Path
    target: Path
    rain_target: Path | None
    model: str
    strength: float
    mask: Path | None = None
    request: str = ""
    """Id of the request, for the log."""
    number: int = 0
    """Set by the pool."""


@dataclass(frozen=True)
class Event:
    """A message: the network is `ready` or `broken`, or the state of a task.

    A task is `computing` and `computed` for each page, then `done`, `failed` or `cancelled`.
    """

    kind: str
    number: int = 0
    detail: str = ""
    """The sentence of a failure."""
    is_fault_of_input: bool = True
    """False where the network or the machine failed."""
    omissions: tuple[str, ...] = ()
    """Parts of the input that the result lacks, a sentence each."""
    seconds: float = 0.0
    """Time in the network, of `computed`."""


def run_worker(connection: Connection, model: str, network: dict[str, Any]) -> None:
    """Restore the tasks that come through `connection` until it is closed.

    Messages in: `Task`, an int (cancel that task), None (stop). Messages out: `Event`.
    """
    for name in (signal.SIGINT, signal.SIGTERM):  # the server decides when its worker ends
        signal.signal(name, signal.SIG_IGN)
    from derain.serve.worker import Worker  # the network's libraries take a second to import

    worker = Worker(connection, network)
    worker.warm_up(model)
    with ThreadPoolExecutor(CONCURRENT_JOBS) as threads:
        while True:
            try:
                message = connection.recv()
            except (EOFError, OSError):  # the server is gone
                message = None
            if message is None:
                worker.cancel_all()
                return
            if isinstance(message, int):
                worker.cancel(message)
            else:
                threads.submit(worker.restore, message)
