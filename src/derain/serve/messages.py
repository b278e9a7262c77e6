"""Messages between the server and its worker process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
