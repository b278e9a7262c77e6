"""What is done to each picture of a batch besides restoring it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from derain.pictures import Picture, Pixels
from derain.pictures.picture import as_colour


@dataclass(frozen=True, eq=False)
class RestoreOptions:
    """The wishes of a command line that hold for each picture."""

    strength: float = 1.0
    """The share of the rain that is taken out, 0 to 1."""
    mask: Pixels | None = None
    """(H, W): where it is taken out; white is all, black is nothing."""
    strips: bool = False
    """Whether metadata are dropped that the pixels do not need."""
    compares: bool = False
    """Whether rainy and restored stand side by side in the result."""

    def finished(self, rainy: Picture, restored: Picture) -> Picture:
        """The picture that is written."""
        if self.compares:
            restored = side_by_side(rainy, restored)
        return self.described(restored)

    def described(self, picture: Picture) -> Picture:
        """The picture with the metadata that it is to have."""
        return replace(picture, metadata=picture.metadata.stripped()) if self.strips else picture


def side_by_side(rainy: Picture, restored: Picture) -> Picture:
    """Rainy on the left, restored on the right, (H, 2 W)."""
    samples = np.concatenate([rainy.image, restored.image], axis=1)
    alpha = None if rainy.alpha is None else np.concatenate([rainy.alpha, rainy.alpha], axis=1)
    return replace(restored, pixels=as_colour(samples), alpha=alpha)
