"""Each protocol against independently computed values."""

import math
import time

import numpy as np
import pytest

from derain.evaluate.protocols import PROTOCOLS, eight_bit, luma, luma_rounded, score, subsample
from derain.inference.dtypes import to_dtype


@pytest.fixture
def pair(rng):
    """(restored, clean): floats between the 8-bit levels that overshoot 0..1, and uint8."""
    clean = rng.integers(0, 256, (40, 52, 3), dtype=np.uint8)
    restored = (clean / 255 + rng.normal(0, 0.05, clean.shape)).astype(np.float32)
    return restored, clean


def flat(rgb, size=(16, 16)):
    return np.full((*size, 3), rgb, np.uint8)


def test_there_are_four_protocols():
    assert list(PROTOCOLS) == ["paper", "rgb", "y", "y-half"]


# Luma. MATLAB's rgb2ycbcr: Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255 for R, G, B in 0..255.
#   (10, 20, 30):    654.81 + 2571.06 +  748.98 =  3974.85; / 255 =  15.5876...; Y =  31.5876
#   (200, 100, 50): 13096.2 + 12855.3 + 1248.3  = 27199.8;  / 255 = 106.6659...; Y = 122.6659
#   (255, 255, 255): 219.000 exactly, so Y = 235
LUMA = [
    ((0, 0, 0), 16, 16),
    ((255, 255, 255), 235, 235),
    ((10, 20, 30), 31.587647, 32),
    ((200, 100, 50), 122.665882, 123),
]


@pytest.mark.parametrize(("rgb", "exact", "rounded"), LUMA)
def test_exact_luma_by_hand(rgb, exact, rounded):
    assert luma(flat(rgb) / 255)[0, 0] * 255 == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize(("rgb", "exact", "rounded"), LUMA)
def test_rounded_luma_by_hand(rgb, exact, rounded):
    assert luma_rounded(flat(rgb))[0, 0] == rounded


def test_luma_equals_scikit_image(rng):
    color = pytest.importorskip("skimage.color")
    rgb = rng.random((20, 20, 3))
    np.testing.assert_allclose(luma(rgb) * 255, color.rgb2ycbcr(rgb)[..., 0], atol=1e-9)


def test_rounded_luma_of_every_grey():
    greys = np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, axis=2)
    np.testing.assert_array_equal(luma_rounded(greys), np.floor(luma(greys / 255) * 255 + 0.5))


# PSNR of two flat pictures, (10, 20, 30) restored and (200, 100, 50) clean:
#   RGB: squared differences 190^2 + 80^2 + 20^2 = 36100 + 6400 + 400 = 42900, mean 14300:
#        10 log10(65025 / 14300) = 6.5774 dB
#   luma rounded: 123 - 32 = 91:                20 log10(255 / 91)        = 8.9500 dB
#   luma exact: 122.665882 - 31.587647 = 91.078235: 20 log10(255 / 91.078235) = 8.9425 dB
@pytest.mark.parametrize(
    ("name", "decibels"), [("paper", 6.5774), ("rgb", 6.5774), ("y", 8.9500), ("y-half", 8.9425)]
)
def test_psnr_of_flat_pictures_by_hand(name, decibels):
    assert score(PROTOCOLS[name], flat((10, 20, 30)), flat((200, 100, 50))).psnr == pytest.approx(
        decibels, abs=1e-4
    )


# SSIM of the same: no variance, so (2ab + c1) / (a^2 + b^2 + c1), c1 = (0.01 * 255)^2 = 6.5025
#   rgb: R 4006.5025 / 40106.5025 = 0.0998966; G 4006.5025 / 10406.5025 = 0.3850000;
#        B 3006.5025 / 3406.5025 = 0.8825776; mean 0.4558247
#   y: a = 32, b = 123: (7872 + 6.5025) / (1024 + 15129 + 6.5025) = 0.4875461
@pytest.mark.parametrize(("name", "similarity"), [("rgb", 0.4558247), ("y", 0.4875461)])
def test_ssim_of_flat_pictures_by_hand(name, similarity):
    assert score(PROTOCOLS[name], flat((10, 20, 30)), flat((200, 100, 50))).ssim == pytest.approx(
        similarity, abs=1e-6
    )


