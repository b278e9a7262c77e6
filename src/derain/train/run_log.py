"""The log of a run: a JSON line for each event."""

from __future__ import annotations

import json
from pathlib import Path

from lightning_fabric import Fabric

from derain.files.atomic import write_text
from derain.network.run_files import LOG
from derain.train.distributed import on_rank_zero
from derain.train.read_log import read_log
from derain.train.state import State


class RunLog:
    """A JSON line for each event, written by the first process.

    Lines of steps after `step` are removed: they come from a killed run whose steps are repeated.
    """

    def __init__(self, fabric: Fabric, folder: Path, *, step: int) -> None:
        self.fabric, self.path = fabric, folder / LOG
        on_rank_zero(fabric, lambda: self._truncate(step))

    def write(self, event: str, state: State, **values: float) -> None:
        """Append one event, all processes together."""
        line = {"event": event, "step": state.step, "hours": round(state.hours, 7), **values}

        def append() -> None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

        on_rank_zero(self.fabric, append)

    def _truncate(self, step: int) -> None:
        if self.path.exists():
            text = self.path.read_text(encoding="utf-8")
            lines = [line for line, event in read_log(text) if event["step"] <= step]
            write_text(self.path, "".join(lines))
