"""Tiling: where pictures are cut, without visible seams."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derain.errors import EngineError
from derain.inference.engines.openvino import OpenVinoEngine
from derain.inference.tile_plan import plan_tiles
from derain.inference.tiling import restore_tiled

SIDES = st.integers(1, 500)


def copy(rainy: np.ndarray) -> np.ndarray:
    return rainy


@given(
    SIDES,
    SIDES,
    st.integers(1, 60),
    st.integers(0, 60),
    st.integers(1, 300),
    st.sampled_from(["uint8", "uint16"]),
)
@settings(max_examples=60, deadline=None)
def test_tiling_is_exact_for_a_copying_network(height, width, multiple, overlap, tile, dtype):
    photo = np.random.default_rng(0).integers(
        0, np.iinfo(dtype).max, (height, width, 3), dtype=dtype, endpoint=True
    )
    plan = plan_tiles((height, width), tile_px=tile, multiple_px=multiple, overlap_px=overlap)
    np.testing.assert_array_equal(restore_tiled(photo, network=copy, plan=plan), photo)


@given(
    st.integers(1, 20_000),
    st.integers(1, 20_000),
    st.integers(1, 4096),
    st.sampled_from([1, 8, 56]),
)
@settings(deadline=None)
def test_tiles_respect_the_limit(height, width, limit, multiple):
    plan = plan_tiles((height, width), limit_mib=limit, bytes_per_px=1000, multiple_px=multiple)
    padded = (plan.height_px + -plan.height_px % multiple) * (
        plan.width_px + -plan.width_px % multiple
    )
    smallest = (3 * 56) ** 2  # a smaller tile would consist of overlaps
    assert padded <= max(limit * 2**20 / 1000, smallest)


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(300, 3000))
@settings(deadline=None)
def test_tiles_start_at_multiples(height, width, tile):
    plan = plan_tiles((height, width), tile_px=tile, multiple_px=56)
    assert {span.start % 56 for span in (*plan.rows, *plan.columns)} == {0}


@given(st.integers(1, 20_000), st.integers(1, 200_000), st.integers(60, 3000))
@settings(deadline=None)
def test_neighbours_share_only_the_fade(height, width, limit):
    plan = plan_tiles((height, width), limit_mib=limit, multiple_px=56)
    for spans in (plan.rows, plan.columns):
        assert all(left.stop - right.keep == plan.fade_px for left, right in pairwise(spans))
        assert all(left.stop <= right.keep for left, right in zip(spans, spans[2:], strict=False))


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (321, 481), (800, 900)])
def test_picture_that_fits_is_one_tile(size):
    assert len(plan_tiles(size, limit_mib=1000, bytes_per_px=1000, multiple_px=56)) == 1


def test_overlap_of_100_megapixels_is_below_a_fifth():
    plan = plan_tiles((10_000, 10_000), multiple_px=56)
    assert len(plan) * plan.height_px * plan.width_px < 1.2 * 10_000**2


@pytest.fixture(scope="module")
def blur(networks):
    return OpenVinoEngine(networks / "blurring.onnx", precision="float32")


@pytest.mark.parametrize("size", [(200, 333), (64, 900), (401, 257)])
def test_no_seam_if_the_overlap_exceeds_the_receptive_field(size, blur, rng):
    photo = rng.random((*size, 3), dtype=np.float32)
    whole = restore_tiled(photo, network=blur, plan=plan_tiles(size, tile_px=4000, multiple_px=8))
    cut = restore_tiled(
        photo, network=blur, plan=plan_tiles(size, tile_px=96, multiple_px=8, overlap_px=32)
    )
    # without the edges, where tiles are padded by reflection but the network pads with black
    np.testing.assert_allclose(cut[4:-12, 4:-12], whole[4:-12, 4:-12], atol=1e-5)


def test_different_tiles_blend_gradually():
    brightness = iter(np.linspace(0, 1, 4))

    def next_brightness(rainy: np.ndarray) -> np.ndarray:
        return np.full_like(rainy, next(brightness))

    plan = plan_tiles((8, 500), tile_px=160, multiple_px=1, overlap_px=40)
    row = restore_tiled(np.zeros((8, 500, 3), np.float32), network=next_brightness, plan=plan)[
        4, :, 0
    ]
    assert np.abs(np.diff(row)).max() < 1.01 / 3 / plan.fade_px


def test_all_tiles_have_the_same_size():
    sizes = set()

    def record(rainy: np.ndarray) -> np.ndarray:
        sizes.add(rainy.shape)
        return rainy

    restore_tiled(
        np.zeros((500, 700, 3), np.uint8),
        network=record,
        plan=plan_tiles((500, 700), tile_px=168, multiple_px=56),
    )
    assert sizes == {(1, 3, 168, 168)}


def test_grey_pictures_stay_grey(rng):
    photo = rng.integers(0, 256, (90, 130), dtype=np.uint8)
    cut = restore_tiled(
        photo, network=copy, plan=plan_tiles((90, 130), tile_px=64, multiple_px=8, overlap_px=16)
    )
    np.testing.assert_array_equal(cut, photo)


def test_values_are_rounded_and_clamped():
    values = np.array([-0.5, 0.4 / 255, 0.6 / 255, 1.7], np.float32).reshape(1, 1, 1, 4)
    restored = restore_tiled(
        np.zeros((1, 4, 3), np.uint8),
        network=lambda rainy: values + 0 * rainy,
        plan=plan_tiles((1, 4)),
    )
    assert restored[0, :, 0].tolist() == [0, 0, 1, 255]


def test_values_that_are_not_finite_are_rejected():
    with pytest.raises(EngineError, match="not finite; try --precision float32"):
        restore_tiled(
            np.zeros((2, 2, 3), np.uint8),
            network=lambda rainy: rainy * np.nan,
            plan=plan_tiles((2, 2)),
        )


def test_on_tile_is_called_after_each_tile():
    calls: list[tuple[int, int]] = []
    plan = plan_tiles((300, 8), tile_px=120, overlap_px=20)
    restore_tiled(
        np.zeros((300, 8), np.uint8),
        network=copy,
        plan=plan,
        on_tile=lambda *tile: calls.append(tile),
    )
    assert calls == [(index + 1, len(plan)) for index in range(len(plan))]
