"""Damaged clips are restored up to the damage, or rejected with one sentence and no output."""

from __future__ import annotations

import re
import time
from functools import partial
from pathlib import Path

import av
import pytest
from helpers.clips import decode, names_in, read_packets, restore
from helpers.corruption import MAX_SECONDS, corrupt_header, flip_bytes, truncate

from derain.errors import DerainError, VideoError
from derain.video.clip_reader import ClipReader
from derain.video.clip_writer import ClipWriter
from derain.video.codecs import Encoding
from derain.video.output_streams import OutputFile, OutputPlan
from derain.video.timestamps import Clock

OPEN_FILES = Path("/proc/self/fd")


@pytest.mark.parametrize(
    "damage",
    [truncate, flip_bytes, partial(corrupt_header, head_bytes=800)],
    ids=["truncated", "flipped", "header"],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_corrupt_clip(suffix, damage, clip_cache, rng, tmp_path):
    data = clip_cache(suffix).read_bytes()
    for index in range(8):
        source, frames = tmp_path / f"{index}{suffix}", []
        source.write_bytes(damage(data, rng))
        start = time.perf_counter()
        try:
            target, _ = restore(source, f"{index}_out{suffix}", on_frame=partial(frames.append, 1))
        except DerainError as error:
            assert not frames, error
            assert re.fullmatch(r"[^\n]+: [^\n]+; [^\n]+", str(error)), error
            assert not source.with_name(f"{index}_out{suffix}").exists()
        else:
            assert decode(target)
        assert time.perf_counter() - start < MAX_SECONDS
    assert not list(tmp_path.glob(".derain-*"))


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".mp4", {"movflags": "+faststart"}), (".mkv", {}), (".avi", {})],
    ids=["mp4", "mkv", "avi"],
)
def test_truncated_clip_is_reported(suffix, options, make_clip):
    source: Path = make_clip(
        f"clip{suffix}", frames=120, size=(160, 120), container_options=options
    )
    assert restore(source, f"whole{suffix}")[1].problems == []
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    target, result = restore(source)
    (problem,) = result.problems
    assert re.fullmatch(rf"{source}: is truncated at \d\.\d s of [34]\.\d s; [^\n]+", problem)
    assert 10 < len(decode(target)) < 110


def test_clip_whose_decoder_cannot_be_opened_is_rejected(make_clip):
    """The decoder raises the same error for every packet, and for every flush."""
    source: Path = make_clip("clip.mkv", codec="ffv1", frames=3)
    with av.open(str(source)) as clip:
        settings = clip.streams.video[0].codec_context.extradata
    assert settings
    source.write_bytes(source.read_bytes().replace(settings, bytes(len(settings))))
    with pytest.raises(VideoError, match=r"none of its frames can be decoded"):
        restore(source)


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="no /proc lists open files")
def test_clip_with_an_unknown_codec_is_closed(make_clip):
    source: Path = make_clip("clip.mkv", frames=3, sound=None)
    source.write_bytes(source.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ"))
    with pytest.raises(VideoError, match=r"its video codec is unknown to FFmpeg") as caught:
        restore(source)
    assert source not in [link.resolve() for link in OPEN_FILES.iterdir()]
    assert caught.traceback  # keeps the reader, which would otherwise be closed with its last use


def test_decoder_that_fails_at_every_flush_ends(make_clip):
    class Failing:
        codec_context = type("Context", (), {"is_open": True})
        calls = 0

        def decode(self, _):
            self.calls += 1
            raise av.error.InvalidDataError(1, "damaged")

    with ClipReader(str(make_clip("clip.mp4", frames=3)), "clip.mp4") as reader:
        reader.stream = Failing()
        assert list(reader._decode_packet(av.Packet())) == []
    assert 1 < reader.stream.calls < 1000


def test_audio_packet_with_an_invalid_time_is_skipped(make_clip, tmp_path):
    path: Path = make_clip()
    with ClipReader(path, str(path)) as reader:
        encoding = Encoding("libx264", "yuv420p")
        writer = ClipWriter(tmp_path / "out.mp4", "out.mp4", reader, encoding)
        for frame in reader:
            writer.write(frame)
        late = av.Packet(b"sound")
        late.stream, late.pts, late.dts = reader.container.streams.audio[0], 0, 0
        writer.copy([late])
        writer.close()
    assert writer.rejected_packets == 1
    assert len(decode(tmp_path / "out.mp4")) == 20


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".flv"])
def test_audio_packet_that_the_container_rejects_is_skipped(suffix, make_clip):
    source = make_clip("clip.ts", frames=60, options={"bf": "0"})
    data = bytearray(source.read_bytes())
    audio_headers = [match.start() for match in re.finditer(rb"\xff\xf1", data)]
    data[audio_headers[10]] = 0
    source.write_bytes(data)
    target, result = restore(source, f"out{suffix}")
    assert result.problems == []
    assert re.fullmatch("[12] damaged packets were skipped", *result.notes)
    assert result.frame_count == len(decode(target)) == 60
    expected = len(read_packets(source, "audio"))
    assert len(read_packets(target, "audio")) == pytest.approx(expected, abs=2)


def test_rejected_frames_are_a_failure(make_clip, monkeypatch):
    source = make_clip(frames=60)
    mux_one = av.container.OutputContainer.mux_one

    class RejectingContainer:
        """A container that accepts three frames."""

        def __init__(self, container: av.container.OutputContainer) -> None:
            self.container, self.count = container, 0

        def mux_one(self, packet: av.Packet) -> None:
            self.count += packet.stream.type == "video"
            if packet.stream.type == "video" and self.count > 3:
                raise av.error.InvalidDataError(1094995529, "no")
            mux_one(self.container, packet)

        def close(self) -> None:
            self.container.close()

    class RejectingFile(OutputFile):
        counts_frames, stores_rotation = False, True

    def open_rejecting(plan: OutputPlan, path: Path, open_file=OutputPlan.open) -> OutputFile:
        output = open_file(plan, path)
        return RejectingFile(RejectingContainer(output.container), output.video, output.copies)

    monkeypatch.setattr(OutputPlan, "open", open_rejecting)
    monkeypatch.setattr(OutputPlan, "frame_grid", lambda plan, output: None)
    monkeypatch.setattr(OutputPlan, "audio_drift", lambda plan, output: None)
    message = r"FFmpeg reports an error .*; the frames before it are in .*out_partial\.mp4"
    with pytest.raises(VideoError, match=message):
        restore(source)
    assert len(decode(source.with_name("out_partial.mp4"))) == 3


def test_large_loss_of_audio_is_a_problem(make_clip, monkeypatch):
    # as in a format whose clock does not restart
    monkeypatch.setattr(Clock, "correct", lambda clock, packet: None)
    source = make_clip("clip.ts")
    source.write_bytes(source.read_bytes() * 2)
    (problem,) = restore(source, "out.mkv")[1].problems
    assert "packets of audio or subtitles are damaged or have invalid times" in problem
    assert problem.endswith("with `ffmpeg -i CLIP -c copy FIXED.mkv`")
    assert names_in(source.parent) == ["clip.ts", "out.mkv"]
