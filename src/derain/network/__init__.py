"""The paper's network, equation by equation. Needs the extra `train`."""

from derain.network.configuration import BEST, PAPER, PRESETS, SMALL, PLNLINConfiguration, preset
from derain.network.discriminator import Discriminator
from derain.network.generator import PLNLIN, GeneratorOutput
from derain.network.plnlim import PLNLIM
from derain.network.weights_file import load

__all__ = [
    "BEST",
    "PAPER",
    "PLNLIM",
    "PLNLIN",
    "PRESETS",
    "SMALL",
    "Discriminator",
    "GeneratorOutput",
    "PLNLINConfiguration",
    "load",
    "preset",
]
