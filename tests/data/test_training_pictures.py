import numpy as np
import pytest
from helpers.pairs import noise_pair
from PIL import Image

from derain.data.pairs.folder import PairFolder, select_pairs
from derain.data.picture_cache import PictureCache
from derain.data.training_pictures import open_pairs, open_pictures, rain_layer, unknown_stems
from derain.errors import DataError


def save_noise(path, rng, *, size=(60, 60)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)


def add_clipped(clean, layer):
    return np.minimum(clean + layer, 255).astype(np.uint8), clean.astype(np.uint8)


def test_rain_layer_is_the_added_light():
    rainy, clean = np.array([[[10, 200, 30]]], np.uint8), np.array([[[4, 250, 30]]], np.uint8)
    assert rain_layer(rainy, clean).tolist() == [[[6, 0, 0]]]


def test_clipped_channel_is_reconstructed(rng):
    layer = np.repeat(rng.integers(0, 100, (60, 50, 1)), 3, axis=2)
    clean = rng.integers(0, 150, (60, 50, 3))
    clean[:30, :, 0] = 240  # a sky with one clipped channel
    np.testing.assert_array_equal(rain_layer(*add_clipped(clean, layer)), layer)


def test_white_patch_is_filled_from_the_same_layer(rng):
    layer = np.repeat(rng.integers(0, 100, (60, 50, 1)), 3, axis=2)
    clean = rng.integers(0, 150, (60, 50, 3))
    clean[5:20, 5:20] = 255  # a white lamp
    estimate = rain_layer(*add_clipped(clean, layer))
    np.testing.assert_array_equal(estimate[5:20, 5:20], layer[::-1, ::-1][5:20, 5:20])
    np.testing.assert_array_equal(estimate[30:], layer[30:])


@pytest.fixture
def folder(tmp_path, rng):
    """Three pairs of 60 x 60 pixels: a, b and c."""
    return str(noise_pair(tmp_path, "abc", rng))


@pytest.mark.parametrize(
    ("choice", "names"), [({"exclude": ("b",)}, ["a", "c"]), ({"only": ("b",)}, ["b"])]
)
def test_pairs_are_selected_by_name(folder, choice, names):
    collection = open_pairs(PairFolder(folder, **choice), PictureCache())
    assert [pair.name for pair in collection.pairs] == names
    assert len(collection.rainy) == len(names)


def test_selecting_no_pair_is_an_error(folder):
    with pytest.raises(DataError, match="none of its 3 pairs"):
        select_pairs(PairFolder(folder, exclude=tuple("abc")))


@pytest.mark.parametrize("choice", [{"exclude": ("bb",)}, {"only": ("b", "bb")}])
def test_unknown_pair_is_an_error(folder, choice):
    with pytest.raises(DataError, match="no pair 'bb'"):
        select_pairs(PairFolder(folder, **choice))


def test_pairs_smaller_than_a_crop_are_skipped(folder, tmp_path, rng):
    for side in ("rainy", "clean"):
        save_noise(tmp_path / side / "b.png", rng, size=(70, 40))
    collection = open_pairs(PairFolder(folder), PictureCache(), min_px=60)
    assert [pair.name for pair in collection.pairs] == ["a", "c"]
    assert len(collection.rainy) == len(collection.layers) == 2
    assert collection.too_small == [tmp_path / "rainy/b.png"]


def test_folder_without_a_pair_as_large_as_a_crop_is_an_error(folder):
    with pytest.raises(DataError, match=r"all pairs are smaller than a crop of 61 px; lower"):
        open_pairs(PairFolder(folder), PictureCache(), min_px=61)


@pytest.mark.parametrize(("layers", "with_layers"), [(False, True), (True, False)])
def test_rain_layers_are_optional(folder, layers, with_layers):
    source = PairFolder(folder, layers=layers)
    assert open_pairs(source, PictureCache(), with_layers=with_layers).layers == ()


def test_shared_clean_picture_is_kept_once(tmp_path, rng):
    for number in (1, 2):
        save_noise(tmp_path / "clean" / f"{number}.png", rng)
        for rain in (1, 2, 3):
            save_noise(tmp_path / "rainy" / f"{number}_{rain}.png", rng)
    collection = open_pairs(PairFolder(str(tmp_path)), PictureCache(), with_layers=False)
    assert len(collection.clean) == 6
    assert len({id(picture) for picture in collection.clean}) == 2


