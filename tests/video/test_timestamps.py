"""Display times of frames, drift of audio, and truncated files."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import pytest
from helpers.clips import B_FRAMES, frame_times, read_packets, remuxing, restore

from derain.errors import VideoError
from derain.video.timestamps import Clock, FrameGrid, FrameTimes

FRAME = Fraction(1, 30)
MILLISECOND = Fraction(1, 1000)


def packet_times(path: Path) -> list[float]:
    """Return the decoding times of the video packets, from the first one, in seconds."""
    with av.open(str(path)) as clip:
        times = [
            packet.dts * packet.time_base
            for packet in clip.demux(video=0)
            if packet.dts is not None
        ]
    return [float(time - times[0]) for time in times]


@pytest.mark.parametrize(("codec", "options"), [("libx264", B_FRAMES), ("mpeg4", {"bf": "2"})])
def test_avi_frames_are_evenly_spaced(codec, options, make_clip):
    source = make_clip(
        "clip.avi", codec=codec, options=options, tick=FRAME, steps=(1,), sound="pcm_s16le"
    )
    times = frame_times(restore(source)[0])
    assert [time - times[0] for time in times] == [index * FRAME for index in range(20)]


@pytest.mark.parametrize(("is_reordered", "times"), [(False, [30, 31]), (True, [14, 15])])
def test_avi_frames_that_the_decoder_drops_do_not_shift_the_others(is_reordered, times):
    clock = FrameTimes(SimpleNamespace(format=SimpleNamespace(name="avi")))
    for dts in range(32):
        clock.add_packet(SimpleNamespace(dts=dts))
    frames = [SimpleNamespace(pts=None, dts=dts, duration=1) for dts in (30, 31)]
    assert [clock.next_time(frame, is_reordered=is_reordered) for frame in frames] == times


def test_avi_frames_start_with_the_audio(make_clip):
    source = make_clip("clip.avi", options=B_FRAMES, tick=FRAME, steps=(1,), sound="pcm_s16le")
    with av.open(str(restore(source, "out.mkv")[0])) as after:
        at_zero = {packet.stream.type for packet in after.demux() if packet.pts == 0}
    assert at_zero == {"video", "audio"}


def test_damaged_avi_packet_does_not_shift_the_others(make_clip):
    source = make_clip(
        "clip.avi", codec="mjpeg", layout="yuvj420p", tick=FRAME, steps=(1,), sound=None
    )
    with av.open(str(source)) as clip:
        sixth = [bytes(packet) for packet in clip.demux(video=0) if packet.size][5]
    source.write_bytes(source.read_bytes().replace(sixth, bytes(len(sixth))))
    last = frame_times(restore(source, "out.mkv")[0])[-1]
    assert float(last) == pytest.approx(19 / 30, abs=1e-3)


def test_short_flv_with_reordered_frames_is_complete(make_clip):
    options = {"bf": "3", "b-adapt": "0"}
    source = make_clip("clip.flv", options=options, tick=MILLISECOND, steps=(200,), sound=None)
    assert restore(source)[1].problems == []


@pytest.mark.parametrize("steps", [(33,), (33, 7, 500, 40)], ids=["constant", "variable"])
@pytest.mark.parametrize("codec", ["wmv2", "msmpeg4"])
def test_wmv_times(codec, steps, make_clip):
    source = make_clip("clip.wmv", codec=codec, tick=MILLISECOND, steps=steps, sound=None)
    assert frame_times(restore(source)[0]) == frame_times(source)


def test_h264_in_wmv(make_clip):
    source = make_clip("clip.mkv", tick=MILLISECOND, steps=(33, 7), sound=None)
    target, result = restore(source, "out.wmv")
    assert result.notes == [".wmv does not support h264: written with msmpeg4"]
    assert frame_times(target) == frame_times(source)


def test_unsupported_frame_rate(make_clip):
    source = make_clip("clip.mp4", tick=MILLISECOND, steps=(33, 7, 500), sound=None)
    message = (
        r"out\.mxf: FFmpeg reports an error .* write another format with -o, for example \.mkv"
    )
    with pytest.raises(VideoError, match=message):
        restore(source, "out.mxf")
    assert not source.with_name("out.mxf").exists()


def make_late_clip(make_clip, **settings: object) -> Path:
    """Return a Matroska clip whose video starts at five seconds."""
    early = make_clip("early.mkv", sound=None, options={"bf": "0"}, **settings)
    with remuxing(early.with_name("clip.mkv"), early) as (container, copies, (clip,)):
        for packet in clip.demux(video=0):
            if packet.size:
                packet.pts += 5 * packet.time_base.denominator
                packet.dts = packet.pts
                packet.stream = copies[packet.stream]
                container.mux(packet)
    return early.with_name("clip.mkv")


@pytest.mark.parametrize("frames", [12, 300])
def test_late_matroska_is_complete(frames, make_clip):
    source = make_late_clip(make_clip, frames=frames)
    assert frame_times(source)[0] == 5
    assert restore(source)[1].problems == []


def test_late_matroska_that_is_truncated(make_clip):
    source = make_late_clip(make_clip, frames=120, size=(320, 240))
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    (problem,) = restore(source)[1].problems
    assert re.search(r"is truncated at \d\.\d s of 4\.0 s;", problem)


@pytest.mark.parametrize("frames", [1, 3, 12])
def test_short_wmv_is_complete(frames, make_clip):
    source = make_clip(
        "clip.wmv", codec="wmv2", tick=MILLISECOND, steps=(33,), frames=frames, sound=None
    )
    assert restore(source)[1].problems == []


@pytest.mark.parametrize("frames", [4, 5, 6])
def test_short_matroska_whose_audio_starts_before_zero_is_complete(frames, make_clip):
    source = make_clip("clip.mkv", frames=frames, options=B_FRAMES)
    assert restore(source)[1].problems == []


@pytest.fixture(scope="module", params=["out.ts", "out.mkv"])
def concatenated(request, clip_cache, tmp_path_factory):
    """(one part, output, result) of three equal recordings in one file."""
    part = clip_cache(".ts", options={"bf": "2"})
    source = tmp_path_factory.mktemp("concatenated") / "clip.ts"
    source.write_bytes(part.read_bytes() * 3)
    return part, *restore(source, request.param)


def test_concatenated_recordings_have_no_problems(concatenated):
    _, _, result = concatenated
    assert result.notes == []
    assert result.problems == []


def test_concatenated_recordings_play_in_sequence(concatenated):
    part, target, _ = concatenated
    times, part_times = frame_times(target), frame_times(part)
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert len(steps) == 59
    assert min(steps) > FRAME - Fraction(1, 500)
    assert max(steps) < 5 * FRAME
    part_length = part_times[-1] - part_times[0] + FRAME
    assert times[-1] - times[0] == pytest.approx(3 * part_length, abs=0.3)


def test_concatenated_recordings_keep_their_audio(concatenated):
    part, target, _ = concatenated
    expected = 3 * len(read_packets(part, "audio"))
    assert len(read_packets(target, "audio")) == pytest.approx(expected, abs=3)


def test_small_jump_of_the_clock_is_not_a_restart(make_clip):
    with av.open(str(make_clip("clip.ts"))) as clip:
        clock, times = Clock(clip), []
        for dts in (0, 3000, 6000, 1000, 9000):
            packet = av.Packet(b"x")
            packet.stream = clip.streams.video[0]
            packet.dts, packet.pts, packet.time_base = dts, dts, Fraction(1, 90_000)
            clock.correct(packet)
            times.append(packet.dts)
    assert times == [0, 3000, 6000, 1000, 9000]


LATE = {"container_options": {"output_ts_offset": "36000"}}


@pytest.mark.parametrize("name", ["clip.ts", "clip.mpg", "clip.flv"])
def test_clip_whose_clock_begins_late_starts_at_zero(name, make_clip):
    source = make_clip(name, sound="mp2" if name == "clip.mpg" else "aac", **LATE)
    with av.open(str(source)) as clip:
        assert clip.start_time > 30_000 * av.time_base
    times = frame_times(restore(source, "out.mp4")[0])
    assert 0 <= times[0] < 0.1
    assert times[-1] < 1


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv"])
def test_frame_times_of_a_late_clip(target, make_clip):
    source = make_clip("clip.ts", **LATE)
    with av.open(str(source)) as clip:
        start_s = clip.start_time / av.time_base
    expected = [float(time) - start_s for time in frame_times(source)]
    times = [float(time) for time in frame_times(restore(source, target)[0])]
    assert times == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", ["clip.ts", "clip.flv"])
def test_part_of_a_stream_keeps_its_clock(name, make_clip):
    source = make_clip(name, **LATE)
    assert frame_times(restore(source)[0]) == frame_times(source)


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv"])
def test_audio_of_a_late_clip_stays_in_sync(target, make_clip):
    source = make_clip("clip.ts", **LATE)
    before, after = (
        read_packets(path, "audio")[5][0] - frame_times(path)[5]
        for path in (source, restore(source, target)[0])
    )
    assert float(after) == pytest.approx(float(before), abs=2e-3)


def test_late_clip_is_complete(make_clip):
    assert restore(make_clip("clip.ts", **LATE), "out.mp4")[1].problems == []


def test_late_clip_that_is_truncated(make_clip):
    source = make_clip("clip.flv", frames=120, size=(320, 240), **LATE)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    assert restore(source, "out.mkv")[1].problems != []


@pytest.mark.parametrize("target", ["out.y4m", "out.avi", "out.mxf", "out.ogv"])
@pytest.mark.parametrize(("name", "ticks"), [("clip.mp4", 15360), ("clip.ts", 90_000)])
def test_formats_without_times_get_the_rate_of_the_clip(name, ticks, target, make_clip):
    source = make_clip(name, tick=Fraction(1, ticks), steps=(ticks // 30,), sound=None)
    path, result = restore(source, target)
    assert [note for note in result.notes if "does not support" not in note] == []
    with av.open(str(path)) as after:
        assert after.streams.video[0].base_rate == 30
    assert packet_times(path) == pytest.approx([index / 30 for index in range(20)], abs=1e-3)


def test_h264_in_a_program_stream_has_a_rate(make_clip):
    with av.open(str(restore(make_clip("clip.mp4", sound=None), "out.mpg")[0])) as after:
        assert after.streams.video[0].codec_context.framerate == 30


@pytest.fixture
def uneven(make_clip) -> Path:
    return make_clip("clip.mkv", tick=FRAME, steps=(1, 1, 4, 1, 1, 1), sound=None)


def test_late_frames_of_a_constant_rate_format_are_reported(uneven):
    notes = restore(uneven, "out.y4m")[1].notes
    assert any("its frame times do not fit the 30 fps of this format" in note for note in notes)


@pytest.mark.parametrize("target", ["out.avi", "out.ogv"])
def test_late_frames_of_a_frame_counting_format_are_kept(target, uneven):
    path, result = restore(uneven, target)
    assert not any("do not fit" in note for note in result.notes)
    expected = [float(time) for time in frame_times(uneven)]
    assert packet_times(path) == pytest.approx(expected, abs=2e-3)


def test_avi_video_starts_with_the_audio(make_clip):
    target, _ = restore(make_clip("clip.ts", sound="mp2"), "out.avi")
    assert read_packets(target, "audio")[0][0] == pytest.approx(0, abs=0.1)
    with av.open(str(target)) as after:
        times = [
            packet.dts * packet.time_base
            for packet in after.demux(video=0)
            if packet.dts is not None
        ]
    assert len(times) == 20
    assert float(times[0]) == pytest.approx(0, abs=0.1)


def make_uneven_audio(
    make_clip, sound: str, *, late_s: int = 0, gap_s: tuple[float, float] = (0, 0)
) -> Path:
    """Return a clip of four seconds whose audio starts late or has a gap."""
    even = make_clip("even.mkv", frames=120, sound=sound, options={"bf": "0"})
    with remuxing(even.with_name("clip.mkv"), even) as (container, copies, (clip,)):
        for packet in clip.demux():
            if not packet.size:
                continue
            if packet.stream.type == "audio":
                if gap_s[0] < packet.pts * packet.time_base < gap_s[1]:
                    continue
                packet.pts += round(late_s / packet.time_base)
                packet.dts = packet.pts
            packet.stream = copies[packet.stream]
            container.mux(packet)
    return even.with_name("clip.mkv")


@pytest.mark.parametrize("sound", ["ac3", "mp2", "pcm_s16le"])
@pytest.mark.parametrize("fault", [{"late_s": 2}, {"gap_s": (1, 3)}], ids=["late", "gap"])
def test_avi_audio_that_plays_too_early_is_reported(fault, sound, make_clip):
    source = make_uneven_audio(make_clip, sound, **fault)
    target, result = restore(source, "out.avi")
    expected, actual = (read_packets(path, "audio")[-1][0] for path in (source, target))
    assert expected - actual == pytest.approx(2, abs=0.1)
    (note,) = result.notes
    match = re.search(r"up to (\d\.\d\d) s early; a \.mkv keeps", note)
    assert float(match[1]) == pytest.approx(expected - actual, abs=0.1)


@pytest.mark.parametrize("sound", ["ac3", "mp2", "pcm_s16le"])
def test_avi_audio_in_sync_is_not_reported(sound, make_clip):
    assert restore(make_uneven_audio(make_clip, sound), "out.avi")[1].notes == []


@pytest.mark.parametrize("codec", ["msmpeg4v2", "wmv2"])
def test_avi_with_a_rate_in_microseconds(codec, make_clip):
    rate = Fraction(1_000_000, 33_333)
    source = make_clip("clip.avi", codec=codec, tick=1 / rate, steps=(1,), sound=None, rate=rate)
    times = [float(time) for time in frame_times(restore(source)[0])]
    assert times == pytest.approx([index * 0.033333 for index in range(20)], abs=1e-5)


@pytest.mark.parametrize(("time_s", "index"), [(0, 0), (FRAME, 1), (Fraction(1, 20), 2)])
def test_grid_indices_increase(time_s, index):
    grid = FrameGrid(Fraction(30), has_gaps=True, start_s=Fraction(0))
    assert [grid.place(Fraction(time_s)) for _ in range(2)] == [index, index + 1]
    assert grid.max_error_s >= FRAME
