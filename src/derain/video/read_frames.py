"""The frames of a clip or of a folder of frames, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from derain import pictures
from derain.files.paths import is_folder
from derain.pictures.picture import as_colour
from derain.pictures.pillow_arrays import to_8bit
from derain.video.clip_reader import ClipReader
from derain.video.frame_folder import find_frames


def read_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a clip or a folder of frames, upright, uint8 (H, W, 3).

    Raises VideoError and PictureError for what cannot be read.
    """
    if is_folder(path):
        for frame in find_frames(path):
            yield to_8bit(as_colour(pictures.read(frame).image))
        return
    with ClipReader(path, str(path)) as reader:
        for image, _ in reader:
            yield to_8bit(as_colour(image))
