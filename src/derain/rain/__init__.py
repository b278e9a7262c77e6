"""Rain rendered onto clean pictures, without any data: `render(clean, rain="heavy", seed=1)`."""

from derain.rain.model import PRESETS, Rain, random
from derain.rain.render import layer, render

__all__ = ["PRESETS", "Rain", "layer", "random", "render"]
