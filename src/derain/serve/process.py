"""The worker process: it holds the networks, so that ending it returns all memory to the system.

The server imports this module to start it; `derain.serve.worker` is for the process alone.
"""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

CONCURRENT_JOBS = 2
"""One job computes while another is read or written."""


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
