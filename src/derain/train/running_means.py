"""The means of the losses that a line of the log holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class RunningMeans:
    """Means of the metrics of single steps, from one line of the log to the next.

    Not every step has every metric.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    """The metrics of the steps since the last line."""

    def add(self, metrics: Mapping[str, float]) -> None:
        """Add the metrics of one step."""
        for name, value in metrics.items():
            self.values.setdefault(name, []).append(value)

    def take(self) -> dict[str, float]:
        """Return the means and start again."""
        means = {name: math.fsum(values) / len(values) for name, values in self.values.items()}
        self.values.clear()
        return means
