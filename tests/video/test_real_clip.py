"""Longer clips: real rain, and a thousand frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from derain.video.clip import restore_clip
from derain.video.frames import FrameOptions, VideoResult, restore_frames

from .conftest import copying, decoded, packets, times

REAL = Path(__file__).parents[3] / "shared" / "data" / "real" / "video_rb2"


def real_frames() -> list[Path]:
    """60 frames of real rain, 640 x 360, seen by a camera that moves."""
    if not REAL.is_dir():
        pytest.skip("needs the real clip, which is not part of the project")
    return sorted(REAL.glob("*.jpg"))


@pytest.fixture
def real_clip(tmp_path: Path) -> Path:
    """They as a clip of 30 frames a second, and a tone."""
    path = tmp_path / "rain.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        tone = container.add_stream("aac", rate=44100)
        for index, name in enumerate(real_frames()):
            frame = av.VideoFrame.from_image(Image.open(name).convert("RGB").resize((640, 360)))
            frame.pts, frame.time_base = index, Fraction(1, 30)
            container.mux(stream.encode(frame))
        wave = (0.3 * np.sin(np.arange(44100 * 2) * 440 * 2 * np.pi / 44100)).astype(np.float32)[
            None
        ]
        for start in range(0, wave.shape[1] - 1024, 1024):
            sound = av.AudioFrame.from_ndarray(
                wave[:, start : start + 1024], format="fltp", layout="mono"
            )
            sound.sample_rate, sound.pts = 44100, start
            container.mux(tone.encode(sound))
        container.mux([*tone.encode(None), *stream.encode(None)])
    return path


@pytest.mark.slow
def test_a_real_clip_keeps_frames_times_and_sound(real_clip):
    out = real_clip.with_name("out.mp4")
    restore_clip(real_clip, out, copying)
    assert (len(decoded(out)), times(out)) == (60, times(real_clip))
    assert packets(out, "audio") == packets(real_clip, "audio")


def shimmering(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """A stand-in that takes up to four levels off blocks of each frame, as a network does that sees one frame at a time."""
    return lambda rainy: (
        (rainy + rng.integers(-4, 5, (45, 80, 1)).repeat(8, 0).repeat(8, 1))
        .clip(0, 255)
        .astype(np.uint8)
    )


def steadied_flicker(frames: list[Path], rng: np.random.Generator) -> tuple[float, float]:
    shots = ((np.asarray(Image.open(name)), None) for name in frames)
    tally = VideoResult()
    deque(restore_frames(shots, shimmering(rng), FrameOptions(temporal=True), tally), maxlen=0)
    return tally.flicker


def test_of_a_place_that_stands_still_less_than_half_of_the_flicker_is_left(rng):
    before, after = steadied_flicker([real_frames()[0]] * 8, rng)
    assert after < before / 2


def test_a_moving_camera_is_left_alone(rng):
    before, after = steadied_flicker(real_frames()[:8], rng)
    assert after == pytest.approx(before, rel=0.02)


@pytest.mark.slow
def test_a_thousand_frames_do_not_grow_memory(make_clip):
    """57 kB for a frame: if they were held it would be 45 MB from the 200th on."""
    statm, used = Path("/proc/self/statm"), []
    if not statm.exists():
        pytest.skip("needs Linux's own account of memory")
    source = make_clip(frames=1000, size=(160, 120), options={"preset": "ultrafast"})
    count = iter(range(1000))

    def on_frame() -> None:
        if next(count) in {200, 990}:
            used.append(int(statm.read_text().split()[1]) * 4096)

    restore_clip(source, source.with_name("out.mp4"), copying, on_frame=on_frame)
    assert used[1] - used[0] < 16 * 2**20
