"""A pipe that is read by one thread and may be ended by another."""

from __future__ import annotations

import io
import os
import select
import sys
import threading
from contextlib import suppress
from typing import BinaryIO

STEP_S = 0.1
"""Waiting is done in steps, so that the end is seen."""


class InterruptibleReader:
    """Reads what comes. A program behind the pipe that stands still does not keep `end` from ending it."""

    def __init__(self, file: BinaryIO) -> None:
        """`file` must not have been read from: what it keeps of a pipe for later is not seen here."""
        self._file = file
        self._descriptor: int | None = None
        if sys.platform != "win32":  # which cannot tell whether a pipe has anything
            with suppress(OSError, io.UnsupportedOperation):  # nothing but memory
                self._descriptor = file.fileno()
        self._kept = b""
        self._is_over = threading.Event()

    def read(self, size: int) -> bytes:
        """At most `size` bytes, as soon as there are any; none at the end."""
        if not self._kept:
            return self._come(size)
        data, self._kept = self._kept[:size], self._kept[size:]
        return data

    def readline(self, most: int) -> bytes:
        """What comes to the end of a line, that included, or at most `most` bytes."""
        while b"\n" not in self._kept and len(self._kept) < most and (data := self._come(most)):
            self._kept += data
        return self.read(min(self._kept.find(b"\n") + 1 or most, most)) if self._kept else b""

    def end(self) -> None:
        """Let a `read` that waits in another thread, and all after it, find the end."""
        self._is_over.set()

    def _come(self, size: int) -> bytes:
        if self._descriptor is None:
            return self._file.read(size)
        while not self._is_over.is_set():
            if select.select([self._descriptor], [], [], STEP_S)[0]:
                return os.read(self._descriptor, size)
        return b""
