import numpy as np
import pytest
from PIL import Image

from derain.data.crops import CropMix, Crops, jpeg, leaning, stretch
from derain.data.training_pictures import (
    PairCollection,
    TrainingPictures,
    load_pairs,
    load_pictures,
    rain_layer,
)
from derain.errors import DataError


@pytest.fixture
def sources(rng):
    clean = [rng.integers(0, 150, (80, 90, 3), dtype=np.uint8) for _ in range(4)]
    rainy = [np.clip(c.astype(int) + 40, 0, 255).astype(np.uint8) for c in clean]
    collection = PairCollection(
        "pairs", 1.0, rainy, clean, [rain_layer(r, c) for r, c in zip(rainy, clean, strict=True)]
    )
    streaks = [rng.integers(0, 60, (70, 70), dtype=np.uint8)]
    return TrainingPictures(
        [collection], [rng.integers(0, 150, (64, 200, 3), dtype=np.uint8)], streaks
    )


@pytest.fixture
def rng():
    return np.random.default_rng(0)


KINDS = ("pair", "recombined", "streaks", "rendered", "rain_free")


def crops(sources, seed=1, **mix):
    return Crops(sources, crop_px=56, mix=CropMix(**({"pair": 0} | mix)), seed=seed)


@pytest.mark.parametrize("kind", KINDS)
def test_crop_is_a_function_of_seed_and_index(sources, kind):
    first, second = (
        crops(sources, **{kind: 1}, jpeg=0.5, transpose=0.5, jitter=0.5, zoom=0.5, downscale=0.5)
        for _ in range(2)
    )
    second[7]  # what was drawn before does not matter
    for i in range(5):
        np.testing.assert_array_equal(first[i], second[i])


