"""Damaged clips: restored as far as they go, or one sentence and nothing left behind."""

from __future__ import annotations

import re
import time
from pathlib import Path

import av
import numpy as np
import pytest

from derain.errors import DerainError
from derain.video.clip import restore_clip
from derain.video.codecs import Encoding
from derain.video.sink import Sink
from derain.video.source import Source

from .conftest import copying, decoded

SECONDS = 10


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(len(data) * rng.uniform(0.02, 0.98))]


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    damaged = np.frombuffer(data, np.uint8).copy()
    damaged[rng.integers(0, len(data), 10)] ^= rng.integers(1, 256, 10).astype(np.uint8)
    return damaged.tobytes()


def lying(data: bytes, rng: np.random.Generator) -> bytes:
    damaged, position = bytearray(data), int(rng.integers(0, 800))
    damaged[position : position + 4] = b"\x7f\xff\xff\xff"
    return bytes(damaged)


@pytest.mark.parametrize("damage", [cut, flipped, lying])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_damaged_clip(suffix, damage, make_clip, rng, tmp_path):
    data = make_clip(f"clip{suffix}").read_bytes()
    for index in range(8):
        source, target = tmp_path / f"{index}{suffix}", tmp_path / f"{index}_out{suffix}"
        source.write_bytes(damage(data, rng))
        start = time.perf_counter()
        try:
            restore_clip(source, target, copying)
        except DerainError as error:
            assert re.fullmatch(r"[^\n]+: [^\n]+; [^\n]+", str(error)), error
            assert not target.exists()
        else:
            assert decoded(target)
        assert time.perf_counter() - start < SECONDS
    assert not list(tmp_path.glob(".derain-*"))


def test_a_packet_of_sound_whose_time_makes_no_sense_is_passed_over(make_clip, tmp_path):
    path: Path = make_clip()
    with Source(str(path), str(path)) as source:
        sink = Sink(tmp_path / "out.mp4", "out.mp4", source, Encoding("libx264", "yuv420p"))
        for shot in source:
            sink.write(shot)
        late = av.Packet(b"sound")
        late.stream, late.pts, late.dts = source.container.streams.audio[0], 0, 0
        sink.copy([late])
        sink.close()
    assert (sink.refused, len(decoded(tmp_path / "out.mp4"))) == (1, 20)
