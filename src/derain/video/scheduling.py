"""The scheduling policy of this process, which the AV1 encoder changes."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

THREADS = Path("/proc/self/task")
"""One folder for each thread of this process."""


@contextmanager
def preserve_scheduling() -> Iterator[None]:
    """Undo changes that the block makes to the scheduling policy of any thread.

    As root, libsvtav1 gives the process the highest real-time priority, and a busy process of that
    priority stops all others. New threads get the policy of the calling thread.
    """
    if sys.platform != "linux":
        yield
        return
    before = _read_policies()
    own = before.get(threading.get_native_id())
    try:
        yield
    finally:
        for thread, policy in _read_policies().items():
            wanted = before.get(thread, own)
            if wanted is not None and wanted != policy:
                with suppress(OSError):  # the thread has ended
                    os.sched_setscheduler(thread, wanted[0], os.sched_param(wanted[1]))


def _read_policies() -> dict[int, tuple[int, int]]:
    """Return the policy and the priority of each thread, by its number."""
    policies: dict[int, tuple[int, int]] = {}
    if sys.platform != "linux":
        return policies
    with suppress(OSError):  # no access to /proc, or a thread has ended
        for thread in (int(folder.name) for folder in THREADS.iterdir()):
            with suppress(OSError):
                priority = os.sched_getparam(thread).sched_priority
                policies[thread] = os.sched_getscheduler(thread), priority
    return policies