@pytest.mark.parametrize("zoom", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_crop_is_float32_in_the_unit_range(sources, kind, zoom):
    rainy, clean = crops(sources, **{kind: 1}, zoom=zoom)[0]
    assert rainy.shape == clean.shape == (3, 56, 56)
    assert rainy.dtype == clean.dtype == np.float32
    assert min(rainy.min(), clean.min()) >= 0
    assert max(rainy.max(), clean.max()) <= 1


def test_seeds_give_different_crops(sources):
    assert not np.array_equal(crops(sources, seed=1, pair=1)[0], crops(sources, seed=2, pair=1)[0])


@pytest.mark.parametrize("kind", ["recombined", "streaks"])
def test_laid_rain_never_darkens(sources, kind):
    for i in range(10):
        rainy, clean = crops(sources, **{kind: 1})[i]
        assert (rainy >= clean).all()
        assert (rainy > clean).any()


def test_rain_free_crop_has_equal_sides(sources):
    rainy, clean = crops(sources, rain_free=1, jpeg=0.5)[3]
    np.testing.assert_array_equal(rainy, clean)


def test_both_sides_of_a_pair_are_turned_alike(sources):
    for i in range(10):
        rainy, clean = crops(sources, pair=1, transpose=0.5)[i]
        np.testing.assert_allclose(rainy - clean, 40 / 255, atol=1e-6)


def test_colours_of_both_sides_are_changed_alike(sources):
    plain, changed = (crops(sources, rain_free=1, jitter=share)[3] for share in (0, 1))
    np.testing.assert_array_equal(*changed)
    assert np.abs(changed[0] - plain[0]).mean() > 0.02


def test_both_sides_of_a_pair_are_enlarged_alike(sources):
    for i in range(5):
        (rainy, clean), (plain, _) = (crops(sources, pair=1, zoom=zoom)[i] for zoom in (1, 0))
        assert (
            np.mean(np.abs(rainy - clean - 40 / 255) < 2 / 255) > 0.95
        )  # the rest is cut off at 0 on one side
        assert np.abs(np.diff(rainy)).mean() < np.abs(np.diff(plain)).mean()


@pytest.mark.parametrize("kind", ["rain_free", "recombined", "rendered"])
def test_reduced_backgrounds_show_more_of_the_picture(sources, kind):
    stripes = np.tile((np.arange(200) // 8 % 2 * 100).astype(np.uint8)[:, None], (190, 1, 3))
    edges = []
    for reduced in (0, 1):
        drawn = crops(sources, **{kind: 1}, downscale=reduced)
        drawn.backgrounds = [stripes]
        edges.append(
            np.mean([np.count_nonzero(np.diff(drawn[i][1][0, 0] > 50 / 255)) for i in range(40)])
        )
    assert 1.4 < edges[1] / edges[0] < 1.9  # 1 to 2.5 times as many, by the logarithm


def test_rain_before_reduced_backgrounds_is_as_strong_as_ever(sources):
    added = [
        [
            np.median(rainy - clean)
            for rainy, clean in map(
                crops(sources, recombined=1, downscale=r).__getitem__, range(40)
            )
        ]
        for r in (0, 1)
    ]
    assert np.mean(added[1]) == pytest.approx(np.mean(added[0]), rel=0.1)


@pytest.mark.parametrize("zoom", [1.0, 3.0])
def test_streaks_are_enlarged(zoom, rng):
    mask = np.zeros((400, 400), np.uint8)
    mask[:, ::40] = 200
    edges = [
        np.count_nonzero(np.diff(stretch(rng, mask, 112, zoom=zoom)[0] > 0)) for _ in range(50)
    ]
    assert 5 / zoom < np.mean(edges) < 6.5 / zoom  # of two a streak, in 0.7 to 1.4 times 112 pixels


def test_compression_changes_the_rainy_side(sources):
    plain, compressed = crops(sources, pair=1), crops(sources, pair=1, jpeg=1)
    assert np.abs(plain[0][0] - compressed[0][0]).max() > 0


def test_kinds_are_drawn_by_weight(sources):
    mixed = crops(sources, rain_free=1, pair=3)
    dry = sum(np.array_equal(*mixed[i]) for i in range(200))
    assert 30 < dry < 70


@pytest.mark.parametrize(
    ("kind", "sources"),
    [
        ("recombined", TrainingPictures()),
        ("streaks", TrainingPictures()),
        ("rain_free", TrainingPictures()),
    ],
)
def test_kind_without_a_source_is_refused(kind, sources):
    with pytest.raises(DataError, match=f"mix.{kind}"):
        crops(sources, **{kind: 1})


def test_mix_of_nothing_is_refused(sources):
    with pytest.raises(DataError, match="weight 0"):
        crops(sources)


def test_light_is_what_was_added():
    rainy, clean = np.array([[[10, 200, 30]]], np.uint8), np.array([[[4, 250, 30]]], np.uint8)
    assert rain_layer(rainy, clean).tolist() == [[[6, 0, 0]]]


def test_light_that_was_cut_off_at_white_is_restored(rng):
    layer = np.repeat(rng.integers(0, 100, (60, 50, 1)), 3, axis=2)
    clean = rng.integers(0, 150, (60, 50, 3))
    clean[:30, :, 0] = 240  # a sky of which one channel is cut off
    assert (rain_layer(*lit(clean, layer)) == layer).all()
    clean[5:20, 5:20] = 255  # a white lamp
    found = rain_layer(*lit(clean, layer))
    np.testing.assert_array_equal(found[5:20, 5:20], layer[::-1, ::-1][5:20, 5:20])
    np.testing.assert_array_equal(found[30:], layer[30:])


def lit(clean, layer):
    return np.minimum(clean + layer, 255).astype(np.uint8), clean.astype(np.uint8)


@pytest.mark.parametrize("lean", [-0.25, 0.1])
def test_a_piece_leans(lean):
    line = np.zeros((100, 200), np.uint8)
    line[:, 60:62] = 200
    piece = leaning(line[:, : round(100 * (1 + abs(lean)))], 100, lean)
    where = piece.argmax(axis=1)
    assert piece.shape == (100, 100)
    assert where[-1] - where[0] == pytest.approx(-99 * lean, abs=1)


def test_jpeg_keeps_the_size(rng):
    picture = rng.integers(0, 256, (9, 13, 3), dtype=np.uint8)
    assert jpeg(picture, quality=80).shape == picture.shape


def test_pairs_are_chosen_by_name(tmp_path, rng):
    for side in ("rainy", "clean"):
        (tmp_path / side).mkdir()
        for name in "abc":
            Image.fromarray(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)).save(
                tmp_path / side / f"{name}.png"
            )
    assert len(load_pairs(tmp_path, exclude=["b"]).rainy) == 2
    assert len(load_pairs(tmp_path, only=["b"]).rainy) == 1
    with pytest.raises(DataError, match="none of its 3 pairs"):
        load_pairs(tmp_path, exclude=list("abc"))
    for wrong in ({"exclude": ["bb"]}, {"only": ["b", "bb"]}):
        with pytest.raises(DataError, match="no pair 'bb'"):
            load_pairs(tmp_path, **wrong)
    with pytest.raises(DataError, match="smaller than a crop"):
        load_pairs(tmp_path, least_px=61)


def test_large_backgrounds_are_there_at_half_size_too(tmp_path, rng):
    Image.fromarray(rng.integers(0, 256, (300, 1200, 3), dtype=np.uint8)).save(
        tmp_path / "wide.png"
    )
    Image.fromarray(rng.integers(0, 256, (50, 50, 3), dtype=np.uint8)).save(tmp_path / "little.png")
    assert [p.shape for p in load_pictures([tmp_path], least_px=56)[0]] == [
        (300, 1200, 3),
        (150, 600, 3),
    ]


def test_background_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "._resource_fork.png").write_bytes(b"left by an unpacking program")
    with pytest.raises(DataError, match="has no picture right in it"):
        load_pictures([tmp_path])
    (tmp_path / "torn.png").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"torn\.png: is not a picture"):
        load_pictures([tmp_path])


