import numpy as np
import pytest

from derain.data.augment import cut, draw_factor, flip, jitter_colour, jpeg, shear, stretch


def gradient(height, width):
    """A picture that is different from all of its mirror images."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, rows + columns], axis=-1).astype(np.uint8)


def test_cut_takes_the_same_rectangle_from_all(rng):
    image = gradient(20, 30)
    first, second = cut(rng, 7, 9, image, image + 1)
    assert first.shape == (7, 9, 3)
    np.testing.assert_array_equal(first + 1, second)


def test_factors_are_uniform_in_their_logarithm(rng):
    logarithms = np.log([draw_factor(rng, 4.0) for _ in range(2000)])
    assert logarithms.min() >= 0
    assert logarithms.max() <= np.log(4)
    assert logarithms.mean() == pytest.approx(np.log(2), rel=0.05)


@pytest.mark.parametrize("zoom", [1.0, 3.0])
def test_zoom_enlarges_streaks(zoom, rng):
    mask = np.zeros((400, 400), np.uint8)
    mask[:, ::40] = 200
    edges = [
        np.count_nonzero(np.diff(stretch(rng, mask, 112, zoom=zoom)[0] > 0)) for _ in range(50)
    ]
    # two edges for each streak in 0.7 to 1.4 times 112 pixels
    assert 5 / zoom < np.mean(edges) < 6.5 / zoom


@pytest.mark.parametrize("slope", [-0.25, 0.1])
def test_shear_slants_a_vertical_line(slope):
    line = np.zeros((100, 200), np.uint8)
    line[:, 60:62] = 200
    piece = shear(line[:, : round(100 * (1 + abs(slope)))], 100, slope)
    columns = piece.argmax(axis=1)
    assert piece.shape == (100, 100)
    assert columns[-1] - columns[0] == pytest.approx(-99 * slope, abs=1)


def test_jpeg_keeps_the_size(rng):
    picture = rng.integers(0, 256, (9, 13, 3), dtype=np.uint8)
    assert jpeg(picture, quality=80).shape == picture.shape


@pytest.mark.parametrize("transpose", [False, True])
def test_flip_treats_both_sides_alike(rng, transpose):
    image = gradient(6, 8)
    for _ in range(10):
        rainy, clean = flip(rng, image + 9, image, mirror=True, transpose=transpose)
        assert rainy.shape == ((8, 6, 3) if transpose else (6, 8, 3))
        np.testing.assert_array_equal(rainy, clean + 9)


def test_no_flip_without_mirror_and_transpose(rng):
    image = gradient(6, 8)
    rainy, _ = flip(rng, image, image, mirror=False, transpose=False)
    np.testing.assert_array_equal(rainy, image)


def test_colours_stay_in_the_unit_range(rng):
    noise = rng.random((3, 20, 20), dtype=np.float32)
    for _ in range(20):
        changed, _ = jitter_colour(rng, noise, noise)
        assert changed.dtype == np.float32
        assert changed.min() >= 0
        assert changed.max() <= 1
