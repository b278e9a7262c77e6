"""What a batch did, as JSON: written while it runs, so that its size does not matter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from derain.restore.batch import Outcome
from derain.restore.report_file import ReportFile
from derain.restore.workshop import Record


class Journal:
    """A context manager around a batch: one object with `pictures`, an entry for each, between what is known before and after.

    The file appears under its name when the block ends, also by an error or Ctrl-C; it is then complete, too.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        """`about` is written first: versions, the model, the command. Raises DerainError for a path that cannot be written."""
        self._file = ReportFile(path)
        self._about = about
        self._separator = "\n"
        self._outcome: Outcome | None = None

    def __enter__(self) -> Journal:
        head = json.dumps(dict(self._about), indent=1)
        self._file.write(head.removesuffix("\n}") + ',\n "pictures": [')
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.write("\n ],\n" + f' "summary": {json.dumps(_summary(self._outcome))}\n' + "}\n")
        self._file.close()

    def note(self, record: Record) -> None:
        """Write the entry of one picture; by one thread at a time."""
        self._file.write(f"{self._separator}  {json.dumps(_entry(record))}")
        self._separator = ",\n"

    def refuse(self, source: Path, error: str) -> None:
        """Write the entry of an input that was not begun."""
        self.note(Record(source, source, error=error))

    def close(self, outcome: Outcome) -> None:
        """Tell what the summary at the end says."""
        self._outcome = outcome


def _entry(record: Record) -> dict[str, Any]:
    if record.error is not None:
        return {"source": str(record.source), "error": record.error}
    return {
        "source": str(record.source),
        "target": str(record.target),
        "width": record.width,
        "height": record.height,
        "frames": record.frames,
        "losses": list(record.losses),
        "seconds": {kind: round(seconds, 4) for kind, seconds in record.seconds.items()},
    }


def _summary(outcome: Outcome | None) -> dict[str, Any] | None:
    if outcome is None:
        return None
    return {
        "restored": outcome.restored,
        "failed": len(outcome.problems),
        "megapixels": round(outcome.megapixels, 6),
        "seconds": round(outcome.seconds, 3),
        "interrupted": outcome.was_interrupted,
    }
