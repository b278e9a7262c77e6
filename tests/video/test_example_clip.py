"""Longer clips made from the example photos: memory, and a clip of two seconds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clips import decode, frame_times, read_packets, restore, write_clip
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples" / "rainy"


def pan(count: int) -> list[np.ndarray]:
    """Return frames of 640 x 360 pixels from a camera that pans over a rainy photo."""
    photo = Image.open(EXAMPLES / "coffee.jpg").convert("RGB").resize((960, 640))
    corners = [(5 * index, 2 * index) for index in range(count)]
    return [np.asarray(photo.crop((x, y, x + 640, y + 360))) for x, y in corners]


@pytest.mark.slow
def test_clip_of_two_seconds_keeps_frames_times_and_audio(tmp_path):
    source = tmp_path / "rain.mp4"
    tone = write_clip(tmp_path / "tone.mp4", frames=60)
    with av.open(str(tone)) as sound, av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        copy = container.add_stream_from_template(sound.streams.audio[0], opaque=True)
        for index, image in enumerate(pan(60)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 30)
            container.mux(stream.encode(frame))
        for packet in sound.demux(audio=0):
            if packet.size:
                packet.stream = copy
                container.mux(packet)
        container.mux(stream.encode(None))
    target, _ = restore(source)
    assert len(decode(target)) == 60
    assert frame_times(target) == frame_times(source)
    assert read_packets(target, "audio") == read_packets(source, "audio")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_a_clip(tmp_path):
    """A frame has 57 kB: 790 of them would add 45 MB."""
    statm, used = Path("/proc/self/statm"), []
    if not statm.exists():
        pytest.skip("needs /proc/self/statm")
    source = write_clip(
        tmp_path / "clip.mp4", frames=1000, size=(160, 120), options={"preset": "ultrafast"}
    )
    count = iter(range(1000))

    def on_frame() -> None:
        if next(count) in {200, 990}:
            used.append(int(statm.read_text().split()[1]) * 4096)

    restore(source, on_frame=on_frame)
    assert used[1] - used[0] < 16 * 2**20
