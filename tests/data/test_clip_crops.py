"""Crops of three frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.scenes import scene, view

from derain.data import clip_crops
from derain.data.camera import random_path, see, undo
from derain.data.clip_crops import ClipCrops
from derain.data.clips import aligned_neighbours, neighbour_indices
from derain.data.crops import CropMix
from derain.data.pairs.pair import Pair
from derain.data.training_pictures import PairCollection, TrainingPictures, rain_layer
from derain.errors import DataError

KINDS = ("pair", "recombined", "streaks", "rendered", "rain_free", "hard")
STILL = ("recombined", "streaks", "rendered", "rain_free", "hard")
CROP_PX = 56


def filmed(count: int = 4, *, step_px: float = 2.0) -> list[np.ndarray]:
    return [view(scene(1), step_px * index) for index in range(count)]


@pytest.fixture(scope="module")
def pictures() -> TrainingPictures:
    """A clip of four pairs, backgrounds of several sizes, a streak mask and a hard picture."""
    rng = np.random.default_rng(3)
    clean = filmed()
    rainy = [
        (image + 60 * (rng.random(image.shape[:2]) < 0.1)[..., None]).clip(0, 255).astype(np.uint8)
        for image in clean
    ]
    layers = [rain_layer(*sides) for sides in zip(rainy, clean, strict=True)]
    neighbours = [
        aligned_neighbours(rainy, index, (max(index - 1, 0), min(index + 1, 3)))
        for index in range(4)
    ]
    clip = PairCollection("clip", 1.0, rainy, clean, layers, neighbours=neighbours)
    backgrounds = [np.asarray(scene(2)), np.asarray(scene(4, (60, 57)))]
    streaks = (rng.random((90, 90)) < 0.1).astype(np.uint8) * np.uint8(200)
    return TrainingPictures([clip], backgrounds, [streaks], hard=[np.asarray(scene(6))])


def make(pictures: TrainingPictures, *, is_aligned: bool = True, **mix: float) -> ClipCrops:
    mixed = CropMix(**({"pair": 0.0} | mix))
    return ClipCrops(pictures, crop_px=CROP_PX, mix=mixed, seed=1, is_aligned=is_aligned)


def frames_of(crop: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """Return the frame before, the centre frame, the frame after and the clean side."""
    rainy, clean = crop
    return [*rainy.reshape(3, 3, CROP_PX, CROP_PX), clean]


def distance(first: np.ndarray, second: np.ndarray) -> float:
    return 255 * float(np.abs(first - second).mean())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("zoom", [0, 1])
def test_a_crop_has_three_frames_in_the_unit_range(pictures, kind, zoom):
    crops = make(pictures, **{kind: 1.0}, zoom=zoom, jpeg=0.5, jitter=0.5, transpose=0.5)
    for index in range(4):
        rainy, clean = crops[index]
        assert rainy.shape == (9, CROP_PX, CROP_PX) and clean.shape == (3, CROP_PX, CROP_PX)
        assert rainy.dtype == clean.dtype == np.float32
        assert min(rainy.min(), clean.min()) >= 0 and max(rainy.max(), clean.max()) <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_crop_depends_on_seed_and_index_only(pictures, kind):
    shares = dict.fromkeys(("jpeg", "transpose", "jitter", "zoom"), 0.5)
    first, second = (make(pictures, **{kind: 1.0}, **shares) for _ in range(2))
    second[7]
    for index in range(4):
        for one, other in zip(first[index], second[index], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["recombined", "streaks", "rendered"])
def test_each_frame_has_other_rain(pictures, kind, monkeypatch):
    for constant in ("OBJECT_SHARE", "NOISE_SHARE", "REPLACED_SHARE"):
        monkeypatch.setattr(clip_crops, constant, 0.0)
    crops = make(pictures, **{kind: 1.0}, flip=False)
    alike = []
    for index in range(12):
        before, centre, after, clean = frames_of(crops[index])
        rain = [frame - clean for frame in (before, centre, after)]
        alike += [np.corrcoef(rain[1].ravel(), side.ravel())[0, 1] for side in (rain[0], rain[2])]
    assert np.nanmean(alike) < 0.5


def test_aligned_neighbours_show_the_same_scene(pictures, monkeypatch):
    monkeypatch.setattr(clip_crops, "OBJECT_SHARE", 0.0)
    aligned, unaligned = (
        np.mean(
            [
                distance(before, clean)
                for before, _, _, clean in (
                    frames_of(make(pictures, is_aligned=is_aligned, rain_free=1.0)[index])
                    for index in range(40)
                )
            ]
        )
        for is_aligned in (True, False)
    )
    assert aligned < 0.7 * unaligned


def test_rain_free_clips_have_no_rain_on_the_centre_frame(pictures):
    crops = make(pictures, rain_free=1.0, jpeg=0.5)
    for index in range(8):
        _, centre, _, clean = frames_of(crops[index])
        assert np.array_equal(centre, clean)


def test_noise_stays_on_the_clean_side(pictures, monkeypatch):
    monkeypatch.setattr(clip_crops, "NOISE_SHARE", 1.0)
    monkeypatch.setattr(clip_crops, "OBJECT_SHARE", 0.0)
    before, centre, _, clean = frames_of(make(pictures, rain_free=1.0)[3])
    assert np.array_equal(centre, clean) and distance(before, centre) > 0.3


def test_an_object_moves_on_its_own(pictures):
    still = np.asarray(scene(2))[:76, :76]
    views = [still] * 3
    places = make(pictures, rain_free=1.0)._add_object(np.random.default_rng(2), views)
    changed = [(image != still).any(axis=2) for image in views]
    assert all(place.any() for place in changed)
    assert not np.array_equal(changed[0], changed[2])
    assert (places > 0)[np.logical_or.reduce(changed)].all()


def test_backgrounds_are_downscaled(pictures, monkeypatch):
    """A crop of a square that is downscaled shows finer detail."""
    for constant in ("OBJECT_SHARE", "NOISE_SHARE"):
        monkeypatch.setattr(clip_crops, constant, 0.0)
    wide = replace(pictures, collections=[], backgrounds=[np.asarray(scene(2, (400, 400)))])
    full, downscaled = (
        np.mean([np.abs(np.diff(crops[index][1])).mean() for index in range(20)])
        for crops in (make(wide, rain_free=1.0, downscale=share) for share in (0.0, 1.0))
    )
    assert downscaled > 1.1 * full


def test_styles_are_rejected(pictures):
    with pytest.raises(DataError, match="a style draws single pictures"):
        make(pictures, styled=1.0)


def test_pairs_without_neighbours_are_rejected(pictures):
    still = replace(pictures.collections[0], neighbours=[])
    with pytest.raises(DataError, match="add `clip = true`"):
        make(TrainingPictures([still]), pair=1.0)


def test_motion_is_undone_up_to_the_errors_of_alignment(rng):
    picture = np.asarray(scene(2))[:100, :100]
    differences = []
    for seed in range(20):
        path = random_path(np.random.default_rng(seed))
        seen = see(picture, path.after)
        back = undo(seen, path.after, rng=rng, crop_px=80)
        differences.append(np.abs(back.astype(int) - picture[10:-10, 10:-10]).mean())
    assert np.median(differences) < 2.5


def make_pairs(*names: str) -> list[Pair]:
    return [Pair(name, Path(name), Path(name), (8, 8)) for name in names]


@pytest.mark.parametrize(
    ("names", "indices"),
    [
        (("00001", "00002", "00003"), [(0, 1), (0, 2), (1, 2)]),
        (("00040", "00101"), [(0, 0), (1, 1)]),
        (("a/9", "a/10", "b/11"), [(0, 1), (0, 1), (2, 2)]),
        (("f2_x", "f3_x", "f4_y"), [(0, 1), (0, 1), (2, 2)]),
        (("first",), [(0, 0)]),
    ],
)
def test_neighbours_have_consecutive_numbers(names, indices):
    assert neighbour_indices(make_pairs(*names)) == indices
