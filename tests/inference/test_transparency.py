"""Colours that replace transparent pixels."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from derain.inference.transparency import fill_transparent


@pytest.mark.parametrize(
    ("dtype", "value"), [("uint8", 180), ("uint16", 50_000), ("float32", 0.7), ("float64", 0.7)]
)
@pytest.mark.parametrize("shape", [(40, 31), (600, 9, 3)])
def test_transparent_pixels_get_neighbouring_colours(dtype, value, shape):
    image = np.full(shape, value, dtype)
    transparent = np.zeros(shape[:2], bool)
    transparent[10:, 3:] = True
    image[transparent] = 0
    filled = fill_transparent(image, transparent)
    np.testing.assert_allclose(filled, np.full(shape, value, dtype), rtol=1e-5)


def test_visible_pixels_are_unchanged(rng):
    image = rng.random((600, 20, 3))
    transparent = rng.random((600, 20)) < 0.5
    filled = fill_transparent(image, transparent)
    np.testing.assert_array_equal(filled[~transparent], image[~transparent])


def test_nearest_blocks_across_bands():
    image = np.zeros((1024, 4), np.uint8)
    image[300], image[1000] = 200, 50
    transparent = np.ones((1024, 4), bool)
    transparent[[300, 1000]] = False
    filled = fill_transparent(image, transparent)
    assert filled[[0, 511, 512], [0, 3, 0]].tolist() == [200, 200, 50]


def test_filling_needs_little_memory():
    image = np.zeros((3000, 300, 3), np.uint8)
    transparent = np.ones((3000, 300), bool)
    transparent[0] = False
    tracemalloc.start()
    fill_transparent(image, transparent)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * image.nbytes  # floats of the whole picture alone would take as much
