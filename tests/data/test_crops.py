import numpy as np
import pytest

from derain.data.crops import CropMix, Crops
from derain.data.training_pictures import PairCollection, TrainingPictures, rain_layer
from derain.errors import DataError
from derain.rain import STYLES

KINDS = ("pair", "recombined", "streaks", "rendered", "styled", "rain_free", "hard")
RAIN = 40
"""Light that the rain of the pairs adds."""


@pytest.fixture
def pictures(rng):
    """Four pairs, a background, a streak mask and a hard picture, all of noise."""
    clean = [rng.integers(0, 150, (80, 90, 3), dtype=np.uint8) for _ in range(4)]
    rainy = [np.clip(c.astype(int) + RAIN, 0, 255).astype(np.uint8) for c in clean]
    layers = [rain_layer(r, c) for r, c in zip(rainy, clean, strict=True)]
    collection = PairCollection("pairs", 1.0, rainy, clean, layers)
    background = rng.integers(0, 150, (64, 200, 3), dtype=np.uint8)
    streaks = rng.integers(0, 60, (70, 70), dtype=np.uint8)
    hard = rng.integers(0, 255, (60, 60, 3), dtype=np.uint8)
    return TrainingPictures([collection], [background], [streaks], hard=[hard])


def make_crops(pictures, seed=1, **mix):
    return Crops(pictures, crop_px=56, mix=CropMix(**({"pair": 0} | mix)), seed=seed)


@pytest.mark.parametrize("kind", KINDS)
def test_crop_depends_on_seed_and_index_only(pictures, kind):
    augmentation = dict.fromkeys(("jpeg", "transpose", "jitter", "zoom", "downscale"), 0.5)
    first, second = (make_crops(pictures, **{kind: 1}, **augmentation) for _ in range(2))
    second[7]
    for i in range(5):
        np.testing.assert_array_equal(first[i], second[i])


@pytest.mark.parametrize("zoom", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_crop_is_float32_in_the_unit_range(pictures, kind, zoom):
    for side in make_crops(pictures, **{kind: 1}, zoom=zoom)[0]:
        assert side.shape == (3, 56, 56)
        assert side.dtype == np.float32
        assert side.min() >= 0
        assert side.max() <= 1


def test_other_seed_gives_other_crops(pictures):
    first, second = (make_crops(pictures, seed=seed, pair=1)[0] for seed in (1, 2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("kind", ["recombined", "streaks"])
def test_added_rain_never_darkens(pictures, kind):
    crops = make_crops(pictures, **{kind: 1})
    for i in range(10):
        rainy, clean = crops[i]
        assert (rainy >= clean).all()
        assert (rainy > clean).any()


def test_rain_free_crop_has_equal_sides(pictures):
    rainy, clean = make_crops(pictures, rain_free=1, jpeg=0.5)[3]
    np.testing.assert_array_equal(rainy, clean)


def test_both_sides_are_flipped_alike(pictures):
    crops = make_crops(pictures, pair=1, transpose=0.5)
    for i in range(10):
        rainy, clean = crops[i]
        np.testing.assert_allclose(rainy - clean, RAIN / 255, atol=1e-6)


def test_colours_of_both_sides_change_alike(pictures):
    original, jittered = (make_crops(pictures, rain_free=1, jitter=share)[3] for share in (0, 1))
    np.testing.assert_array_equal(*jittered)
    assert np.abs(jittered[0] - original[0]).mean() > 0.02


def test_both_sides_of_a_pair_are_enlarged_alike(pictures):
    enlarged, original = (make_crops(pictures, pair=1, zoom=zoom) for zoom in (1, 0))
    for i in range(5):
        rainy, clean = enlarged[i]
        # bicubic resizing clips a few pixels at 0 on one side only
        assert np.mean(np.abs(rainy - clean - RAIN / 255) < 2 / 255) > 0.95
        assert np.abs(np.diff(rainy)).mean() < np.abs(np.diff(original[i][0])).mean()


@pytest.mark.parametrize("kind", ["rain_free", "recombined", "rendered"])
def test_downscaled_backgrounds_show_more_of_the_picture(pictures, kind):
    stripes = np.tile((np.arange(200) // 8 % 2 * 100).astype(np.uint8)[:, None], (190, 1, 3))
    edges = []
    for share in (0, 1):
        crops = make_crops(pictures, **{kind: 1}, downscale=share)
        crops.backgrounds = [stripes]
        counts = [np.count_nonzero(np.diff(crops[i][1][0, 0] > 50 / 255)) for i in range(40)]
        edges.append(np.mean(counts))
    # 1 to 2.5 times as many, uniform in the logarithm
    assert 1.4 < edges[1] / edges[0] < 1.9


def test_downscaling_keeps_the_strength_of_rain(pictures):
    strength = []
    for share in (0, 1):
        crops = make_crops(pictures, recombined=1, downscale=share)
        differences = [np.median(np.subtract(*crops[i])) for i in range(40)]
        strength.append(np.mean(differences))
    assert strength[1] == pytest.approx(strength[0], rel=0.1)


def test_compression_changes_the_rainy_side(pictures):
    original, compressed = (make_crops(pictures, pair=1, jpeg=share)[0][0] for share in (0, 1))
    assert np.abs(original - compressed).max() > 0


@pytest.mark.parametrize(("with_streaks", "missing"), [(True, 0), (False, 2)])
def test_styles_with_masks_need_streaks(pictures, with_streaks, missing):
    if not with_streaks:
        pictures.streaks.clear()
    assert len(make_crops(pictures, styled=1).styles) == len(STYLES) - missing


def test_kinds_are_drawn_by_weight(pictures):
    crops = make_crops(pictures, rain_free=1, pair=3)
    rain_free = sum(np.array_equal(*crops[i]) for i in range(200))
    assert 30 < rain_free < 70


def test_crops_are_not_mirrored_without_flip(pictures):
    rainy, _ = make_crops(pictures, pair=1, flip=False)[0]
    crop = np.round(rainy.transpose(1, 2, 0) * 255).astype(np.uint8)
    windows = (
        np.lib.stride_tricks.sliding_window_view(picture, crop.shape)[:, :, 0]
        for picture in pictures.collections[0].rainy
    )
    assert any((window == crop).all(axis=(2, 3, 4)).any() for window in windows)


@pytest.mark.parametrize("kind", KINDS)
def test_kind_without_pictures_is_an_error(kind):
    with pytest.raises(DataError, match=f"mix.{kind}"):
        make_crops(TrainingPictures(), **{kind: 1})


def test_mix_without_kinds_is_an_error(pictures):
    with pytest.raises(DataError, match="weight 0"):
        make_crops(pictures)


@pytest.mark.parametrize("mix", [{"pair": -1.0}, {"jpeg": 1.5}, {"rain_free": 2e6}])
def test_mix_out_of_range_is_an_error(mix):
    with pytest.raises(DataError, match="out of range"):
        CropMix(**mix)
