"""Rain rendered onto clean pictures.

`render(clean, rain="heavy", seed=1)` models drops in the air, without any data;
`render_style(clean, style="rain1400", seed=1)` follows the recipe of a published data set;
`render_frames([clean, ...], rain=random_for_shutter(1))` renders the frames of a clip.
"""

from derain.rain.model import PRESETS, Rain, random
from derain.rain.render import layer, render, render_frames
from derain.rain.shutter import random_for_shutter
from derain.rain.streak_masks import StreakMasks
from derain.rain.styles import STYLES, render_style, render_style_pair

__all__ = [
    "PRESETS",
    "STYLES",
    "Rain",
    "StreakMasks",
    "layer",
    "random",
    "random_for_shutter",
    "render",
    "render_frames",
    "render_style",
    "render_style_pair",
]
