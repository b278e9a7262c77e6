"""Damaged clips: restored as far as they go, or one sentence and nothing left behind."""

from __future__ import annotations

import re
import time
from functools import partial
from pathlib import Path

import av
import pytest
from helpers.corruption import SECONDS, cut, flipped, lying

from derain.errors import DerainError, VideoError
from derain.video.clip import restore_clip
from derain.video.clip_reader import ClipReader
from derain.video.clip_writer import ClipWriter
from derain.video.codecs import Encoding
from derain.video.output_streams import OutputPlan
from derain.video.timestamps import ClockRestarts

from .conftest import copying, decoded, packets


class Count:
    """How often it was called."""

    times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.mark.parametrize(
    "damage", [cut, flipped, partial(lying, head_bytes=800)], ids=["cut", "flipped", "lying"]
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_damaged_clip(suffix, damage, make_clip, rng, tmp_path):
    data = make_clip(f"clip{suffix}").read_bytes()
    for index in range(8):
        source, target = tmp_path / f"{index}{suffix}", tmp_path / f"{index}_out{suffix}"
        source.write_bytes(damage(data, rng))
        start, restored = time.perf_counter(), Count()
        try:
            restore_clip(source, target, copying, on_frame=restored)
        except DerainError as error:
            assert not restored.times, error
            assert re.fullmatch(r"[^\n]+: [^\n]+; [^\n]+", str(error)), error
            assert not target.exists()
        else:
            assert decoded(target)
        assert time.perf_counter() - start < SECONDS
    assert not list(tmp_path.glob(".derain-*"))


@pytest.mark.parametrize(
    ("suffix", "options"), [(".mp4", {"movflags": "+faststart"}), (".mkv", {})], ids=["mp4", "mkv"]
)
def test_a_clip_that_breaks_off_is_restored_so_far_and_told_of(
    suffix, options, make_clip, tmp_path
):
    path: Path = make_clip(f"clip{suffix}", frames=120, size=(320, 240), container_options=options)
    assert restore_clip(path, tmp_path / f"whole{suffix}", copying).problems == []
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (problem,) = restore_clip(path, tmp_path / f"part{suffix}", copying).problems
    assert re.fullmatch(rf"{path}: breaks off at \d\.\d s of [34]\.\d; [^\n]+", problem)
    assert 10 < len(decoded(tmp_path / f"part{suffix}")) < 110


def test_a_packet_of_sound_whose_time_makes_no_sense_is_passed_over(make_clip, tmp_path):
    path: Path = make_clip()
    with ClipReader(path, str(path)) as source:
        sink = ClipWriter(tmp_path / "out.mp4", "out.mp4", source, Encoding("libx264", "yuv420p"))
        for shot in source:
            sink.write(shot)
        late = av.Packet(b"sound")
        late.stream, late.pts, late.dts = source.container.streams.audio[0], 0, 0
        sink.copy([late])
        sink.close()
    assert (sink.refused, len(decoded(tmp_path / "out.mp4"))) == (1, 20)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".flv"])
def test_a_packet_of_sound_that_the_format_refuses_is_passed_over(suffix, make_clip):
    source = make_clip("clip.ts", frames=60, options={"bf": "0"})
    data = bytearray(source.read_bytes())
    heads = [found.start() for found in re.finditer(rb"\xff\xf1", data)]
    data[heads[10]] = 0
    source.write_bytes(data)
    tally = restore_clip(source, source.with_name(f"out{suffix}"), copying)
    assert (tally.frames, tally.problems) == (60, [])
    assert re.fullmatch("[12] damaged packets were passed over", *tally.notes)
    assert len(decoded(source.with_name(f"out{suffix}"))) == 60
    assert len(packets(source.with_name(f"out{suffix}"), "audio")) == pytest.approx(
        len(packets(source, "audio")), abs=2
    )


def test_frames_that_a_format_refuses_are_a_failure(make_clip, monkeypatch):
    source = make_clip(frames=60)
    real = av.container.OutputContainer.mux_one

    class Refusing:
        """A container that takes no more than three frames."""

        def __init__(self, container: av.container.OutputContainer) -> None:
            self.container, self.taken = container, 0

        def mux_one(self, packet: av.Packet) -> None:
            self.taken += packet.stream.type == "video"
            if packet.stream.type == "video" and self.taken > 3:
                raise av.error.InvalidDataError(1094995529, "no")
            real(self.container, packet)

        def close(self) -> None:
            self.container.close()

    def made(draft: OutputPlan, path: Path, begin=OutputPlan.open):
        target = begin(draft, path)
        target.container = Refusing(target.container)
        target.__class__ = type(
            "Target", (type(target),), {"is_numbered": False, "is_turned": True}
        )
        return target

    monkeypatch.setattr(OutputPlan, "open", made)
    monkeypatch.setattr(OutputPlan, "grid", lambda draft, target: None)
    monkeypatch.setattr(OutputPlan, "drift", lambda draft, target: None)
    with pytest.raises(
        VideoError, match=r"FFmpeg refuses it .*; what there is of it is in .*out_partial\.mp4"
    ):
        restore_clip(source, source.with_name("out.mp4"), copying)
    assert len(decoded(source.with_name("out_partial.mp4"))) == 3


def test_sound_that_is_lost_in_bulk_is_a_problem(make_clip, monkeypatch):
    def without_seams(seams: ClockRestarts, packet: object) -> None:
        """As if the clip were of a format whose clock does not begin anew."""

    monkeypatch.setattr(ClockRestarts, "close", without_seams)
    source = make_clip("clip.ts")
    source.write_bytes(source.read_bytes() * 2)
    (problem,) = restore_clip(source, source.with_name("out.mkv"), copying).problems
    assert (
        "packets of sound or subtitles are damaged, or their times make no sense: they are left out; mend them"
        in problem
    )
