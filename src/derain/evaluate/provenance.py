"""Origin of the figures of a report: the command, the machine, and the models."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from derain.environment import Environment

if TYPE_CHECKING:
    from derain.inference import Restorer


@dataclass(frozen=True)
class ModelProvenance:
    """A model and how it was run."""

    name: str
    """Name of its row in the tables."""
    steps: int | None
    """Steps of training according to its card; None if the card does not give them."""
    sha256: str
    """Checksum of the exported network, in hexadecimal digits."""
    engine: str
    """Name of the engine that ran it."""
    device: str
    """Processor, precision, and the number of views of an ensemble."""

    @staticmethod
    def from_restorer(name: str, restorer: Restorer) -> ModelProvenance:
        """Describe the model of a restorer."""
        steps, model = restorer.model.card.get("steps"), restorer.model
        sha256 = hashlib.sha256(model.onnx_path.read_bytes()).hexdigest()
        return ModelProvenance(
            name,
            steps if isinstance(steps, int) else None,
            sha256,
            restorer.engine.name,
            restorer.engine.device,
        )

    def __str__(self) -> str:
        steps = "unknown number of steps" if self.steps is None else f"{self.steps:,} steps"
        return f"{self.name}: {steps}, sha256 {self.sha256[:12]}, {self.engine} on {self.device}"


@dataclass(frozen=True)
class Provenance:
    """Everything needed to reproduce a report."""

    command: str
    """The command line as typed."""
    machine: Environment
    """The machine, the versions and the date."""
    models: Sequence[ModelProvenance] = ()
    """The models, in the order of the command line."""

    @property
    def lines(self) -> list[str]:
        """One line for the machine, then one for each model."""
        return [str(self.machine), *map(str, self.models)]
