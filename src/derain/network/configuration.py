"""The configuration of a PLNLIN: one frozen dataclass, which is stored in the weights file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from derain.errors import WeightsError

LEGACY_DEFAULTS = {"normalised_content": False}
"""Values of fields that early runs did not save, where they differ from the default."""
LEVELS = 4
"""Section 3.1: four scales, each half the size of the one before."""
UNSHUFFLE = (1, 2, 4)
"""Sides of squares for which the exported network has a layout (`derain.weights`)."""


@dataclass(frozen=True)
class PLNLINConfiguration:
    """The shape of a generator. The defaults are the paper's network as read in docs/network.md."""

    preset: str = "paper"
    """Name of the shape, the same in the weights file, the recipe and the documentation."""
    channels: tuple[int, ...] = (32, 32, 32, 32)
    """Feature channels at each level, from the top down. The paper has the same number at all."""
    stages: tuple[int, ...] = (8, 4, 2, 2)
    """N of the encoder's PLNLIM at each level; the decoder's are the same."""
    head_stages: int = 2
    """N of the PLNLIM of each hierarchical head (equation 11). Inference skips the heads."""
    unshuffle: int = 1
    """Side of the squares of pixels that become channels at the input: 1, 2 or 4.

    They become pixels again at the output, so that level k has 1 / (unshuffle * 2 ** (k - 1)) of
    the picture's size. The paper has none.
    """
    frames: int = 1
    """Frames of a clip that the network sees, an odd number: the centre frame, which it restores,
    and as many before it as after it. A picture is a clip of one frame."""
    window_px: int = 7
    """Side of an attention window. 112 = 16 x 7: a crop holds whole windows at all four levels."""
    shift_px: int = 3
    """Shift of the windows in every second Swin block of a module."""
    attention_heads: int = 1
    """Heads of each window attention."""
    mlp_ratio: int = 4
    """Hidden width of the MLP of a Swin block, in multiples of its channels."""
    unit: str = "plnlim"
    """Unit of the generator, a name in `variants.UNITS`; others are rows of the ablations."""
    discriminator_unit: str = "plnlim"
    """Unit of the discriminator, a name in `variants.UNITS`."""
    discriminator_channels: tuple[int, ...] = ()
    """Feature channels of the discriminator at each level; empty for those of the generator."""
    normalised_content: bool = True
    """True if the discriminator normalises the generator's features (docs/network.md).

    Without that they grow without bound.
    """
    bounded_sft: bool = True
    """True if an SFT scales by 1 + tanh(scale). Unbounded, eight stages overflow."""

    def __post_init__(self) -> None:
        for name in ("channels", "stages"):
            value = tuple(getattr(self, name))
            object.__setattr__(self, name, value)  # JSON and TOML give lists
            if len(value) != LEVELS or any(not isinstance(v, int) or v < 1 for v in value):
                raise WeightsError(
                    f"configuration: {name} = {value} is invalid; "
                    f"give {LEVELS} positive integers, one for each level"
                )
        object.__setattr__(self, "discriminator_channels", tuple(self.discriminator_channels))
        if len(self.discriminator_channels) not in (0, LEVELS) or any(
            c < 1 for c in self.discriminator_channels
        ):
            raise WeightsError(
                "configuration: discriminator_channels = "
                f"{self.discriminator_channels} is invalid; give none or {LEVELS} positive integers"
            )
        for name in ("head_stages", "window_px", "attention_heads", "mlp_ratio"):
            if getattr(self, name) < 1:
                raise WeightsError(
                    f"configuration: {name} = {getattr(self, name)} is out of range; "
                    "choose 1 or more"
                )
        if self.frames < 1 or self.frames % 2 == 0:
            raise WeightsError(
                f"configuration: frames = {self.frames} has no centre frame; choose 1 or 3"
            )
        if self.unshuffle not in UNSHUFFLE:
            raise WeightsError(
                f"configuration: unshuffle = {self.unshuffle} cannot be exported; choose 1, 2 or 4"
            )
        channels = (*self.channels, *self.discriminator_channels)
        if any(c % self.attention_heads for c in channels):
            raise WeightsError(
                f"configuration: channels {channels} are not all divisible by "
                f"attention_heads = {self.attention_heads}; change one of them"
            )
        if not 0 <= self.shift_px < self.window_px:
            raise WeightsError(
                f"configuration: shift_px = {self.shift_px} is out of range; "
                f"choose 0 to {self.window_px - 1}, less than window_px"
            )

    @property
    def effective_discriminator_channels(self) -> tuple[int, ...]:
        """Feature channels of the discriminator at each level."""
        return self.discriminator_channels or self.channels

    @property
    def multiple_px(self) -> int:
        """Sides that are multiples of this need no padding: whole windows at every level."""
        return self.window_px * self.unshuffle * 2 ** (LEVELS - 1)

    @property
    def picture_channels(self) -> int:
        """Channels of a picture at level 1: its colours times the pixels of a square."""
        return 3 * self.unshuffle**2

    @property
    def centre(self) -> slice:
        """Channels of the centre frame in the input of the generator."""
        first = 3 * (self.frames // 2)
        return slice(first, first + 3)

    @property
    def generator_only(self) -> PLNLINConfiguration:
        """The same configuration with the defaults for what concerns the discriminator alone."""
        return replace(
            self, discriminator_unit="plnlim", discriminator_channels=(), normalised_content=True
        )

    def to_json(self) -> str:
        """Return one line of JSON, which `from_json` reads back to an equal configuration."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> PLNLINConfiguration:
        """Build a configuration from JSON. Raises WeightsError for an unknown field."""
        return cls.from_mapping(json.loads(text))

    @classmethod
    def from_saved(cls, values: Mapping[str, Any]) -> PLNLINConfiguration:
        """Build a configuration from the checkpoint or recipe of a run, early ones included.

        Fields that early versions did not save are taken from LEGACY_DEFAULTS. Raises WeightsError
        for an unknown field.
        """
        return cls.from_mapping({**LEGACY_DEFAULTS, **values})

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> PLNLINConfiguration:
        """Build a configuration from its fields. Raises WeightsError for an unknown one."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise WeightsError(
                f"configuration: unknown field {unknown[0]!r}; "
                f"the fields are {', '.join(sorted(known))}"
            )
        return cls(**values)


PAPER = PLNLINConfiguration()
SMALL = replace(
    PAPER, preset="small", channels=(16, 32, 48, 64), stages=(2, 2, 2, 2), head_stages=1
)
BEST = replace(SMALL, preset="best", channels=(32, 48, 64, 64))
FAST = replace(SMALL, preset="fast", channels=(32, 48, 64, 64), stages=(1, 1, 1, 1), unshuffle=2)
CLIP = replace(FAST, preset="clip", frames=3)
PRESETS = {
    configuration.preset: configuration for configuration in (PAPER, SMALL, BEST, FAST, CLIP)
}


def preset(name: str) -> PLNLINConfiguration:
    """Return the configuration of a preset. Raises WeightsError, which lists the names."""
    if name not in PRESETS:
        raise WeightsError(f"preset {name!r} is unknown; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
