"""Rain rendered onto clean pictures.

`render(clean, rain="heavy", seed=1)` models drops in the air, without any data;
`render_style(clean, style="rain1400", seed=1)` follows the recipe of a published data set.
"""

from derain.rain.model import PRESETS, Rain, random
from derain.rain.render import layer, render
from derain.rain.streak_masks import StreakMasks
from derain.rain.styles import STYLES, render_style

__all__ = [
    "PRESETS",
    "STYLES",
    "Rain",
    "StreakMasks",
    "layer",
    "random",
    "render",
    "render_style",
]
