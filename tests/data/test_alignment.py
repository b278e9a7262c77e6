import numpy as np
import pytest

from derain.data.alignment import misalignment
from derain.rain import render


@pytest.mark.parametrize("rain", ["light", "moderate", "heavy"])
def test_aligned_pair_passes_in_any_rain(photos, rain):
    clean = photos["coffee"]
    assert misalignment(render(clean, rain=rain, seed=1), clean) is None


@pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 1), (-3, 2), (8, -5)])
def test_shift_is_measured(photos, right, down):
    clean = photos["chelsea"]
    rainy = np.roll(render(clean, rain="moderate", seed=1), (down, right), axis=(0, 1))
    assert misalignment(rainy, clean) == (
        f"is shifted against its clean picture by {right} pixels right and {down} down"
    )


def test_another_scene_is_detected(photos):
    assert "another scene" in misalignment(photos["rocket"][:300, :451], photos["chelsea"])


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (16, 16)])
def test_tiny_pictures_are_supported(size):
    image = np.zeros((*size, 3), np.uint8)
    assert misalignment(image, image) is None


def test_two_plain_pictures_are_alike(photos):
    white = np.full_like(photos["coffee"], 255)
    assert misalignment(white, np.zeros_like(white)) is None


@pytest.mark.parametrize("plain_side", ["rainy", "clean"])
def test_one_plain_picture_is_another_scene(photos, plain_side):
    photo = photos["coffee"]
    black = np.zeros_like(photo)
    rainy, clean = (black, photo) if plain_side == "rainy" else (photo, black)
    assert "another scene" in misalignment(rainy, clean)