def test_paper_clips_without_rounding(pair):
    restored, clean = pair
    error = np.clip(restored.astype(np.float64), 0, 1) - clean / 255
    assert score(PROTOCOLS["paper"], restored, clean).psnr == pytest.approx(
        -10 * math.log10(np.mean(error**2)), abs=1e-9
    )


def test_rgb_rounds_to_8_bits(pair):
    restored, clean = pair
    levels = np.rint(np.clip(restored.astype(np.float64), 0, 1) * 255)
    expected = 20 * math.log10(255) - 10 * math.log10(np.mean((levels - clean) ** 2))
    assert score(PROTOCOLS["rgb"], restored, clean).psnr == pytest.approx(expected, abs=1e-9)


def test_rgb_equals_scikit_image(pair):
    metrics = pytest.importorskip("skimage.metrics")
    restored, clean = eight_bit(pair[0]), pair[1]
    expected = metrics.structural_similarity(
        restored,
        clean,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=2,
    )
    assert score(PROTOCOLS["rgb"], restored, clean).ssim == pytest.approx(expected, abs=1e-9)


def test_y_rounds_the_luma(pair):
    metrics = pytest.importorskip("skimage.metrics")
    x, y = (luma_rounded(eight_bit(image)) for image in pair)
    expected = metrics.structural_similarity(
        x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert score(PROTOCOLS["y"], *pair).ssim == pytest.approx(expected, abs=1e-9)


def test_y_half_subsamples_before_ssim(rng):
    metrics = pytest.importorskip("skimage.metrics")
    clean = rng.integers(
        0, 256, (400, 390, 3), dtype=np.uint8
    )  # 390 / 256 = 1.52, so every 2 x 2 box becomes one value
    restored = np.clip(clean + rng.normal(0, 20, clean.shape), 0, 255).astype(np.uint8)
    x, y = (
        luma(image / 255).reshape(200, 2, 195, 2).mean(axis=(1, 3)) for image in (restored, clean)
    )
    expected = metrics.structural_similarity(
        x, y, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert score(PROTOCOLS["y-half"], restored, clean).ssim == pytest.approx(expected, abs=1e-12)


def test_y_half_does_not_subsample_before_psnr(rng):
    clean = rng.integers(0, 256, (400, 390, 3), dtype=np.uint8)
    restored = 255 - clean
    error = luma(restored / 255) - luma(clean / 255)
    assert score(PROTOCOLS["y-half"], restored, clean).psnr == pytest.approx(
        -10 * math.log10(np.mean(error**2)), abs=1e-9
    )


@pytest.mark.parametrize(
    ("size", "f"),
    [((383, 500), 1), ((384, 384), 2), ((640, 641), 3), ((896, 1000), 4), ((321, 481), 1)],
)
def test_subsampling_equals_matlab(size, f, rng):
    # imfilter(X, ones(f) / f^2, 'symmetric', 'same') then X(1:f:end, 1:f:end). The centre of an
    # even kernel is floor((f + 1) / 2), counted from 1, so pixel i (from 0) covers i - (f - 1) // 2
    # to i + f // 2; 'symmetric' mirrors with the edge doubled. MATLAB rounds 640 / 256 = 2.5 to 3
    # and 896 / 256 = 3.5 to 4.
    plane = rng.random(size)

    def mirrored(index, length):
        return -1 - index if index < 0 else 2 * length - 1 - index if index >= length else index

    def box(top, left):
        rows = [mirrored(i, size[0]) for i in range(top - (f - 1) // 2, top + f // 2 + 1)]
        columns = [mirrored(i, size[1]) for i in range(left - (f - 1) // 2, left + f // 2 + 1)]
        return plane[np.ix_(rows, columns)].mean()

    result = subsample(plane)
    assert result.shape == (math.ceil(size[0] / f), math.ceil(size[1] / f))
    tops, lefts = [0, f, (result.shape[0] - 1) * f], [0, 5 * f, (result.shape[1] - 1) * f]
    by_hand = [[box(top, left) for left in lefts] for top in tops]
    at = np.ix_([top // f for top in tops], [left // f for left in lefts])
    np.testing.assert_allclose(result[at], by_hand, atol=1e-12)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_psnr_of_a_picture_with_itself_is_infinite(name, pair):
    assert score(PROTOCOLS[name], pair[1], pair[1]).psnr == math.inf


@pytest.mark.parametrize("name", PROTOCOLS)
def test_uint16_counts_over_its_whole_range(name, pair):
    restored, clean = eight_bit(pair[0]), pair[1]
    wide = restored.astype(np.uint16) * 257
    assert score(PROTOCOLS[name], wide, clean).psnr == pytest.approx(
        score(PROTOCOLS[name], restored, clean).psnr, abs=1e-9
    )


@pytest.mark.parametrize("name", PROTOCOLS)
def test_grey_counts_as_three_channels(name, rng):
    restored, clean = rng.integers(0, 256, (2, 20, 24), dtype=np.uint8)
    coloured = [np.stack([plane] * 3, axis=2) for plane in (restored, clean)]
    assert score(PROTOCOLS[name], restored, clean) == score(PROTOCOLS[name], *coloured)


@pytest.mark.parametrize("name", ["rgb", "y", "y-half"])
def test_fractions_of_a_level_do_not_count(name, pair):
    restored, clean = pair
    assert score(PROTOCOLS[name], restored, clean) == score(
        PROTOCOLS[name], eight_bit(restored), clean
    )


def test_eight_bit_equals_saved_pictures(rng):
    output = rng.uniform(-0.1, 1.1, (40, 50, 3)).astype(np.float32)
    np.testing.assert_array_equal(eight_bit(output), to_dtype(output, np.dtype(np.uint8)))


def test_different_sizes_are_rejected():
    with pytest.raises(ValueError, match="different sizes"):
        score(PROTOCOLS["rgb"], flat((0, 0, 0), (20, 20)), flat((0, 0, 0), (20, 21)))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_smallest_size_is_scored(name):
    side = PROTOCOLS[name].min_side_px
    assert math.isfinite(
        score(PROTOCOLS[name], flat((1, 2, 3), (side, side)), flat((3, 2, 1), (side, side))).ssim
    )


def test_all_protocols_take_under_200_ms(rng):
    clean = rng.integers(0, 256, (321, 481, 3), dtype=np.uint8)
    restored = (clean / 255).astype(np.float32)
    begin = time.process_time()
    for _ in range(5):
        for protocol in PROTOCOLS.values():
            score(protocol, restored, clean)
    assert (time.process_time() - begin) / 5 < 0.2  # 100 pairs in 20 s


@pytest.mark.parametrize("which", ["restored", "clean"])
@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (lambda image: image * 255, "has a mean of .*; expected floats in 0..1"),
        (lambda image: (image * 255).astype(np.int64), "has the type int64"),
        (
            lambda image: np.where(image == image.max(), np.nan, image),
            "contains NaN or infinity",
        ),
        (lambda image: np.dstack([image, image[..., :1]]), r"has the shape \(40, 52, 4\)"),
    ],
    ids=["0..255", "int64", "nan", "rgba"],
)
def test_invalid_arrays_are_rejected(pair, which, change, fact):
    restored, clean = pair
    sides = {"restored": restored.astype(np.float64), "clean": clean / 255}
    sides[which] = change(sides[which])
    with pytest.raises(ValueError, match=f"{which} {fact}"):
        score(PROTOCOLS["paper"], **sides)


def test_single_overshooting_values_are_allowed(pair):
    restored, clean = pair
    restored[0, 0] = 4.4
    assert score(PROTOCOLS["paper"], restored, clean).psnr > 20
