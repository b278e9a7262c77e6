"""Ctrl-C and signals that end the program, held back where threads could outlive their files."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class HeldInterrupts:
    """Records the signals that raise KeyboardInterrupt; raises it at `release` or at the end.

    Signals with another handler are not touched. Outside the main thread nothing is held, since
    Python raises KeyboardInterrupt in the main thread only.
    """

    def __init__(self) -> None:
        self.is_received = False
        """True if a signal has been recorded and not been raised yet."""
        self._numbers: list[int] = []
        if threading.current_thread() is threading.main_thread():
            self._numbers = [
                number
                for number in signal.valid_signals()
                if signal.getsignal(number) is signal.default_int_handler
            ]

    def __enter__(self) -> HeldInterrupts:
        self.hold()
        return self

    def __exit__(self, error: object, *_: object) -> None:
        self._set_handlers(signal.default_int_handler)
        if error is None:
            self._raise_recorded()

    def hold(self) -> None:
        """From now on, record."""
        self._set_handlers(self._record)

    def release(self) -> None:
        """From now on, raise at once; raise what has been recorded."""
        self._set_handlers(signal.default_int_handler)
        self._raise_recorded()

    def _raise_recorded(self) -> None:
        if self.is_received:
            self.is_received = False
            raise KeyboardInterrupt

    def _record(self, number: int, frame: FrameType | None) -> None:
        self.is_received = True

    def _set_handlers(self, handler: Any) -> None:
        for number in self._numbers:
            signal.signal(number, handler)
