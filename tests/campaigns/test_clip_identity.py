"""Identity of clips: a network that changes nothing returns what a clip contained.

Draws codecs, containers, sound, sizes, frame times, colours and rotations at random. Set
DERAIN_CAMPAIGN_S to run longer than the default, and DERAIN_CAMPAIGN_SEED for other clips:

    DERAIN_CAMPAIGN_S=3600 pytest -n0 -m slow tests/campaigns/test_clip_identity.py
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

av = pytest.importorskip("av")
from av.video.format import VideoFormat  # noqa: E402
from helpers.clips import QUARTER_TURN, decode, read_packets, restore, write_clip  # noqa: E402

from derain.suffixes import CLIP_SUFFIXES  # noqa: E402
from derain.video.codecs import ENCODERS, LOSSLESS_ENCODERS  # noqa: E402
from derain.video.colours import depth_bits  # noqa: E402
from derain.video.containers import (  # noqa: E402
    TRANSPORT_STREAMS,
    WITHOUT_COLOURS,
    WITHOUT_ORIGIN,
    can_hold,
)

SECONDS = float(os.environ.get("DERAIN_CAMPAIGN_S", "20"))
SEED = int(os.environ.get("DERAIN_CAMPAIGN_SEED", "0"))
LAYOUTS = {
    "h264": ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"],
    "hevc": ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv420p12le"],
    "av1": ["yuv420p", "yuv420p10le"],
    "vp8": ["yuv420p"],
    "vp9": ["yuv420p", "yuv444p"],
    "mjpeg": ["yuvj420p", "yuvj422p", "yuvj444p"],
    "ffv1": ["yuv420p", "yuv444p", "yuv420p10le", "gbrp16le", "bgr0", "gray"],
    "ffvhuff": ["yuv420p", "yuv422p10le", "rgb24"],
    "huffyuv": ["yuv422p", "rgb24"],
    "utvideo": ["yuv420p", "yuv444p", "gbrp"],
    "prores": ["yuv422p10le", "yuv444p10le"],
    "rawvideo": ["yuv420p", "yuv444p"],
}
SOUNDS = {
    ".avi": ["pcm_s16le", "libmp3lame", "mp2", "aac", "ac3", "adpcm_ms", "pcm_mulaw"],
    ".mkv": ["aac", "flac", "libopus", "libmp3lame", "pcm_s16le", "ac3"],
    ".mov": ["aac", "pcm_s16le", "pcm_alaw", "alac"],
    ".webm": ["libopus"],
    ".ts": ["aac", "mp2", "ac3", "libmp3lame"],
    ".flv": ["aac", "libmp3lame"],
    ".ogv": ["libopus", "flac"],
    ".wmv": ["wmav2"],
    ".mpg": ["mp2", "ac3"],
    ".3gp": ["aac"],
    ".mp4": ["aac", "ac3", "libmp3lame", "flac", "alac"],
}
EVEN_RATE = {".avi", ".mxf", ".y4m", ".ogv", ".mpg", ".mpeg"}
"""Containers without a time for each frame."""
MAX_ERROR = {"mjpeg": 6, "vp8": 6, "vp9": 6, "av1": 6}
"""Largest mean difference of a lossy codec, in levels of 255; 4 for the others."""
TIME_TOLERANCE_S = 2e-3


@dataclass(frozen=True)
class Case:
    """A clip to write, and the name of the result."""

    codec: str
    suffix: str
    target_suffix: str
    settings: dict[str, Any] = field(hash=False)


def draw(rng: random.Random) -> Case:
    codec = rng.choice(list(ENCODERS))
    suffixes = [suffix for suffix in sorted(CLIP_SUFFIXES) if can_hold(suffix, codec)]
    suffix = rng.choice(suffixes)
    is_even = suffix in EVEN_RATE
    step = rng.choice([(1,), (1, 2, 1, 4)]) if not is_even else (1,)
    rate = rng.choice([24, 25, 30])
    matrix = rng.choice([None, None, QUARTER_TURN]) if suffix in {".mp4", ".mov", ".mkv"} else None
    settings: dict[str, Any] = {
        "codec": ENCODERS[codec],
        "layout": rng.choice(LAYOUTS[codec]),
        "size": rng.choice([(64, 48), (66, 50), (128, 96)]),
        "frames": rng.choice([1, 2, 12]),
        "rate": rate,
        "tick": Fraction(1, rate),
        "steps": step,
        "matrix": matrix,
        "sound": rng.choice([None, *SOUNDS.get(suffix, [])]),
        "sound_rate": rng.choice([48000, 44100, 22050]),
    }
    if suffix in {".ts", ".flv", ".mpg"} and rng.random() < 0.3:
        settings["container_options"] = {"output_ts_offset": "36000"}
    if codec == "hevc":  # libx265 gives one or two frames invalid times
        settings["frames"] = max(settings["frames"], 3)
        settings["options"] = {"x265-params": "log-level=error"}
    if codec not in {"mjpeg", "rawvideo"} and rng.random() < 0.5:
        settings |= {"color_range": rng.choice([1, 2]), "colorspace": rng.choice([1, 5, 6])}
    if settings["sound"]:  # one frame can be too short for a packet of audio
        settings["frames"] = max(settings["frames"], 2)
    if settings["sound"] == "libopus":
        settings["sound_rate"] = 48000
    target = rng.choice([suffix, rng.choice(suffixes), rng.choice(sorted(CLIP_SUFFIXES))])
    if target == ".mxf":  # other rates are rejected
        settings["steps"] = (1,)
    if TRANSPORT_STREAMS & {suffix, target}:  # FFmpeg cannot probe a shorter file
        settings["frames"] = 12
    return Case(codec, suffix, target, settings)


def write(case: Case, folder: Path) -> Path | None:
    """Write a clip; None if this FFmpeg cannot."""
    try:
        path = write_clip(folder / f"clip{case.suffix}", **case.settings)
        return path if decode(path) else None
    except (av.error.FFmpegError, ValueError, OSError):
        return None


def describe_differences(source: Path, target: Path, notes: list[str], case: Case) -> list[str]:
    """Return everything in which the result differs from the clip, apart from reported losses."""
    with av.open(str(source)) as before, av.open(str(target)) as after:
        contexts = [clip.streams.video[0].codec_context for clip in (before, after)]
        codecs = [context.codec.canonical_name for context in contexts]
        bits = [depth_bits(VideoFormat(context.pix_fmt)) for context in contexts]
        starts = [(clip.start_time or 0) / av.time_base for clip in (before, after)]
    first, second = decode(source), decode(target)
    differences = []
    if codecs[0] != codecs[1] and not any("does not support" in note for note in notes):
        differences.append(f"codec {codecs}")
    if bits[1] < bits[0] and not any("bits" in note for note in notes):
        differences.append(f"bits {bits}")
    if starts[0] > 30_000 > starts[1] and case.target_suffix in WITHOUT_ORIGIN:
        differences.append("the clock is lost")
    if starts[1] > 30_000 and case.target_suffix not in WITHOUT_ORIGIN:
        differences.append(f"begins at {starts[1]:.0f} s")
    if len(first) != len(second):
        return [*differences, f"{len(first)} frames became {len(second)}"]
    differences += _differences_of_times(first, second, notes, case)
    differences += _differences_of_pictures(first, second, case)
    if case.settings["sound"] and not any("audio" in note for note in notes):
        differences += _differences_of_sound(source, target, case)
    return differences


def _differences_of_times(first, second, notes, case: Case) -> list[str]:
    if any("frame times" in note for note in notes) or case.suffix in EVEN_RATE:
        return []
    if case.target_suffix in EVEN_RATE:
        return []
    times = [
        [float((frame.pts or 0) * frame.time_base) for frame in frames]
        for frames in (first, second)
    ]
    relative = [[t - own[0] for t in own] for own in times]
    error = max(abs(a - b) for a, b in zip(*relative, strict=True))
    return [f"times differ by {error:.4f} s"] if error > TIME_TOLERANCE_S else []


def _differences_of_pictures(first, second, case: Case) -> list[str]:
    matrices = [frames[0].side_data.get("DISPLAYMATRIX") for frames in (first, second)]
    differences = []
    if matrices[1] is None and matrices[0] is not None:
        if case.target_suffix in {".mp4", ".mov", ".mkv", ".m4v"}:
            differences.append("the rotation is lost")
        return differences
    sizes = [(frames[0].width, frames[0].height) for frames in (first, second)]
    if sizes[0] != sizes[1]:
        return [f"size {sizes}"]
    is_lossless = (
        ENCODERS[case.codec] in LOSSLESS_ENCODERS
        and can_hold(case.target_suffix, case.codec)
        and case.target_suffix not in WITHOUT_COLOURS
    )
    for index, (before, after) in enumerate(zip(first, second, strict=True)):
        pixels = [frame.to_ndarray(format="rgb24").astype(int) for frame in (before, after)]
        error = abs(pixels[0] - pixels[1]).mean()
        if error > (1 if is_lossless else MAX_ERROR.get(case.codec, 4)):
            return [*differences, f"frame {index} differs by {error:.1f} levels on average"]
    return differences


def _differences_of_sound(source: Path, target: Path, case: Case) -> list[str]:
    before, after = (
        [packet for packet in read_packets(path, "audio") if packet[1]] for path in (source, target)
    )
    length = min(len(before), len(after))
    # PCM is split into other packets; .mxf stores as many samples as its frames last
    is_continuous = case.target_suffix == ".mxf" or case.settings["sound"].startswith("pcm")
    if is_continuous:
        first, second = (b"".join(data for _, data in packets) for packets in (before, after))
        is_equal = first[: len(second)] == second[: len(first)]
    else:  # transport streams add a header to each packet of AAC
        pairs = [(before[i][1], after[i][1]) for i in range(length)]
        is_equal = len(before) == len(after) and all(
            one.endswith(two) or two.endswith(one) for one, two in pairs
        )
    if not is_equal:
        return [f"sound: {len(before)} packets became {len(after)} others"]
    lengths = [
        float(packets[length - 1][0] - packets[0][0]) if length else 0
        for packets in (before, after)
    ]
    if not is_continuous and abs(lengths[0] - lengths[1]) > 0.05:
        return [f"sound: {lengths[0]:.2f} s became {lengths[1]:.2f} s"]
    return []


@pytest.mark.slow
def test_network_that_changes_nothing_returns_the_clip(tmp_path):
    rng, failures, counts = random.Random(SEED), [], Counter()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        case = draw(rng)
        folder = tmp_path / str(sum(counts.values()))
        folder.mkdir()
        source = write(case, folder)
        if source is None:
            counts["not written"] += 1
            continue
        try:
            target, result = restore(source, f"out{case.target_suffix}")
            differences = [
                *describe_differences(source, target, result.notes, case),
                *result.problems,
            ]
        except Exception as error:
            differences = [f"{type(error).__name__}: {error}"]
        counts["restored"] += 1
        if differences:
            failures.append(f"{case}: {differences}")
            print(failures[-1])
    print(f"seed {SEED}: {dict(counts)}, {len(failures)} differ")
    assert counts["restored"] > 0
    assert failures == []
