"""Options that apply to every picture of a batch, except which network restores it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from derain.pictures import Picture, Pixels
from derain.pictures.picture import as_colour


@dataclass(frozen=True, eq=False)
class RestoreOptions:
    """Choices for restoring and writing a picture."""

    strength: float = 1.0
    """Share of the estimated rain to remove, 0 to 1."""
    mask: Pixels | None = None
    """(H, W): where to remove rain; white means fully, black not at all."""
    strip: bool = False
    """Whether to drop metadata that the pixels do not need."""
    compare: bool = False
    """Whether the result shows rainy and restored side by side."""

    def apply(self, rainy: Picture, restored: Picture) -> Picture:
        """Return the picture to write."""
        if self.compare:
            restored = side_by_side(rainy, restored)
        return self.with_metadata(restored)

    def with_metadata(self, picture: Picture) -> Picture:
        """Return the picture with the metadata to write."""
        return replace(picture, metadata=picture.metadata.stripped()) if self.strip else picture


def side_by_side(rainy: Picture, restored: Picture) -> Picture:
    """Return a picture of twice the width, rainy on the left and restored on the right."""
    image = np.concatenate([rainy.image, restored.image], axis=1)
    alpha = None if rainy.alpha is None else np.concatenate([rainy.alpha, rainy.alpha], axis=1)
    return replace(restored, pixels=as_colour(image), alpha=alpha)
