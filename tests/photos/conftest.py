"""Restorers and photos for the tests of batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from derain import Restorer, pictures
from derain.pictures import Picture

WHITE = Picture(np.full((20, 30, 3), 255, np.uint8))


@pytest.fixture(scope="session")
def darken(networks) -> Restorer:
    """A restorer that subtracts 0.25."""
    return Restorer(networks / "darkening.onnx", precision="float32")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with 12 white photos of 20 x 30 pixels."""
    for index in range(12):
        pictures.write(WHITE, tmp_path / f"{index:02}.png")
    return tmp_path
