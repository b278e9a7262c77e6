"""Streams and tags other than the video, in each container."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from helpers.clips import (
    copy_packets,
    decode,
    frame_times,
    names_in,
    ramp,
    read_packets,
    remuxing,
    restore,
)

from derain.errors import VideoError
from derain.video.clip_writer import ClipWriter
from derain.video.errors import ffmpeg_errors
from derain.video.metadata import stream_tags

CHAPTER = {
    "id": 1,
    "start": 0,
    "end": 300,
    "time_base": Fraction(1, 1000),
    "metadata": {"title": "one"},
}
KLV = b"\x06\x0e+\x34" + bytes(20)
COVER_DISPOSITION = 1024
TIMECODE = "01:02:03:04"


@pytest.fixture
def remux(clip_cache, tmp_path: Path) -> Callable[..., Path]:
    """`remux(name, add)`: the usual clip, after `add(container)` has added something to it."""

    def make(name: str, add: Callable[..., object]) -> Path:
        with remuxing(tmp_path / name, clip_cache(".mp4")) as (container, copies, files):
            packets = add(container) or []
            container.start_encoding()
            for packet in packets:
                container.mux(packet)
            copy_packets(container, copies, files)
        return tmp_path / name

    return make


def make_packet(stream: object, data: bytes, tick: Fraction) -> av.Packet:
    packet = av.Packet(data)
    packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, tick
    return packet


def add_klv(container: object) -> list[av.Packet]:
    return [make_packet(container.add_data_stream("klv"), KLV, Fraction(1, 90_000))]


def add_font(container: object) -> None:
    container.add_attachment("font.ttf", "font/ttf", b"font")


def tiny_jpeg() -> bytes:
    context = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt = 16, 16, "yuvj420p"
    context.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(ramp(0, (16, 16)), format="rgb24")
    frame = frame.reformat(format="yuvj420p")
    return b"".join(map(bytes, [*context.encode(frame), *context.encode(None)]))


def add_cover(container: object) -> None:
    container.add_attachment("front.jpg", "image/jpeg", tiny_jpeg())


def stream_types(path: Path) -> list[str]:
    with av.open(str(path)) as clip:
        return [stream.type for stream in clip.streams]


@pytest.mark.parametrize("target", ["out.mp4", "out.mov", "out.mkv"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_chapters_of_a_movie(suffix, target, remux):
    source = remux(f"clip{suffix}", lambda container: container.set_chapters([CHAPTER]))
    path, result = restore(source, target)
    assert result.notes == []
    with av.open(str(path)) as after:
        assert [chapter["metadata"]["title"] for chapter in after.chapters()] == ["one"]


@pytest.mark.parametrize("target", ["out.mp4", "out.mov", "out.mkv"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_time_code_of_a_movie(suffix, target, make_clip):
    path, result = restore(make_clip(f"clip{suffix}", tags={"timecode": TIMECODE}), target)
    assert result.notes == []
    with av.open(str(path)) as after:
        tags = {key.lower(): value for key, value in after.streams.video[0].metadata.items()}
        assert tags["timecode"] == TIMECODE


def test_unsupported_time_code_is_reported(make_clip):
    source = make_clip("timed.mov", tags={"timecode": TIMECODE})
    assert restore(source, "out.ts")[1].notes == ["its time code is dropped"]


@pytest.mark.parametrize(
    ("name", "add", "target", "kind"),
    [
        ("clip.ts", add_klv, "out.mp4", "data"),
        ("clip.ts", add_klv, "out.mkv", "data"),
        ("clip.mkv", add_font, "out.mp4", "attachment"),
    ],
)
def test_unsupported_streams_are_reported(name, add, target, kind, remux):
    path, result = restore(remux(name, add), target)
    (note,) = result.notes
    assert note.startswith(f"its {kind} stream 2 is dropped: {path.suffix} does not support ")
    assert stream_types(path) == ["video", "audio"]


@pytest.mark.parametrize(
    ("name", "add", "kind"), [("clip.ts", add_klv, "data"), ("clip.mkv", add_font, "attachment")]
)
def test_supported_streams_are_kept(name, add, kind, remux):
    path, result = restore(remux(name, add))
    assert result.notes == []
    assert stream_types(path) == ["video", "audio", kind]


@pytest.mark.parametrize("target", ["out.mkv", "out.mp4"])
def test_cover(target, remux):
    path, result = restore(remux("clip.mkv", add_cover), target)
    assert result.notes == []
    with av.open(str(path)) as after:
        video, cover = after.streams.video
        assert not video.disposition & COVER_DISPOSITION
        assert cover.disposition & COVER_DISPOSITION
        assert [bytes(packet) for packet in after.demux(cover) if packet.size] == [tiny_jpeg()]
        assert target == "out.mp4" or cover.metadata["filename"] == "front.jpg"


@pytest.mark.parametrize("target", ["out.mov", "out.avi"])
def test_unsupported_cover_is_reported(target, remux):
    path, result = restore(remux("clip.mkv", add_cover), target)
    note = f"its cover is dropped: {path.suffix} does not support cover pictures"
    assert note in result.notes
    assert stream_types(path) == ["video", "audio"]


def test_audio_without_a_layout_in_mp4(make_clip):
    source = make_clip(
        "clip.avi", codec="mpeg4", tick=Fraction(1, 30), steps=(1,), sound="pcm_s16le"
    )
    path, result = restore(source, "out.mp4")
    assert result.notes == []
    with av.open(str(path)) as after:
        assert after.streams.audio[0].codec_context.name == "pcm_s16le"


HEVC = {"codec": "libx265", "options": {"x265-params": "log-level=error"}, "frames": 5}


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
def test_hevc_has_the_name_that_apple_supports(suffix, make_clip):
    path, _ = restore(make_clip("clip.mkv", **HEVC), f"out{suffix}")
    with av.open(str(path)) as after:
        assert after.streams.video[0].codec_context.codec_tag == "hvc1"
    assert len(decode(path)) == 5


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("target", ["out.mp4", "out.mov", "out.mkv"])
def test_hevc_of_a_few_frames(target, frames, make_clip):
    source = make_clip("clip.mkv", frames=frames, layout="yuv420p10le")
    path, result = restore(source, target, codec="libx265")
    assert result.notes == []
    assert frame_times(path) == frame_times(source)


def test_hevc_in_3gp_becomes_h264(make_clip):
    source = make_clip("clip.mp4", **HEVC)
    path, result = restore(source, "out.3gp")
    assert result.notes == [".3gp does not support hevc: written with libx264"]
    assert frame_times(path) == frame_times(source)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
@pytest.mark.parametrize("sound", ["aac", None])
def test_start_time_of_a_movie(sound, suffix, make_clip):
    source = make_clip("clip.mkv", tick=Fraction(1, 1000), steps=(33,), sound=sound)
    late = source.with_name("late.mkv")
    with remuxing(late, source) as (container, copies, files):
        container.container_options["output_ts_offset"] = "2"
        copy_packets(container, copies, files)
    path, _ = restore(late, f"out{suffix}")
    assert frame_times(path) == frame_times(late)
    assert frame_times(late)[0] >= 2


@pytest.mark.parametrize("name", ["12:30:15.mp4", "concat:x.mp4", "a:b/clip.mp4"])
def test_names_with_colons(name, make_clip, tmp_path, monkeypatch):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    make_clip().rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    restore(Path(name), "2:out.mp4")
    assert len(decode((tmp_path / name).with_stem("2:out"))) == 20


def test_error_starts_with_the_name_as_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VideoError, match=r"^a:b\.mp4: no such file"):
        restore(Path("a:b.mp4"), "out.mp4")


def test_failure_while_finishing_keeps_the_frames(make_clip, monkeypatch):
    def fail(writer: ClipWriter, close=ClipWriter.close) -> None:
        close(writer)
        raise VideoError("out.mp4: the disk is full")

    monkeypatch.setattr(ClipWriter, "close", fail)
    source = make_clip()
    message = r"^out\.mp4: the disk is full; the frames before it are in .*out_partial\.mp4$"
    with pytest.raises(VideoError, match=message):
        restore(source)
    assert names_in(source.parent) == ["clip.mp4", "out_partial.mp4"]
    assert decode(source.with_name("out_partial.mp4"))


def test_unplayable_output_is_removed(make_clip, monkeypatch):
    def fail(writer: ClipWriter) -> None:
        raise VideoError("out.mp4: the disk is full")  # before the index of the file is written

    monkeypatch.setattr(ClipWriter, "close", fail)
    monkeypatch.setattr(ClipWriter, "abort", lambda writer: None)
    source = make_clip()
    with pytest.raises(VideoError, match=r"^out\.mp4: the disk is full$"):
        restore(source)
    assert names_in(source.parent) == ["clip.mp4"]


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EMFILE, "too many files are open; raise the limit"),
        (errno.EPERM, "FFmpeg reports an error"),  # encoders without their device
        (errno.EACCES, "permission denied"),
        (errno.EIO, "FFmpeg reports an error"),  # its own streams may end like this
    ],
)
def test_message_of_a_system_error_in_ffmpeg(number, problem):
    with pytest.raises(VideoError, match=rf"^out\.mkv: {problem}"), ffmpeg_errors("out.mkv", ""):
        av.error.err_check(-number)


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (errno.EIO, r"cannot be written \(Input/output error\); write to another folder"),
        (errno.EMFILE, "too many files are open; raise the limit"),
        (errno.EPERM, "permission denied"),
    ],
)
def test_other_system_errors_do_not_blame_ffmpeg(number, problem):
    with pytest.raises(VideoError, match=rf"^out\.mkv: {problem}"), ffmpeg_errors("out.mkv", ""):
        raise OSError(number, os.strerror(number))


def test_times_of_mpeg_2_with_a_variable_rate(make_clip):
    source = make_clip("clip.mkv", steps=(512, 700, 300))
    target, _ = restore(source, codec="mpeg2video")
    before, after = ([float(time) for time in frame_times(path)] for path in (source, target))
    assert after == pytest.approx(before, abs=1e-3)


def test_mpeg_2_keeps_frames_between_two_ticks(make_clip):
    source = make_clip("clip.mkv", steps=(160, 160, 3000))
    target, result = restore(source, codec="mpeg2video")
    assert result.frame_count == len(decode(target)) == 20


INTERLACED = {"flags": "+ilme+ildct"}
MPEG_2 = {"codec": "mpeg2video", "tick": Fraction(1, 30), "steps": (1,), "sound": None}


def test_interlaced_clip_is_reported(make_clip):
    (note,) = restore(make_clip("clip.mkv", options=INTERLACED, **MPEG_2))[1].notes
    assert note.startswith("it is interlaced and is written as progressive; ")


def test_clip_that_becomes_interlaced_is_reported(make_clip):
    source = make_clip("clip.ts", **MPEG_2)
    interlaced = make_clip("interlaced.ts", options=INTERLACED, **MPEG_2)
    source.write_bytes(source.read_bytes() + interlaced.read_bytes())
    notes = restore(source, "out.mkv")[1].notes
    assert any(note.startswith("it is interlaced and is written as") for note in notes)


def test_dropped_3d_markers_are_reported(make_clip):
    source = make_clip("clip.mkv", options={"x264-params": "frame-packing=3"})
    notes = restore(source)[1].notes
    assert notes == ["its 3D markers (stereo frame packing) are dropped"]


PHONE = {
    "title": "rain",
    "make": "Example",
    "com.apple.quicktime.location.ISO6709": "+37+122/",
    "com.android.version": "14",
}


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.m4v", "clip.mkv"])
def test_tags_of_phones(name, make_clip):
    options = {"movflags": "+use_metadata_tags"} if name != "clip.mkv" else {}
    path, result = restore(make_clip(name, tags=PHONE, container_options=options))
    assert result.notes == []
    with av.open(str(path)) as after:
        tags = {key.lower(): value for key, value in after.metadata.items()}
    assert tags.items() >= {key.lower(): value for key, value in PHONE.items()}.items()


def test_standard_tags_of_a_movie_have_the_standard_form(make_clip):
    path, _ = restore(make_clip(tags={"title": "rain"}))
    assert b"\xa9nam" in path.read_bytes()


def test_unsupported_tags_are_reported(make_clip):
    source = make_clip("clip.mkv", tags={"title": "rain", "make": "Example"}, sound=None)
    notes = restore(source, "out.avi")[1].notes
    assert notes == ["its tags MAKE are dropped: .avi cannot store them"]


def test_titles_of_streams(remux):
    def add_titles(container: object) -> None:
        for stream in container.streams:
            stream.metadata["title"] = f"title {stream.index}"

    path, _ = restore(remux("clip.mp4", add_titles), "out.mp4")
    with av.open(str(path)) as after:
        assert [stream.metadata["name"] for stream in after.streams] == ["title 0", "title 1"]


def test_statistics_of_the_source_video_are_dropped(remux):
    tags = {
        "BPS-eng": "1",
        "NUMBER_OF_FRAMES-eng": "1",
        "_STATISTICS_TAGS-eng": "BPS",
        "title": "front",
    }

    def add_tags(container: object) -> None:
        for stream in container.streams:
            stream.metadata.update(tags)

    path, _ = restore(remux("clip.mkv", add_tags))
    with av.open(str(path)) as after:
        video, audio = after.streams
        assert video.metadata.keys() & tags.keys() == {"title"}
        assert audio.metadata.keys() >= tags.keys()


def test_only_a_copied_stream_announces_its_transparency():
    tags = {"alpha_mode": "1", "title": "logo"}
    assert stream_tags(tags, is_reencoded=True) == {"title": "logo"}
    assert stream_tags(tags, is_reencoded=False) == tags


def test_vp8_quality(make_clip):
    source = make_clip(
        "clip.webm",
        codec="libvpx",
        sound=None,
        tick=Fraction(1, 1000),
        steps=(33,),
        options={"b": "20M", "crf": "4"},
    )
    best, smallest = (
        restore(source, f"{crf}.webm", crf=crf)[0].stat().st_size for crf in (4.0, 60.0)
    )
    assert best > 1.5 * smallest


@pytest.mark.parametrize("sound", ["pcm_s16le", "flac"])
def test_audio_that_a_transport_stream_cannot_identify_is_reported(sound, make_clip):
    path, result = restore(make_clip("clip.mkv", sound=sound), "out.ts")
    assert result.notes == [f"its audio stream 1 is dropped: .ts does not support {sound}"]
    assert stream_types(path) == ["video"]


def test_ac3_in_avi_stays_in_sync(make_clip):
    source = make_clip(
        "clip.avi", codec="mpeg4", tick=Fraction(1, 30), steps=(1,), frames=60, sound="ac3"
    )
    target, _ = restore(source)
    before, after = (read_packets(path, "audio") for path in (source, target))
    assert [data for _, data in before] == [data for _, data in after]
    assert float(after[-1][0]) == pytest.approx(float(before[-1][0]), abs=0.01)


def test_second_video_stream_is_reported(make_clip):
    source = make_clip("one.mkv")
    both = source.with_name("both.mkv")
    with av.open(str(source)) as clip, av.open(str(both), "w") as container:
        copies = [
            container.add_stream_from_template(clip.streams.video[0], opaque=True) for _ in range(2)
        ]
        for packet in clip.demux(video=0):
            for stream in copies if packet.size else []:
                copy = make_packet(stream, bytes(packet), packet.time_base)
                copy.pts, copy.dts, copy.is_keyframe = packet.pts, packet.dts, packet.is_keyframe
                container.mux(copy)
    notes = restore(both, "out.mkv")[1].notes
    assert notes == ["its video stream 1 is copied unrestored; only the first is restored"]


def test_change_of_the_frame_size_is_reported(make_clip):
    source = make_clip("clip.ts", sound=None)
    larger = make_clip("larger.ts", sound=None, size=(96, 64))
    source.write_bytes(source.read_bytes() + larger.read_bytes())
    target, result = restore(source, "out.mp4")
    assert result.notes == ["its frames change their size; all are written at 64 x 48"]
    assert {(frame.width, frame.height) for frame in decode(target)} == {(64, 48)}
