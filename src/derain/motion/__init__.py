"""Motion between neighbouring frames of a clip: estimated, and undone. Imports no torch."""

from derain.motion.alignment import Alignment, align, fill
from derain.motion.frame import Frame
from derain.motion.windows import Window, aligned_windows

__all__ = ["Alignment", "Frame", "Window", "align", "aligned_windows", "fill"]