def test_files_without_a_pair_are_kept_as_problems(folder, tmp_path, rng):
    save_noise(tmp_path / "rainy" / "alone.png", rng)
    problems = open_pairs(PairFolder(folder, exclude=("b",)), PictureCache()).problems
    assert [problem.path.name for problem in problems] == ["alone.png"]


def test_large_backgrounds_are_also_kept_at_half_size(tmp_path, rng):
    save_noise(tmp_path / "wide.png", rng, size=(300, 1200))
    save_noise(tmp_path / "little.png", rng, size=(50, 50))
    pictures, too_small = open_pictures([tmp_path], PictureCache(), min_px=56)
    assert [picture.shape for picture in pictures] == [(300, 1200, 3), (150, 600, 3)]
    assert too_small == [tmp_path / "little.png"]


def test_folder_without_pictures_is_an_error(tmp_path):
    (tmp_path / "._resource_fork.png").write_bytes(b"left by an archive of macOS")
    with pytest.raises(DataError, match="contains no pictures"):
        open_pictures([tmp_path], PictureCache())


def test_file_without_a_picture_is_named(tmp_path):
    (tmp_path / "torn.png").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"torn\.png: .* remove it from the data set"):
        open_pictures([tmp_path], PictureCache())


def test_damaged_background_is_named_when_it_is_drawn(tmp_path, rng):
    path = tmp_path / "torn.png"
    save_noise(path, rng)
    path.write_bytes(path.read_bytes()[:900])
    pictures, _ = open_pictures([tmp_path], PictureCache())
    with pytest.raises(DataError, match=r"torn\.png: .* remove it from the data set"):
        pictures[0]


def test_rain_layers_are_those_of_the_pairs(folder):
    collection = open_pairs(PairFolder(folder), PictureCache())
    expected = [rain_layer(*pair.load()) for pair in collection.pairs]
    np.testing.assert_array_equal(list(collection.layers), expected)


def test_neighbours_are_those_of_the_clip(tmp_path, rng):
    folder = str(noise_pair(tmp_path, ["1", "2", "4"], rng))
    source = PairFolder(folder, clip=True)
    collection = open_pairs(source, PictureCache(), with_neighbours=True, is_aligned=False)
    first, second, third = collection.rainy
    np.testing.assert_array_equal(collection.neighbours[0], [first, second])
    np.testing.assert_array_equal(collection.neighbours[2], [third, third])


def test_clips_in_one_folder_have_their_own_neighbours(tmp_path, rng):
    folder, cache = str(noise_pair(tmp_path, ["a_1", "a_2", "b_1", "b_2"], rng)), PictureCache()
    clips = [
        open_pairs(
            PairFolder(folder, clip=True, only=names),
            cache,
            with_neighbours=True,
            is_aligned=False,
        )
        for names in (("a_1", "a_2"), ("b_1", "b_2"))
    ]
    for clip in clips:
        np.testing.assert_array_equal(clip.neighbours[0], [clip.rainy[0], clip.rainy[1]])


def test_backgrounds_are_excluded_by_name(tmp_path, rng):
    for name in "ab":
        save_noise(tmp_path / f"{name}.png", rng)
    assert len(open_pictures([tmp_path], PictureCache(), exclude=["a"])[0]) == 1


def test_unknown_exclusions_are_listed(tmp_path, rng):
    save_noise(tmp_path / "a.png", rng)
    assert unknown_stems([tmp_path], ["bb", "a", "aa"]) == ["aa", "bb"]


def test_16_bit_streak_mask_is_scaled(tmp_path):
    Image.fromarray(np.full((9, 9), 0x8000, np.uint16)).save(tmp_path / "mask.png")
    (mask,) = open_pictures([tmp_path], PictureCache(), grey=True)[0]
    assert (mask == 0x80).all()


def test_missing_folder_is_named():
    with pytest.raises(DataError, match="nowhere"):
        open_pictures(["nowhere"], PictureCache())
