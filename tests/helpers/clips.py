"""Tiny clips, their contents, and a network that changes nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from derain.video.clip import restore_clip
from derain.video.frames import FrameOptions, VideoResult
from derain.video.scheduling import preserve_scheduling

TICK = Fraction(1, 15360)
B_FRAMES = {"bf": "2", "b-adapt": "0"}
SOUND_BIT_RATES = {"wmav2": 64_000, "g723_1": 6300}
"""For encoders that need a bit rate."""
QUARTER_TURN = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]
"""The display matrix of a clip that a phone filmed upright."""


def write_clip(
    path: Path,
    *,
    frames: int = 20,
    codec: str = "libx264",
    layout: str = "yuv420p",
    steps: tuple[int, ...] = (512,),
    tick: Fraction = TICK,
    sound: str | None = "aac",
    sound_rate: int = 44100,
    size: tuple[int, int] = (64, 48),
    options: dict[str, str] | None = None,
    matrix: list[int] | None = None,
    container_options: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    rate: Fraction | int = 30,
    **colours: int,
) -> Path:
    """Write a moving ramp, by default at 30 fps, and a tone; `steps` are durations in ticks."""
    with (
        preserve_scheduling(),  # libsvtav1
        av.open(f"file:{path}", "w", options=container_options or {}) as container,
    ):
        container.metadata.update(tags or {})
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, layout
        stream.codec_context.time_base = tick
        for key, value in colours.items():
            setattr(stream.codec_context, key, value)
        if matrix:
            stream.set_display_matrix(matrix)
        tone = container.add_stream(sound, rate=sound_rate, layout="mono") if sound else None
        if tone and sound in SOUND_BIT_RATES:
            tone.codec_context.bit_rate = SOUND_BIT_RATES[sound]
        pts = 0
        for index, step in zip(range(frames), itertools.cycle(steps), strict=False):
            image = ramp(index, size)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=layout)
            frame.pts, frame.time_base = pts, tick
            container.mux(stream.encode(frame))
            pts += step
        if tone:
            _add_tone(container, tone, rate=sound_rate, seconds=float(pts * tick))
        container.mux(stream.encode(None))
    return path


def ramp(index: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """Return frame `index` of a ramp that moves one pixel a frame, (H, W, 3) uint8."""
    width, height = size
    row = np.roll(40 + np.abs(np.linspace(-170, 170, width)), index)
    channels = [np.tile(row, (height, 1)) * share for share in (1, 0.8, 0.6)]
    return np.stack(channels, -1).astype(np.uint8)


def _add_tone(container: Any, tone: Any, *, rate: int, seconds: float) -> None:
    phase = np.arange(int(rate * seconds)) * 440 * 2 * np.pi / rate
    wave = (0.3 * np.sin(phase)).astype(np.float32)[None]
    for start in range(0, wave.shape[1] - 1024, 1024):
        samples = wave[:, start : start + 1024]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, start
        container.mux(tone.encode(frame))
    container.mux(tone.encode(None))


@contextmanager
def remuxing(target: Path, *sources: Path) -> Iterator[tuple[Any, dict[Any, Any], list[Any]]]:
    """Yield an output, the copy of each stream of the sources, and the opened sources."""
    files = [av.open(str(path)) for path in sources]
    with av.open(str(target), "w") as container:
        copies = {
            stream: container.add_stream_from_template(stream, opaque=True)
            for file in files
            for stream in file.streams
        }
        yield container, copies, files
    for file in files:
        file.close()


def copy_packets(container: Any, copies: dict[Any, Any], files: list[Any]) -> None:
    """Copy all packets of `files`."""
    for packet in (packet for file in files for packet in file.demux() if packet.size):
        packet.stream = copies[packet.stream]
        container.mux(packet)


def identity(rainy: np.ndarray) -> np.ndarray:
    """Return a frame unchanged; a stand-in for `Restorer`."""
    return rainy


def halve(rainy: np.ndarray) -> np.ndarray:
    """Return a frame of half the brightness; a stand-in for `Restorer`."""
    return rainy // 2


def restore(
    source: Path,
    name: str | None = None,
    network: Any = identity,
    options: FrameOptions | None = None,
    **settings: Any,
) -> tuple[Path, VideoResult]:
    """Restore a clip into `name` beside it, by default `out` with its suffix."""
    target = source.with_name(name or f"out{source.suffix}")
    return target, restore_clip(source, target, network, options, **settings)


def decode(path: Path) -> list[Any]:
    """Return the frames of the first video stream."""
    with av.open(f"file:{path}") as container:
        return list(container.decode(video=0))


def frame_times(path: Path) -> list[Fraction]:
    """Return the display times of the frames, in seconds."""
    return [frame.pts * frame.time_base for frame in decode(path)]


def read_packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """Return (time in seconds, data) of the packets of all streams of one kind."""
    with av.open(f"file:{path}") as container:
        packets = container.demux(*getattr(container.streams, kind))
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in packets
            if packet.dts is not None
        ]


def luma(frame: Any) -> np.ndarray:
    """Return the luma of a frame as stored, (H, W)."""
    plane = frame.planes[0]
    dtype = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
    rows = np.frombuffer(bytes(plane), dtype).reshape(plane.height, -1)
    return rows[:, : plane.width].astype(int)


def names_in(folder: Path) -> list[str]:
    """Return the sorted names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())
