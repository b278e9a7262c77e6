import numpy as np
import pytest
from skimage import data


@pytest.fixture(scope="session")
def photos():
    """Four photos, name -> uint8 (H, W, 3)."""
    names = ("astronaut", "chelsea", "coffee", "rocket")
    return {name: np.ascontiguousarray(getattr(data, name)()) for name in names}
