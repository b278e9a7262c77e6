"""What a PLNLIN is made of: one frozen dataclass, which travels inside the weights file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from derain.errors import WeightsError

LEGACY_DEFAULTS = {"normalised_content": False}
"""How networks were before there was a field for it, where that is not its default."""
LEVELS = 4  # section 3.1: four scales, 1, 1/2, 1/4 and 1/8


@dataclass(frozen=True)
class PLNLINConfiguration:
    """The shape of a generator. The defaults are the paper's network as docs/network.md settles it."""

    preset: str = "paper"
    """The name under which the shape is known; a weights file, a recipe and the documentation use the same one."""
    channels: tuple[int, ...] = (32, 32, 32, 32)
    """Feature channels at each level, from full resolution down. The paper has the same at all."""
    stages: tuple[int, ...] = (8, 4, 2, 2)
    """N of the PLNLIM of the encoder at each level; the decoder's are the same."""
    head_stages: int = 2
    """N of the PLNLIM of each hierarchical head (equation 11). Restoring does not compute the heads."""
    window_px: int = 7
    """Side of an attention window. 112 = 16 x 7: a training crop holds whole windows at all four levels."""
    shift_px: int = 3
    """By how much the windows of every second Swin block of a module are moved."""
    attention_heads: int = 1
    """Heads of each window attention."""
    mlp_ratio: int = 4
    """Hidden width of the MLP of a Swin block, in multiples of its channels."""
    unit: str = "plnlim"
    """What the generator is built of: a name in `variants.UNITS`. All but the first are rows of the paper's ablations."""
    discriminator_unit: str = "plnlim"
    """What the discriminator is built of."""
    discriminator_channels: tuple[int, ...] = ()
    """Its feature channels at each level; empty stands for the generator's."""
    normalised_content: bool = True
    """Whether the discriminator normalises the generator's features; if not, they grow without end (docs/network.md)."""
    bounded_sft: bool = True
    """Whether an SFT scales by 1 + tanh(scale); unbounded, eight stages overflow."""

    def __post_init__(self) -> None:
        for name in ("channels", "stages"):
            value = tuple(getattr(self, name))
            object.__setattr__(self, name, value)  # JSON and TOML give lists
            if len(value) != LEVELS or any(not isinstance(v, int) or v < 1 for v in value):
                raise WeightsError(
                    f"configuration: {name} = {value} is not {LEVELS} positive whole numbers, one for each level"
                )
        object.__setattr__(self, "discriminator_channels", tuple(self.discriminator_channels))
        if len(self.discriminator_channels) not in (0, LEVELS) or any(
            c < 1 for c in self.discriminator_channels
        ):
            raise WeightsError(
                f"configuration: discriminator_channels = {self.discriminator_channels} is neither empty nor {LEVELS} positive "
                f"whole numbers"
            )
        for name in ("head_stages", "window_px", "attention_heads", "mlp_ratio"):
            if getattr(self, name) < 1:
                raise WeightsError(
                    f"configuration: {name} = {getattr(self, name)} is out of range; choose 1 or more"
                )
        channels = (*self.channels, *self.discriminator_channels)
        if any(c % self.attention_heads for c in channels):
            raise WeightsError(
                f"configuration: channels {channels} do not divide into {self.attention_heads} attention heads"
            )
        if not 0 <= self.shift_px < self.window_px:
            raise WeightsError(
                f"configuration: shift_px = {self.shift_px} is not within a window of {self.window_px} px"
            )

    @property
    def critic_channels(self) -> tuple[int, ...]:
        """Feature channels of the discriminator at each level."""
        return self.discriminator_channels or self.channels

    @property
    def multiple_px(self) -> int:
        """Sides that are multiples of this are restored without any padding: whole windows at every level."""
        return self.window_px * 2 ** (LEVELS - 1)

    def to_json(self) -> str:
        """One line of JSON, which `from_json` reads back to an equal configuration."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> PLNLINConfiguration:
        """Raises WeightsError for a field that this version does not know."""
        return cls.from_mapping(json.loads(text))

    @classmethod
    def from_saved(cls, values: Mapping[str, Any]) -> PLNLINConfiguration:
        """What a run of an earlier derain saved: a field that it did not know yet was as `BEFORE` says. Raises WeightsError."""
        return cls.from_mapping({**LEGACY_DEFAULTS, **values})

    @property
    def of_generator(self) -> PLNLINConfiguration:
        """The same without what the discriminator alone is made of."""
        return replace(
            self, discriminator_unit="plnlim", discriminator_channels=(), normalised_content=True
        )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> PLNLINConfiguration:
        """Raises WeightsError for a field that this version does not know."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise WeightsError(
                f"configuration: unknown field {unknown[0]!r}; known are {', '.join(sorted(known))}"
            )
        return cls(**values)


PAPER = PLNLINConfiguration()
SMALL = replace(
    PAPER, preset="small", channels=(16, 32, 48, 64), stages=(2, 2, 2, 2), head_stages=1
)
BEST = replace(SMALL, preset="best", channels=(32, 48, 64, 64))
PRESETS = {configuration.preset: configuration for configuration in (PAPER, SMALL, BEST)}


def preset(name: str) -> PLNLINConfiguration:
    """The configuration of that name. Raises WeightsError, which lists the names."""
    if name not in PRESETS:
        raise WeightsError(f"preset {name!r} is not known; there are {', '.join(PRESETS)}")
    return PRESETS[name]
