"""What the network is shown under transparent pixels."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from derain.inference.transparency import fill_transparent


@pytest.mark.parametrize(
    ("dtype", "light"), [("uint8", 180), ("uint16", 50_000), ("float32", 0.7), ("float64", 0.7)]
)
@pytest.mark.parametrize("shape", [(40, 31), (600, 9, 3)])
def test_what_is_hidden_gets_the_colours_beside_it(dtype, light, shape):
    samples = np.full(shape, light, dtype)
    hidden = np.zeros(shape[:2], bool)
    hidden[10:, 3:] = True
    samples[hidden] = 0
    np.testing.assert_allclose(
        fill_transparent(samples, hidden), np.full(shape, light, dtype), rtol=1e-5
    )


def test_what_is_visible_stays(rng):
    samples = rng.random((600, 20, 3))
    hidden = rng.random((600, 20)) < 0.5
    np.testing.assert_array_equal(fill_transparent(samples, hidden)[~hidden], samples[~hidden])


def test_the_nearest_blocks_are_taken_across_bands(rng):
    samples = np.zeros((1024, 4), np.uint8)
    samples[300], samples[1000] = 200, 50
    hidden = np.ones((1024, 4), bool)
    hidden[[300, 1000]] = False
    restored = fill_transparent(samples, hidden)
    assert (int(restored[0, 0]), int(restored[511, 3]), int(restored[512, 0])) == (200, 200, 50)


def test_filling_takes_little_memory_beside_its_result():
    samples = np.zeros((3000, 1000, 3), np.uint8)
    hidden = np.ones((3000, 1000), bool)
    hidden[0] = False
    tracemalloc.start()
    fill_transparent(samples, hidden)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * samples.nbytes  # in floats the whole picture alone is as much
