"""What of a clip, beside its pictures, goes into which format."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest

from derain.errors import VideoError
from derain.video.clip import restore_clip
from derain.video.clip_writer import ClipWriter
from derain.video.errors import ffmpeg_errors

from .conftest import copying, decoded, packets, ramp, times

CHAPTER = {
    "id": 1,
    "start": 0,
    "end": 300,
    "time_base": Fraction(1, 1000),
    "metadata": {"title": "one"},
}
KLV = b"\x06\x0e+\x34" + bytes(20)


@pytest.fixture
def remux(make_clip, tmp_path: Path) -> Callable[..., Path]:
    """`remux(name, more)`: the usual clip in another file, to whose container `more(container)` adds something."""

    def made(name: str, more: Callable[..., object]) -> Path:
        with (
            av.open(str(make_clip("clip.mp4"))) as clip,
            av.open(str(tmp_path / name), "w") as container,
        ):
            copies = {
                stream.index: container.add_stream_from_template(stream, opaque=True)
                for stream in clip.streams
            }
            packets = more(container) or []
            container.start_encoding()
            for packet in packets:
                container.mux(packet)
            for packet in clip.demux():
                if packet.size:
                    packet.stream = copies[packet.stream.index]
                    container.mux(packet)
        return tmp_path / name

    return made


def packet(stream: object, data: bytes, tick: Fraction) -> av.Packet:
    made = av.Packet(data)
    made.stream, made.pts, made.dts, made.time_base = stream, 0, 0, tick
    return made


def klv(container: object) -> list[av.Packet]:
    return [packet(container.add_data_stream("klv"), KLV, Fraction(1, 90_000))]


def font(container: object) -> None:
    container.add_attachment("font.ttf", "font/ttf", b"font")


def picture() -> bytes:
    """A tiny JPEG."""
    context = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt, context.time_base = (
        16,
        16,
        "yuvj420p",
        Fraction(1, 25),
    )
    frame = av.VideoFrame.from_ndarray(ramp(0, (16, 16)), format="rgb24").reformat(
        format="yuvj420p"
    )
    return b"".join(bytes(made) for made in [*context.encode(frame), *context.encode(None)])


def cover(container: object) -> None:
    container.add_attachment("front.jpg", "image/jpeg", picture())


@pytest.mark.parametrize("target", ["out.mp4", "out.mov", "out.mkv"])
@pytest.mark.parametrize("name", ["told.mp4", "told.mov"])
def test_chapters_of_a_movie_are_kept(name, target, remux):
    source = remux(name, lambda container: container.set_chapters([CHAPTER]))
    assert restore_clip(source, source.with_name(target), copying).notes == []
    with av.open(str(source.with_name(target))) as after:
        assert [found["metadata"]["title"] for found in after.chapters()] == ["one"]


TIMED = {"timecode": "01:02:03:04"}


@pytest.mark.parametrize("target", ["out.mp4", "out.mov", "out.mkv"])
@pytest.mark.parametrize("name", ["timed.mp4", "timed.mov"])
def test_the_time_code_is_kept(name, target, make_clip):
    source = make_clip(name, tags=TIMED)
    assert restore_clip(source, source.with_name(target), copying).notes == []
    with av.open(str(source.with_name(target))) as after:
        tags = {key.lower(): value for key, value in after.streams.video[0].metadata.items()}
        assert tags["timecode"] == TIMED["timecode"]


def test_a_time_code_that_the_format_does_not_hold_is_told(make_clip):
    source = make_clip("timed.mov", tags=TIMED)
    assert restore_clip(source, source.with_name("out.ts"), copying).notes == [
        "its time code is left out"
    ]


@pytest.mark.parametrize(
    ("name", "more", "target", "kind"),
    [
        ("told.ts", klv, "out.mp4", "data"),
        ("told.ts", klv, "out.mkv", "data"),
        ("told.mkv", font, "out.mp4", "attachment"),
    ],
)
def test_streams_that_the_format_does_not_hold_are_left_out_and_told(
    name, more, target, kind, remux
):
    source = remux(name, more)
    (note,) = restore_clip(source, source.with_name(target), copying).notes
    assert note == f"its {kind} stream 2 is left out: a {Path(target).suffix} does not hold it"
    with av.open(str(source.with_name(target))) as after:
        assert [stream.type for stream in after.streams] == ["video", "audio"]


@pytest.mark.parametrize(
    ("name", "more", "kind"), [("told.ts", klv, "data"), ("told.mkv", font, "attachment")]
)
def test_streams_that_the_format_holds_are_kept(name, more, kind, remux):
    source = remux(name, more)
    out = source.with_stem("out")
    assert restore_clip(source, out, copying).notes == []
    with av.open(str(out)) as after:
        assert [stream.type for stream in after.streams] == ["video", "audio", kind]


@pytest.mark.parametrize("target", ["out.mkv", "out.mp4"])
def test_the_cover_stays_a_cover(target, remux):
    source = remux("told.mkv", cover)
    assert restore_clip(source, source.with_name(target), copying).notes == []
    with av.open(str(source.with_name(target))) as after:
        moving, still = after.streams.video
        assert (bool(moving.disposition & 1024), bool(still.disposition & 1024)) == (False, True)
        assert [bytes(found) for found in after.demux(still) if found.size] == [picture()]


def test_a_cover_keeps_its_name(remux):
    source = remux("told.mkv", cover)
    restore_clip(source, source.with_name("out.mkv"), copying)
    with av.open(str(source.with_name("out.mkv"))) as after:
        assert after.streams.video[1].metadata["filename"] == "front.jpg"


def test_sound_that_does_not_name_its_channels_goes_into_mp4(make_clip):
    source = make_clip(
        "clip.avi", codec="mpeg4", tick=Fraction(1, 30), steps=(1,), sound="pcm_s16le"
    )
    assert restore_clip(source, source.with_name("out.mp4"), copying).notes == []
    with av.open(str(source.with_name("out.mp4"))) as after:
        assert after.streams.audio[0].codec_context.name == "pcm_s16le"


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
def test_apple_plays_the_hevc(suffix, make_clip):
    source = make_clip("clip.mkv", codec="libx265", options={"x265-params": "log-level=error"})
    restore_clip(source, source.with_name(f"out{suffix}"), copying)
    with av.open(str(source.with_name(f"out{suffix}"))) as after:
        assert after.streams.video[0].codec_context.codec_tag == "hvc1"
    assert len(decoded(source.with_name(f"out{suffix}"))) == 20


def test_hevc_goes_into_3gp_as_h264(make_clip):
    source = make_clip("clip.mp4", codec="libx265", options={"x265-params": "log-level=error"})
    assert restore_clip(source, source.with_name("out.3gp"), copying).notes == [
        "a .3gp does not hold hevc: written with libx264"
    ]
    assert times(source.with_name("out.3gp")) == times(source)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
@pytest.mark.parametrize("sound", ["aac", None])
def test_a_movie_begins_when_the_clip_did(sound, suffix, make_clip):
    source = make_clip("clip.ts", tick=Fraction(1, 90_000), steps=(3000,), sound=sound)
    out = source.with_name(f"out{suffix}")
    restore_clip(source, out, copying)
    assert times(source)[0] > 0
    assert times(out) == times(source)


@pytest.mark.parametrize("name", ["12:30:15.mp4", "concat:x.mp4", "a:b/clip.mp4"])
def test_colons_are_letters_like_others(name, make_clip, tmp_path, monkeypatch):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    make_clip().rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    restore_clip(Path(name), Path(name).with_stem("2:out"), copying)
    assert len(decoded((tmp_path / name).with_stem("2:out"))) == 20


def test_an_error_names_the_clip_as_the_user_did(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VideoError, match=r"^a:b\.mp4: there is no such file"):
        restore_clip(Path("a:b.mp4"), Path("out.mp4"), copying)


def test_a_failure_at_the_very_end_keeps_what_was_done(make_clip, monkeypatch):
    def failing(sink: ClipWriter, close=ClipWriter.close) -> None:
        close(sink)
        raise VideoError("out.mp4: the disk is full")

    monkeypatch.setattr(ClipWriter, "close", failing)
    source = make_clip()
    with pytest.raises(
        VideoError,
        match=r"^out\.mp4: the disk is full; what there is of it is in .*out_partial\.mp4$",
    ):
        restore_clip(source, source.with_name("out.mp4"), copying)
    assert sorted(path.name for path in source.parent.iterdir()) == ["clip.mp4", "out_partial.mp4"]
    assert decoded(source.with_name("out_partial.mp4"))


def test_what_cannot_be_played_does_not_stay(make_clip, monkeypatch):
    def failing(sink: ClipWriter) -> None:
        raise VideoError("out.mp4: the disk is full")  # before the index of the file is written

    monkeypatch.setattr(ClipWriter, "close", failing)
    monkeypatch.setattr(ClipWriter, "abandon", lambda sink: None)
    source = make_clip()
    with pytest.raises(VideoError, match=r"^out\.mp4: the disk is full$"):
        restore_clip(source, source.with_name("out.mp4"), copying)
    assert [path.name for path in source.parent.iterdir()] == ["clip.mp4"]


def test_a_full_disk_is_told_as_one():
    with (
        pytest.raises(VideoError, match=r"^out\.mp4: the disk is full; free some space"),
        ffmpeg_errors("out.mp4"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_pictures_of_mpeg_2_stay_with_the_sound(make_clip):
    source = make_clip("clip.mkv", steps=(512, 700, 300))
    target = source.with_name("out.mkv")
    restore_clip(source, target, copying, codec="mpeg2video")
    times = [[float(frame.time) for frame in decoded(path)] for path in (source, target)]
    assert times[0] == pytest.approx(times[1], abs=1e-3)


def test_frames_between_two_ticks_of_a_codec_that_counts_them_keep_their_times(make_clip):
    source = make_clip("clip.mkv", steps=(160, 160, 3000))
    tally = restore_clip(source, source.with_name("out.mkv"), copying, codec="mpeg2video")
    assert tally.frames == len(decoded(source.with_name("out.mkv"))) == 20


def test_interlaced_frames_are_told_of(make_clip):
    source = make_clip(
        "clip.mkv",
        codec="mpeg2video",
        tick=Fraction(1, 30),
        steps=(1,),
        options={"flags": "+ilme+ildct"},
    )
    (note,) = restore_clip(source, source.with_name("out.mkv"), copying).notes
    assert note.startswith("it is interlaced and comes out progressive; ")


def test_frames_that_are_interlaced_later_are_told_of(make_clip):
    options = {"codec": "mpeg2video", "tick": Fraction(1, 30), "steps": (1,), "sound": None}
    source = make_clip("clip.ts", **options)
    woven = make_clip("woven.ts", options={"flags": "+ilme+ildct"}, **options)
    source.write_bytes(source.read_bytes() + woven.read_bytes())
    notes = restore_clip(source, source.with_name("out.mkv"), copying).notes
    assert any(note.startswith("it is interlaced and comes out progressive; ") for note in notes)


def test_marks_of_3d_are_told_of(make_clip):
    source = make_clip("clip.mkv", options={"x264-params": "frame-packing=3"})
    (note,) = restore_clip(source, source.with_name("out.mkv"), copying).notes
    assert note == "its marks of which eye sees what (3D) are left out"


PHONE = {
    "title": "rain",
    "make": "Example",
    "com.apple.quicktime.location.ISO6709": "+37+122/",
    "com.android.version": "14",
}


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.m4v", "clip.mkv"])
def test_what_a_phone_says_is_kept(name, make_clip):
    source = make_clip(
        name,
        tags=PHONE,
        container_options={"movflags": "+use_metadata_tags"} if name != "clip.mkv" else {},
    )
    assert restore_clip(source, source.with_name(f"out_{name}"), copying).notes == []
    with av.open(str(source.with_name(f"out_{name}"))) as after:
        assert {key.lower(): value for key, value in after.metadata.items()}.items() >= {
            key.lower(): value for key, value in PHONE.items()
        }.items()


def test_plain_tags_of_a_movie_stay_where_all_programs_read_them(make_clip):
    source = make_clip(tags={"title": "rain"})
    restore_clip(source, source.with_name("out.mp4"), copying)
    assert b"\xa9nam" in source.with_name("out.mp4").read_bytes()


def test_tags_that_the_format_does_not_hold_are_told_of(make_clip):
    source = make_clip("clip.mkv", tags={"title": "rain", "make": "Example"}, sound=None)
    (note,) = restore_clip(source, source.with_name("out.avi"), copying).notes
    assert note == "its tags MAKE are left out: a .avi does not hold them"


def test_the_title_of_a_stream_of_a_movie_is_kept(remux):
    def titled(container: object) -> None:
        for stream in container.streams:
            stream.metadata["title"] = f"title {stream.index}"

    source = remux("told.mp4", titled)
    restore_clip(source, source.with_name("out.mp4"), copying)
    with av.open(str(source.with_name("out.mp4"))) as after:
        assert [stream.metadata["name"] for stream in after.streams] == ["title 0", "title 1"]


def test_what_was_counted_on_the_old_pictures_is_not_told_of_the_new(remux):
    told = {
        "BPS-eng": "1",
        "NUMBER_OF_FRAMES-eng": "1",
        "_STATISTICS_TAGS-eng": "BPS",
        "title": "front",
    }

    def counted(container: object) -> None:
        for stream in container.streams:
            stream.metadata.update(told)

    source = remux("told.mkv", counted)
    restore_clip(source, source.with_name("out.mkv"), copying)
    with av.open(str(source.with_name("out.mkv"))) as after:
        pictures, sound = after.streams
        assert pictures.metadata.keys() & told.keys() == {"title"}
        assert sound.metadata.keys() >= told.keys()


def test_vp8_is_as_good_as_it_was(make_clip):
    source = make_clip(
        "clip.webm",
        codec="libvpx",
        sound=None,
        tick=Fraction(1, 1000),
        steps=(33,),
        options={"b": "20M", "crf": "4"},
    )
    sizes = []
    for crf in (4.0, 60.0):
        restore_clip(source, source.with_name("out.webm"), copying, crf=crf)
        sizes.append(source.with_name("out.webm").stat().st_size)
        source.with_name("out.webm").unlink()
    assert sizes[0] > 1.5 * sizes[1]


@pytest.mark.parametrize("sound", ["pcm_s16le", "flac"])
def test_sound_that_nobody_could_find_again_is_told_of(sound, make_clip):
    source = make_clip("clip.mkv", sound=sound)
    out = source.with_name("out.ts")
    assert restore_clip(source, out, copying).notes == [
        f"its audio stream 1 is left out: a .ts does not hold {sound}"
    ]
    with av.open(str(out)) as after:
        assert [stream.type for stream in after.streams] == ["video"]


@pytest.mark.parametrize("target", ["out.mov", "out.avi"])
def test_a_cover_that_the_format_does_not_hold_is_told_of(target, remux):
    source = remux("told.mkv", cover)
    out = source.with_name(target)
    assert (
        f"its cover is left out: a {out.suffix} does not hold such a picture"
        in restore_clip(source, out, copying).notes
    )
    with av.open(str(out)) as after:
        assert [stream.type for stream in after.streams] == ["video", "audio"]


def test_ac3_of_an_avi_stays_with_the_pictures(make_clip):
    source = make_clip(
        "clip.avi", codec="mpeg4", tick=Fraction(1, 30), steps=(1,), frames=60, sound="ac3"
    )
    restore_clip(source, source.with_name("out.avi"), copying)
    before, after = (packets(path, "audio") for path in (source, source.with_name("out.avi")))
    assert [data for _, data in before] == [data for _, data in after]
    assert float(after[-1][0]) == pytest.approx(float(before[-1][0]), abs=0.01)


def test_a_second_camera_is_told_of(make_clip):
    source = make_clip("one.mkv")
    both = source.with_name("both.mkv")
    with av.open(str(source)) as clip, av.open(str(both), "w") as container:
        copies = [
            container.add_stream_from_template(clip.streams.video[0], opaque=True) for _ in range(2)
        ]
        for found in clip.demux(video=0):
            for copy in copies if found.size else []:
                same = packet(copy, bytes(found), found.time_base)
                same.pts, same.dts, same.is_keyframe = found.pts, found.dts, found.is_keyframe
                container.mux(same)
    notes = restore_clip(both, source.with_name("out.mkv"), copying).notes
    assert notes == ["its video stream 1 is kept as it is; only the first is restored"]


def test_frames_that_change_their_size_are_told_of(make_clip):
    source, larger = (
        make_clip("clip.ts", sound=None),
        make_clip("larger.ts", sound=None, size=(96, 64)),
    )
    source.write_bytes(source.read_bytes() + larger.read_bytes())
    notes = restore_clip(source, source.with_name("out.mp4"), copying).notes
    assert notes == ["its frames change their size on the way; all come out at 64 x 48"]
    assert {(frame.width, frame.height) for frame in decoded(source.with_name("out.mp4"))} == {
        (64, 48)
    }


@pytest.mark.parametrize(
    ("number", "fact"),
    [(errno.EPERM, "FFmpeg refuses it"), (errno.EACCES, "may not be opened by this user")],
)
def test_an_encoder_without_its_device_is_no_question_of_permissions(number, fact):
    with pytest.raises(VideoError, match=rf"^out\.mkv: {fact}"), ffmpeg_errors("out.mkv"):
        raise OSError(number, "Operation not permitted")
