"""Frames without rain, with a network that averages three frames."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.scenes import scene, view

from derain import rain
from derain.cli.video_progress import _describe
from derain.inference.clip_restorer import ClipRestorer
from derain.motion import Window, aligned_windows
from derain.video.dry_frames import BLOCK_PX, PAUSE_FRAMES, DryFrames, changes, halved
from derain.video.frames import FrameOptions, VideoResult, restore_frames


class Counting(ClipRestorer):
    """A restorer that counts the pixels that its network and those of its copies see."""

    seen_px = 0

    def restore_frame(self, frame, before, after):
        Counting.seen_px += frame.shape[0] * frame.shape[1]
        return super().restore_frame(frame, before, after)


@pytest.fixture
def averaging(networks):
    Counting.seen_px = 0
    return Counting(networks / "averaging.onnx", precision="float32", threads=1)


def run(frames, network):
    result = VideoResult()
    windows = aligned_windows((frame, None) for frame in frames)
    images = [image for image, _ in restore_frames(windows, network, FrameOptions(), result)]
    return images, result


@pytest.fixture(scope="module")
def dry():
    return view(scene())


def test_dry_frames_stay_the_same_and_cost_a_quarter(averaging, dry):
    images, result = run([dry] * 9, averaging)
    assert result.dry_count == 8 and result.frame_count == 9
    assert all(np.array_equal(image, dry) for image in images)
    assert Counting.seen_px == dry.shape[0] * dry.shape[1] * (1 + 8 / 4)


def test_a_frame_in_rain_is_restored_after_dry_ones(averaging, dry):
    rainy = rain.render(dry, rain="light", seed=3, scale=1)
    frames = [dry] * 3 + [rainy] + [dry] * 3
    images, _ = run(frames, averaging)
    assert np.abs(images[3].astype(int) - dry).mean() < 0.5 * np.abs(rainy.astype(int) - dry).mean()


def test_frames_in_rain_are_seen_once(averaging, dry):
    frames = [rain.render(dry, rain="light", seed=seed, scale=1) for seed in range(4)]
    _, result = run(frames, averaging)
    assert result.dry_count == 0
    assert Counting.seen_px == 4 * dry.shape[0] * dry.shape[1]


def test_after_rain_dry_frames_are_looked_for_less_often(averaging):
    flat = np.full((128, 128), 100, np.uint8)
    spotted = flat.copy()
    spotted[:16, :16] += 30
    dry, rainy = (Window(image, flat, flat, None) for image in (flat, spotted))
    dry_frames = DryFrames(averaging)
    shown = [dry_frames.restore(window) for window in (dry, dry, rainy, *[dry] * 30)]
    is_dry = [image is flat for image in shown]
    assert is_dry == [False, True, *[False] * PAUSE_FRAMES, *[True] * 6]


def test_small_frames_are_always_restored(averaging, dry):
    _, result = run([dry[:60]] * 3, averaging)
    assert result.dry_count == 0


@pytest.mark.parametrize(
    ("level", "side_px", "is_dry"), [(3, 16, True), (9, 16, False), (3, 128, False)]
)
def test_little_may_change_in_many_places_or_more_in_few(averaging, level, side_px, is_dry):
    flat = np.full((256, 256), 100, np.uint8)
    spotted = flat.copy()
    spotted[:side_px, :side_px] += level  # of which the mean of three frames leaves a third
    dry_frames = DryFrames(averaging)
    dry_frames.restore(Window(flat, flat, flat, None))
    restored = dry_frames.restore(Window(spotted, flat, flat, None))
    assert (restored is spotted) == is_dry


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(65, 67), (65, 67, 3)])
def test_halves(rng, dtype, shape):
    image = rng.integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    small = halved(image)
    assert small.dtype == dtype and small.shape == (33, 34, *shape[2:])
    assert np.abs(small[3, 5] - image[6:8, 10:12].mean(axis=(0, 1))).max() <= 1
    assert np.array_equal(small[-1, -1], image[-1, -1])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_changes_are_in_levels_of_255(dtype):
    unit = np.iinfo(dtype).max // 255
    frame = np.full((40, 40, 3), 50 * unit, dtype)
    restored = frame.copy()
    restored[:BLOCK_PX, :BLOCK_PX] += 6 * unit
    blocks = changes(frame, restored)
    assert blocks.shape == (5, 5) and blocks[0, 0] == pytest.approx(6)
    assert blocks.sum() == pytest.approx(6)


def test_the_summary_counts_dry_frames(tmp_path):
    job = type("Job", (), {"is_pipe": False, "target": tmp_path / "clip.mp4"})
    result = VideoResult(frame_count=9, dry_count=8, seconds=3.0)
    assert "clip.mp4: 9 frames (8 without rain) in 3.0 s" in _describe(job, result)
