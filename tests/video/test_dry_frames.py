"""Frames without rain, restored by networks that average three frames or pass the middle one."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.scenes import scene, view

from derain import rain
from derain.cli.video_progress import _describe
from derain.inference.clip_restorer import ClipRestorer
from derain.motion import Window, aligned_windows
from derain.video.dry_frames import BLOCK_PX, MAX_CHANGE, DryFrames, change, halved
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


def test_small_frames_are_always_restored(averaging, dry):
    _, result = run([dry[:60]] * 3, averaging)
    assert result.dry_count == 0


@pytest.mark.parametrize(("level", "is_dry"), [(2, True), (4, False)])
def test_the_limit_is_that_of_a_block(averaging, level, is_dry):
    flat = np.full((128, 128), 100, np.uint8)
    spotted = flat.copy()
    spotted[:16, :16] += level  # of which the mean of three frames leaves a third
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
def test_change_is_in_levels_of_255(dtype):
    unit = np.iinfo(dtype).max // 255
    frame = np.full((40, 40, 3), 50 * unit, dtype)
    restored = frame.copy()
    restored[:BLOCK_PX, :BLOCK_PX] += 6 * unit
    assert change(frame, restored) == pytest.approx(6)
    assert change(frame, frame) == 0 < MAX_CHANGE


def test_the_summary_counts_dry_frames(tmp_path):
    job = type("Job", (), {"is_pipe": False, "target": tmp_path / "clip.mp4"})
    result = VideoResult(frame_count=9, dry_count=8, seconds=3.0)
    assert "clip.mp4: 9 frames (8 without rain) in 3.0 s" in _describe(job, result)
