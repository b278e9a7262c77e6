"""When frames are shown, and whether a clip breaks off."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction
from pathlib import Path

import av
import pytest

from derain.errors import VideoError
from derain.video.clip import restore_clip
from derain.video.timestamps import ClockRestarts, FrameGrid

from .conftest import copying, decoded, packets, times

FRAME = Fraction(1, 30)
B_FRAMES = {"bf": "2", "b-adapt": "0"}


def shown_evenly(path) -> bool:
    """Whether each frame is shown one frame after the last."""
    shown = times(path)
    return [time - shown[0] for time in shown] == [index * FRAME for index in range(len(shown))]


@pytest.mark.parametrize(("codec", "options"), [("libx264", B_FRAMES), ("mpeg4", {"bf": "2"})])
def test_frames_in_avi_follow_each_other(codec, options, make_clip):
    source = make_clip(
        "clip.avi", codec=codec, options=options, tick=FRAME, steps=(1,), sound="pcm_s16le"
    )
    restore_clip(source, source.with_name("out.avi"), copying)
    assert len(decoded(source.with_name("out.avi"))) == 20
    assert shown_evenly(source.with_name("out.avi"))


def test_frames_of_avi_begin_with_its_sound(make_clip):
    source = make_clip("clip.avi", options=B_FRAMES, tick=FRAME, steps=(1,), sound="pcm_s16le")
    restore_clip(source, source.with_name("out.mkv"), copying)
    with av.open(str(source.with_name("out.mkv"))) as after:
        assert {packet.stream.type for packet in after.demux() if packet.pts == 0} == {
            "video",
            "audio",
        }


def test_a_damaged_packet_of_avi_leaves_the_others_in_time(make_clip):
    source = make_clip(
        "clip.avi", codec="mjpeg", layout="yuvj420p", tick=FRAME, steps=(1,), sound=None
    )
    with av.open(str(source)) as clip:
        bad = [bytes(packet) for packet in clip.demux(video=0) if packet.size][5]
    source.write_bytes(source.read_bytes().replace(bad, bytes(len(bad))))
    restore_clip(source, source.with_name("out.mkv"), copying)
    assert float(times(source.with_name("out.mkv"))[-1]) == pytest.approx(19 / 30, abs=1e-3)


def test_a_short_flv_whose_frames_are_out_of_order_is_whole(make_clip):
    source = make_clip(
        "clip.flv",
        options={"bf": "3", "b-adapt": "0"},
        tick=Fraction(1, 1000),
        steps=(200,),
        sound=None,
    )
    assert restore_clip(source, source.with_name("out.flv"), copying).problems == []


@pytest.mark.parametrize("steps", [(33,), (33, 7, 500, 40)], ids=["constant", "variable"])
@pytest.mark.parametrize("codec", ["wmv2", "msmpeg4"])
def test_time_stamps_of_wmv(codec, steps, make_clip):
    source = make_clip("clip.wmv", codec=codec, tick=Fraction(1, 1000), steps=steps, sound=None)
    restore_clip(source, source.with_name("out.wmv"), copying)
    assert times(source.with_name("out.wmv")) == times(source)


def test_a_format_that_knows_few_rates_is_refused_with_one_that_knows_any(make_clip):
    source = make_clip("clip.mp4", tick=Fraction(1, 1000), steps=(33, 7, 500), sound=None)
    with pytest.raises(
        VideoError, match=r"out\.mxf: FFmpeg refuses it .* write another format with -o: \.mkv"
    ):
        restore_clip(source, source.with_name("out.mxf"), copying)
    assert not source.with_name("out.mxf").exists()


def test_h264_becomes_what_wmv_holds(make_clip):
    source = make_clip("clip.mkv", tick=Fraction(1, 1000), steps=(33, 7), sound=None)
    (note,) = restore_clip(source, source.with_name("out.wmv"), copying).notes
    assert note == "a .wmv does not hold h264: written with msmpeg4"
    assert times(source.with_name("out.wmv")) == times(source)


def late(make_clip, name: str, **options: object):
    """The usual clip, whose pictures begin at five seconds."""
    early = make_clip(f"early{name}", sound=None, **options)
    path = early.with_name(name)
    with av.open(str(early)) as clip, av.open(str(path), "w") as container:
        copy = container.add_stream_from_template(clip.streams.video[0], opaque=True)
        for packet in clip.demux(video=0):
            if packet.size:
                packet.pts += 5 * packet.time_base.denominator
                packet.dts = (
                    None if packet.dts is None else packet.dts + 5 * packet.time_base.denominator
                )
                packet.stream = copy
                container.mux(packet)
    return path


@pytest.mark.parametrize("frames", [12, 300])
def test_a_whole_matroska_that_begins_late_is_whole(frames, make_clip):
    source = late(make_clip, "clip.mkv", frames=frames, options={"bf": "0"})
    assert times(source)[0] == 5
    assert restore_clip(source, source.with_name("out.mkv"), copying).problems == []


def test_a_matroska_that_begins_late_and_breaks_off_is_told_of(make_clip):
    source = late(make_clip, "clip.mkv", frames=120, size=(320, 240), options={"bf": "0"})
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    (problem,) = restore_clip(source, source.with_name("out.mkv"), copying).problems
    assert "breaks off at" in problem
    assert "s of 4.0;" in problem


@pytest.mark.parametrize("frames", [1, 3, 12])
def test_a_short_wmv_is_whole(frames, make_clip):
    source = make_clip(
        "clip.wmv", codec="wmv2", tick=Fraction(1, 1000), steps=(33,), frames=frames, sound=None
    )
    assert restore_clip(source, source.with_name("out.wmv"), copying).problems == []


@pytest.mark.parametrize("target", ["out.ts", "out.mkv"])
def test_recordings_that_were_joined_play_one_after_the_other(target, make_clip):
    source = make_clip("clip.ts", options={"bf": "2"})
    count, shown = len(packets(source, "audio")), times(source)
    source.write_bytes(source.read_bytes() * 3)
    out = source.with_name(target)
    tally = restore_clip(source, out, copying)
    assert (tally.notes, tally.problems) == ([], [])
    steps = [after - before for before, after in itertools.pairwise(times(out))]
    assert len(steps) == 59
    assert min(steps) > FRAME - Fraction(1, 500)
    assert max(steps) < 5 * FRAME
    assert len(packets(out, "audio")) == pytest.approx(3 * count, abs=3)
    assert times(out)[-1] - times(out)[0] == pytest.approx(
        3 * (shown[-1] - shown[0] + FRAME), abs=0.3
    )


def test_a_clock_that_jumps_back_by_little_is_left_alone(make_clip):
    clip = av.open(str(make_clip("clip.ts")))
    seams, moved = ClockRestarts(clip), []
    for dts in (0, 3000, 6000, 1000, 9000):
        packet = av.Packet(b"x")
        packet.stream = clip.streams.video[0]
        packet.dts, packet.pts, packet.time_base = dts, dts, Fraction(1, 90_000)
        seams.close(packet)
        moved.append(packet.dts)
    assert moved == [0, 3000, 6000, 1000, 9000]


@pytest.mark.parametrize("target", ["out.y4m", "out.avi", "out.mxf", "out.ogv"])
@pytest.mark.parametrize(("name", "ticks"), [("clip.mp4", 15360), ("clip.ts", 90_000)])
def test_a_format_that_says_a_rate_says_that_of_the_clip(name, ticks, target, make_clip):
    source = make_clip(name, tick=Fraction(1, ticks), steps=(ticks // 30,), sound=None)
    out = source.with_name(target)
    notes = restore_clip(source, out, copying).notes
    assert [note for note in notes if "does not hold" not in note] == []
    with av.open(str(out)) as after:
        assert after.streams.video[0].base_rate == 30
        shown = [
            packet.dts * packet.time_base
            for packet in after.demux(video=0)
            if packet.dts is not None
        ]
    assert [float(time - shown[0]) for time in shown] == pytest.approx(
        [index / 30 for index in range(20)], abs=1e-3
    )


def test_h264_of_a_program_stream_says_its_rate(make_clip):
    source = make_clip("clip.mp4", sound=None)
    restore_clip(source, source.with_name("out.mpg"), copying)
    with av.open(str(source.with_name("out.mpg"))) as after:
        assert after.streams.video[0].codec_context.framerate == 30


@pytest.mark.parametrize(
    ("target", "says"), [("out.y4m", True), ("out.avi", False), ("out.ogv", False)]
)
def test_frames_that_come_late_are_shown_late_or_told_of(target, says, make_clip):
    source = make_clip("clip.mkv", tick=Fraction(1, 30), steps=(1, 1, 4, 1, 1, 1), sound=None)
    out = source.with_name(target)
    notes = restore_clip(source, out, copying).notes
    assert any("its frames do not come in step with 30 a second" in note for note in notes) == says
    with av.open(str(out)) as after:
        shown = [
            packet.dts * packet.time_base
            for packet in after.demux(video=0)
            if packet.dts is not None
        ]
    if not says:
        assert [float(time - shown[0]) for time in shown] == pytest.approx(
            [float(time) for time in times(source)], abs=2e-3
        )


def test_pictures_of_avi_begin_with_the_sound(make_clip):
    source = make_clip("clip.ts", sound="mp2")
    restore_clip(source, source.with_name("out.avi"), copying)
    assert packets(source.with_name("out.avi"), "audio")[0][0] == pytest.approx(0, abs=0.1)
    with av.open(str(source.with_name("out.avi"))) as after:
        count = sum(1 for packet in after.demux(video=0) if packet.dts is not None)
        first = next(packet for packet in av.open(str(source.with_name("out.avi"))).demux(video=0))
    assert (count, float(first.dts * first.time_base)) == (20, pytest.approx(0, abs=0.1))


def moved(make_clip, sound: str, *, late_s: int = 0, gap_s: tuple[float, float] = (0, 0)) -> Path:
    """The usual clip of four seconds, whose sound begins late or has a gap."""
    early = make_clip("early.mkv", frames=120, sound=sound, options={"bf": "0"})
    path = early.with_name("clip.mkv")
    with av.open(str(early)) as clip, av.open(str(path), "w") as container:
        copies = {
            stream.index: container.add_stream_from_template(stream, opaque=True)
            for stream in clip.streams
        }
        for packet in clip.demux():
            if not packet.size:
                continue
            if packet.stream.type == "audio":
                if gap_s[0] < packet.pts * packet.time_base < gap_s[1]:
                    continue
                packet.pts += round(late_s / packet.time_base)
                packet.dts = packet.pts
            packet.stream = copies[packet.stream.index]
            container.mux(packet)
    return path


@pytest.mark.parametrize("sound", ["ac3", "mp2", "pcm_s16le"])
@pytest.mark.parametrize("fault", [{"late_s": 2}, {"gap_s": (1, 3)}], ids=["late", "gap"])
def test_sound_that_avi_plays_too_early_is_told_of(fault, sound, make_clip):
    source = moved(make_clip, sound, **fault)
    notes = restore_clip(source, source.with_name("out.avi"), copying).notes
    last = [packets(path, "audio")[-1][0] for path in (source, source.with_name("out.avi"))]
    assert last[0] - last[1] == pytest.approx(2, abs=0.1)
    (told,) = [re.search(r"up to (\d\.\d\d) s early; a \.mkv keeps", note) for note in notes]
    assert told is not None
    assert float(told[1]) == pytest.approx(last[0] - last[1], abs=0.1)


@pytest.mark.parametrize("sound", ["ac3", "mp2", "pcm_s16le"])
def test_sound_in_step_is_not_told_of(sound, make_clip):
    source = moved(make_clip, sound)
    assert restore_clip(source, source.with_name("out.avi"), copying).notes == []


@pytest.mark.parametrize("codec", ["msmpeg4v2", "wmv2"])
def test_a_rate_in_microseconds_goes_into_avi(codec, make_clip):
    rate = Fraction(1_000_000, 33_333)
    source = make_clip("clip.avi", codec=codec, tick=1 / rate, steps=(1,), sound=None, rate=rate)
    restore_clip(source, source.with_name("out.avi"), copying)
    assert [float(time) for time in times(source.with_name("out.avi"))] == pytest.approx(
        [index * 0.033333 for index in range(20)], abs=1e-5
    )


@pytest.mark.parametrize("frames", [4, 5, 6])
def test_a_short_matroska_whose_sound_begins_before_it_is_whole(frames, make_clip):
    source = make_clip("clip.mkv", frames=frames, options=B_FRAMES)
    assert restore_clip(source, source.with_name("out.mkv"), copying).problems == []


@pytest.mark.parametrize(("place", "number"), [(0, 0), (Fraction(1, 30), 1), (Fraction(1, 20), 2)])
def test_numbers_of_a_grid_rise(place, number):
    grid = FrameGrid(Fraction(30), has_gaps=True, start_s=Fraction(0))
    assert [grid.place(Fraction(place)) for _ in range(2)] == [number, number + 1]
    assert grid.worst_s >= Fraction(1, 30)