def test_background_to_leave_out_that_is_not_there_is_named(tmp_path, rng):
    for name in "ab":
        Image.fromarray(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    assert len(load_pictures([tmp_path], exclude=["a"])[0]) == 1
    with pytest.raises(
        DataError, match=r"bb: is to be left out by data\.exclude, and no background is called so"
    ):
        load_pictures([tmp_path], exclude=["a", "bb"])


def test_clean_picture_of_several_rainy_ones_is_kept_once(tmp_path, rng):
    pictures = {f"rainy/{i}_{k}.png": rng for i in (1, 2) for k in (1, 2, 3)} | {
        f"clean/{i}.png": rng for i in (1, 2)
    }
    for name in pictures:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)).save(tmp_path / name)
    found = load_pairs(tmp_path, layers=False)
    assert (len(found.clean), len({id(picture) for picture in found.clean}), found.layers) == (
        6,
        2,
        [],
    )


def test_16_bits_of_a_streak_mask_are_not_cut_off(tmp_path):
    Image.fromarray(np.full((9, 9), 0x8000, np.uint16)).save(tmp_path / "mask.png")
    (mask,) = load_pictures([tmp_path], grey=True)[0]
    assert (mask == 0x80).all()


def test_files_in_no_pair_travel_with_the_collection(tmp_path, rng):
    for name in ("rainy/a", "clean/a", "rainy/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    assert [problem.path.name for problem in load_pairs(tmp_path, exclude=["b"]).problems] == [
        "b.png"
    ]


def test_missing_folder_of_backgrounds_is_named():
    with pytest.raises(DataError, match="nowhere"):
        load_pictures(["nowhere"])


def test_crops_are_not_mirrored_where_the_recipe_says_so(sources):
    collection = sources.collections[0]
    rainy, _ = crops(sources, pair=1, flip=False)[0]
    found = np.round(rainy.transpose(1, 2, 0) * 255).astype(np.uint8)
    windows = [
        np.lib.stride_tricks.sliding_window_view(r, found.shape)[:, :, 0] for r in collection.rainy
    ]
    assert any((w == found).all(axis=(2, 3, 4)).any() for w in windows)
