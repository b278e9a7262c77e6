"""The configuration of a rival: its name, and arguments that differ from the published network."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field

from derain.errors import WeightsError
from derain.rivals.networks import NETWORKS, build
from derain.rivals.rival import Rival

Option = int | tuple[int, ...]


@dataclass(frozen=True)
class RivalConfiguration:
    """The shape of a rival in a recipe."""

    kind: str
    """Name of the network, as in NAME:PATH."""
    options: dict[str, Option] = field(default_factory=dict)
    """Arguments of the network, such as channels; empty for the published one."""

    def __post_init__(self) -> None:
        if self.kind not in NETWORKS:
            raise WeightsError(
                f"configuration: kind = {self.kind!r} is unknown; choose plnlin or one of "
                f"{', '.join(NETWORKS)}"
            )
        options = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.options.items()
        }
        object.__setattr__(self, "options", options)  # JSON and TOML give lists
        known = list(inspect.signature(NETWORKS[self.kind]).parameters)
        unknown = next((name for name in options if name not in known), None)
        if unknown is not None:
            raise WeightsError(
                f"configuration: {self.kind} has no option {unknown!r}; "
                f"{'choose from ' + ', '.join(known) if known else 'it has none'}"
            )

    @property
    def multiple_px(self) -> int:
        """Sides that need no padding: every rival takes any size."""
        return 1

    @property
    def frames(self) -> int:
        """Frames that the network sees."""
        return 1

    def build(self) -> Rival:
        """Return the network with random weights."""
        network = build(self.kind, **self.options)
        network.configuration = self
        return network
