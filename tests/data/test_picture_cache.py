"""Decoded pictures in bounded memory."""

import numpy as np
import pytest
from helpers.pairs import scene
from PIL import Image

from derain.data import picture_cache
from derain.data.pairs.find import find_pairs
from derain.data.picture_cache import LazySequence, PictureCache, concatenate

MIB = 2**20


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files, in the order in which they are decoded."""
    names, decode = [], picture_cache.decode

    def count(path, **options):
        names.append(path.name)
        return decode(path, **options)

    monkeypatch.setattr(picture_cache, "decode", count)
    return names


@pytest.fixture
def files(tmp_path, rng):
    """Three pictures of a little less than 1 MiB each, when decoded."""
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (682, 512, 3), dtype=np.uint8)).save(path)
    return paths


def test_a_picture_that_fits_is_decoded_once(files, decoded):
    cache = PictureCache(limit_mib=4)
    for path in files * 2:
        cache.picture(path)
    assert decoded == ["a.png", "b.png", "c.png"]
    assert cache.used_bytes <= 4 * MIB


def test_the_picture_used_longest_ago_is_dropped(files, decoded):
    cache = PictureCache(limit_mib=2)
    for path in (files[0], files[1], files[0], files[2], files[0], files[1]):
        cache.picture(path)
    assert decoded == ["a.png", "b.png", "c.png", "b.png"]
    assert cache.used_bytes <= 2 * MIB


def test_a_picture_larger_than_the_cache_is_decoded_each_time(files, decoded):
    cache = PictureCache(limit_mib=0.5)
    for _ in range(2):
        assert cache.picture(files[0]).shape == (682, 512, 3)
    assert decoded == ["a.png", "a.png"]
    assert cache.used_bytes == 0


def test_half_size_is_kept_beside_the_whole_picture(files, decoded):
    cache = PictureCache()
    for _ in range(2):
        assert cache.half_size(files[0]).shape == (341, 256, 3)
    assert cache.picture(files[0]).shape == (682, 512, 3)
    assert decoded == ["a.png"]


def test_both_sides_of_one_file_are_decoded_once(tmp_path, decoded, rng):
    rainy, clean = scene(rng)
    Image.fromarray(np.concatenate([clean, rainy], axis=1)).save(tmp_path / "1.png")
    (pair,) = find_pairs(tmp_path, layout="clean-left").pairs
    cache = PictureCache()
    np.testing.assert_array_equal(cache.rainy(pair), rainy)
    np.testing.assert_array_equal(cache.clean(pair), clean)
    assert decoded == ["1.png"]


def test_items_of_a_sequence_are_made_when_they_are_indexed():
    made = []
    sequence = LazySequence([1, 2, 3], lambda item: made.append(item) or 10 * item)
    assert len(sequence) == 3
    assert sequence[-1] == 30
    assert list(sequence[:2]) == [10, 20]
    assert made == [3, 1, 2]


def test_concatenated_sequences_keep_their_order():
    both = concatenate([[1, 2], [], LazySequence([3], str)])
    assert list(both) == [1, 2, "3"]
