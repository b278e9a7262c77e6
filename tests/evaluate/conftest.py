import numpy as np
import pytest
from PIL import Image

SIZE = (24, 32)


@pytest.fixture
def rng():
    return np.random.default_rng(2024)


@pytest.fixture
def write_png(tmp_path):
    """write_png("folder/name.png", array) writes below the folder of the test -> path."""

    def write(name, array):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(array, np.uint8)).save(path)
        return path

    return write


@pytest.fixture
def scenes(rng):
    """Six clean pictures, (24, 32, 3) uint8, by name."""
    return {
        f"{number:03d}": rng.integers(30, 220, (*SIZE, 3), dtype=np.uint8) for number in range(1, 7)
    }


@pytest.fixture
def pairs_folder(tmp_path, scenes, write_png, rng):
    """Six pairs in the layout rainy/NNN.png, clean/NNN.png; the rain is noise."""
    for name, clean in scenes.items():
        write_png(f"set/clean/{name}.png", clean)
        write_png(f"set/rainy/{name}.png", clean + rng.integers(0, 30, clean.shape))
    return tmp_path / "set"


@pytest.fixture
def write_outputs(tmp_path, scenes, write_png):
    """write_outputs("folder", off=3, pattern="{}_derained") writes all scenes -> folder.

    They are `off` levels too bright.
    """

    def write(folder, *, off, pattern="{}"):
        for name, clean in scenes.items():
            write_png(f"{folder}/{pattern.format(name)}.png", clean + np.uint8(off))
        return tmp_path / folder

    return write
