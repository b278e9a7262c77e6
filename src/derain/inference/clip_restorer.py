"""`ClipRestorer`: a restorer of frames, whose network may also see the frames beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from derain.errors import WeightsError
from derain.inference.restorer import Restorer
from derain.weights import CLIP_DEFAULT

CLIP_FRAMES = (1, 3)
"""Frames at once of the networks that can restore clips."""


class ClipRestorer(Restorer):
    """Removes rain from the frames of a clip, by default with `clip`; see `Restorer` for arguments.

    A network for pictures sees each frame alone, one for clips also its two neighbours.
    """

    ONE_SIZE: ClassVar[bool] = True

    def __init__(self, model: str | Path = CLIP_DEFAULT, **options: Any) -> None:
        super().__init__(model, **options)

    def restore_frame(
        self, frame: NDArray[Any], before: NDArray[Any], after: NDArray[Any]
    ) -> NDArray[Any]:
        """Restore a frame, (H, W) or (H, W, 3), uint8 or uint16; the result is like it.

        `before` and `after` are its aligned neighbours, of the same shape and dtype; a network for
        pictures ignores them. Raises EngineError if the network fails.
        """
        if self.model.frames == 1:
            return self(frame)
        return self._restore_tiled(frame, None, (before, after))

    def _check_frames(self) -> None:
        if self.model.frames not in CLIP_FRAMES:
            raise WeightsError(
                f"{self.model.onnx_path}: needs {self.model.frames} frames, but this version "
                "restores with 1 or 3; choose another --model"
            )
