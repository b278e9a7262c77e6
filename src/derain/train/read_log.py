"""Reads the log of a run. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def read_log(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (line, event) for each line of a log.

    Lines without a step are skipped, such as one that a live run has only half written.
    """
    for line in text.splitlines(keepends=True):
        try:
            event = json.loads(line) if line.endswith("\n") else {}
            event["step"] = int(event["step"])
        except (ValueError, OverflowError, TypeError, KeyError, RecursionError):
            continue
        yield line, event
