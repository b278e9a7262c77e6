"""Where the figures of a report come from: the command, the machine, and what each model was run with."""

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
    """A model as it was run."""

    name: str
    "That of its row."
    steps: int | None
    "Of training, as its card says; None where it says nothing."
    sha256: str
    "Of the exported network, in hexadecimal digits."
    engine: str
    device: str
    "Where it ran, with what and how exactly: processor, precision, and the views of an ensemble."

    @staticmethod
    def of(name: str, restorer: Restorer) -> ModelProvenance:
        """Ask a restorer."""
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
        steps = "steps not known" if self.steps is None else f"{self.steps:,} steps"
        return f"{self.name}: {steps}, sha256 {self.sha256[:12]}, {self.engine} on {self.device}"


@dataclass(frozen=True)
class Provenance:
    """What one needs to take figures again; `command` is the line that was typed."""

    command: str
    machine: Environment
    models: Sequence[ModelProvenance] = ()

    @property
    def lines(self) -> list[str]:
        """The machine, then each model, a line for each."""
        return [str(self.machine), *map(str, self.models)]
