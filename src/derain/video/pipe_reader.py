"""A reader for pipes that another thread can interrupt."""

from __future__ import annotations

import io
import os
import select
import sys
import threading
from contextlib import suppress
from typing import BinaryIO

STEP_S = 0.1
"""Waits are split into steps, so that `end` is noticed."""


class InterruptibleReader:
    """Reads data as it arrives. `end` works even while the program behind the pipe hangs."""

    def __init__(self, file: BinaryIO) -> None:
        """`file` must be unread: data in its buffer would be lost."""
        self._file = file
        self._descriptor: int | None = None
        if sys.platform != "win32":  # Windows cannot tell whether a pipe has data
            with suppress(OSError, io.UnsupportedOperation):  # a file in memory
                self._descriptor = file.fileno()
        self._buffer = b""
        self._has_ended = threading.Event()

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes as soon as there are any; empty at the end."""
        if not self._buffer:
            return self._receive(size)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def readline(self, limit: int) -> bytes:
        """Return the next line with its line end, or at most `limit` bytes."""
        while b"\n" not in self._buffer and len(self._buffer) < limit:
            data = self._receive(limit)
            if not data:
                break
            self._buffer += data
        if not self._buffer:
            return b""
        return self.read(min(self._buffer.find(b"\n") + 1 or limit, limit))

    def end(self) -> None:
        """Make a `read` that waits in another thread, and all later ones, return the end."""
        self._has_ended.set()

    def _receive(self, size: int) -> bytes:
        if self._descriptor is None:
            return self._file.read(size)
        while not self._has_ended.is_set():
            if select.select([self._descriptor], [], [], STEP_S)[0]:
                return os.read(self._descriptor, size)
        return b""
