"""Restored clips keep everything but the rain; failures leave playable clips or nothing."""

from __future__ import annotations

import errno
import os
import stat
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clips import (
    QUARTER_TURN,
    copy_packets,
    decode,
    frame_times,
    halve,
    identity,
    luma,
    names_in,
    read_packets,
    remuxing,
    restore,
)

from derain.errors import DerainError, PictureError, VideoError
from derain.video.clip import restore_clip
from derain.video.frames import FrameOptions

VARIABLE = (512, 700, 300, 1024)
"""Frame durations in ticks."""


@pytest.fixture(scope="session", params=[".mp4", ".mov", ".mkv"])
def rotated(request, clip_cache, tmp_path_factory):
    """(source, output) with a variable frame rate, audio and a rotation."""
    source = clip_cache(request.param, steps=VARIABLE, matrix=QUARTER_TURN)
    target = tmp_path_factory.mktemp("rotated") / f"out{request.param}"
    restore_clip(source, target, identity)
    return source, target


def test_variable_frame_times(rotated):
    source, target = rotated
    assert frame_times(target) == frame_times(source)


def test_audio_packets(rotated):
    source, target = rotated
    assert read_packets(target, "audio") == read_packets(source, "audio")


def test_rotation(rotated):
    before, after = (decode(path)[0].rotation for path in rotated)
    assert after == before != 0


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_constant_frame_times(suffix, make_clip):
    source = make_clip(f"clip{suffix}")
    assert frame_times(restore(source)[0]) == frame_times(source)


def test_duration_of_the_last_frame(make_clip):
    source = make_clip(steps=(512, 2048))
    with av.open(str(source)) as before, av.open(str(restore(source)[0])) as after:
        assert after.streams.video[0].duration == before.streams.video[0].duration


def join(target: Path, *sources: Path) -> Path:
    """Copy the streams of several files into one."""
    with remuxing(target, *sources) as (container, copies, files):
        copy_packets(container, copies, files)
    return target


@pytest.fixture
def subtitled(make_clip, tmp_path) -> Path:
    lines = (f"{n}\n00:00:00,{n}00 --> 00:00:00,{n}50\ntitle {n}\n\n" for n in (1, 2, 3))
    (tmp_path / "titles.srt").write_text("".join(lines))
    return join(tmp_path / "titled.mkv", make_clip("clip.mkv"), tmp_path / "titles.srt")


def test_subtitles(subtitled):
    before = read_packets(subtitled, "subtitles")
    assert [data for _, data in before] == [b"title 1", b"title 2", b"title 3"]
    assert read_packets(restore(subtitled)[0], "subtitles") == before


def test_unsupported_subtitles_are_reported(subtitled):
    target, result = restore(subtitled, "out.mp4")
    (note,) = result.notes
    assert note.startswith("its subtitle stream 2 is dropped")
    assert read_packets(target, "audio")


def test_second_video_stream_is_copied(make_clip, tmp_path):
    other = make_clip("other.mp4", sound=None, options={"bf": "0"})
    source = join(tmp_path / "two.mkv", make_clip("clip.mkv"), other)
    with av.open(str(source)) as before, av.open(str(restore(source)[0])) as after:
        expected, copied = (
            [bytes(packet) for packet in file.demux(video=1) if packet.size]
            for file in (before, after)
        )
    assert len(copied) == 20
    assert copied == expected


def test_titles_and_chapters(make_clip, tmp_path):
    chapter = {"id": 1, "start": 0, "end": 300, "time_base": Fraction(1, 1000)}
    with remuxing(tmp_path / "a.mkv", make_clip("clip.mkv")) as (container, copies, files):
        container.metadata["title"] = "été"
        container.set_chapters([{**chapter, "metadata": {"title": "one"}}])
        copy_packets(container, copies, files)
    with av.open(str(restore(tmp_path / "a.mkv")[0])) as after:
        assert after.metadata["title"] == "été"
        assert [chapter["metadata"]["title"] for chapter in after.chapters()] == ["one"]


@pytest.mark.parametrize(
    ("matrix", "color_range"),
    [(1, 1), (1, 2), (5, 1), (9, 1)],
    ids=["bt709", "bt709 full", "bt601", "bt2020"],
)
def test_colours_and_their_description(matrix, color_range, make_clip):
    description = {
        "colorspace": matrix,
        "color_range": color_range,
        "color_primaries": matrix,
        "color_trc": 1,
    }
    source = make_clip(**description, frames=5, options={"crf": "1"})
    before, after = decode(source)[0], decode(restore(source, crf=1)[0])[0]
    assert {name: getattr(after, name) for name in description} == description
    assert np.abs(luma(after) - luma(before)).mean() < 0.5


@pytest.mark.parametrize(
    ("codec", "layout", "suffix"),
    [
        ("libx264", "yuv420p", ".mp4"),
        ("libx264", "yuv444p", ".mp4"),
        ("libx264", "yuv420p10le", ".mkv"),
        ("libx265", "yuv420p10le", ".mp4"),
        ("libvpx-vp9", "yuv420p", ".webm"),
        ("libsvtav1", "yuv420p10le", ".mp4"),
        ("ffv1", "yuv422p10le", ".mkv"),
        ("prores_ks", "yuv422p10le", ".mov"),
    ],
)
def test_codec_and_pixel_format(codec, layout, suffix, make_clip):
    source = make_clip(f"clip{suffix}", codec=codec, layout=layout, sound=None, frames=4)
    with av.open(str(source)) as before, av.open(str(restore(source)[0])) as after:
        expected, context = (file.streams.video[0].codec_context for file in (before, after))
        assert context.codec.canonical_name == expected.codec.canonical_name
        assert context.pix_fmt == expected.pix_fmt == layout


@pytest.mark.parametrize(
    ("codec", "name", "sound"),
    [
        ("mpeg4", "clip.avi", "pcm_s16le"),
        ("mjpeg", "clip.avi", "pcm_s16le"),
        ("utvideo", "clip.avi", "pcm_s16le"),
        ("ffv1", "clip.avi", "pcm_s16le"),
        ("flv1", "clip.flv", None),
        ("mpeg2video", "clip.mpg", "mp2"),
        ("mpeg2video", "clip.mxf", None),
        ("mpeg2video", "clip.ts", "mp2"),
    ],
)
def test_frame_times_and_audio_of_older_codecs(codec, name, sound, make_clip):
    layout = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    source = make_clip(
        name, codec=codec, layout=layout, steps=(1,), tick=Fraction(1, 30), sound=sound
    )
    target, _ = restore(source)
    assert frame_times(target) == frame_times(source)
    if sound:
        assert read_packets(target, "audio") == read_packets(source, "audio")


@pytest.mark.parametrize(("codec", "suffix"), [("libx264rgb", ".mkv"), ("png", ".mov")])
def test_rgb_clips_look_the_same(codec, suffix, make_clip):
    source = make_clip(f"clip{suffix}", codec=codec, layout="rgb24", sound=None, frames=5)
    before, after = (
        decode(path)[3].to_ndarray(format="rgb24").astype(int)
        for path in (source, restore(source)[0])
    )
    assert np.abs(after - before).mean() < 3


def test_ten_bits_are_kept(tmp_path):
    """A ramp of luma with a value for each pixel."""
    ramp = np.tile(np.arange(64, 940, 2, dtype=np.uint16), (48, 1))
    planes = [ramp, *[np.full((24, ramp.shape[1] // 2), 512, np.uint16)] * 2]
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = ramp.shape[1], 48, "yuv420p10le"
        frame = av.VideoFrame(ramp.shape[1], 48, "yuv420p10le")
        for plane, values in zip(frame.planes, planes, strict=True):
            rows = np.zeros((values.shape[0], plane.line_size // 2), np.uint16)
            rows[:, : values.shape[1]] = values
            plane.update(rows.tobytes())
        container.mux([*stream.encode(frame), *stream.encode(None)])
    after = luma(decode(restore(tmp_path / "clip.mkv")[0])[0])
    assert np.abs(after - ramp).max() <= 1
    assert len(np.unique(after)) > 400


def test_unchanged_frames_stay_close_to_the_source(make_clip):
    source = make_clip(options={"crf": "10"})
    for before, after in zip(decode(source), decode(restore(source)[0]), strict=True):
        assert np.abs(luma(after) - luma(before)).mean() < 1


def test_aspect_ratio_of_pixels(make_clip):
    source = make_clip("clip.mkv", sample_aspect_ratio=Fraction(4, 3), frames=3)
    with av.open(str(restore(source)[0])) as after:
        assert after.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


def test_dropped_aspect_ratio_of_pixels_is_reported(make_clip):
    source = make_clip("clip.mkv", sample_aspect_ratio=Fraction(4, 3), frames=3, sound=None)
    kept, dropped = (" ".join(restore(source, f"out{end}")[1].notes) for end in (".mkv", ".webm"))
    assert "aspect" not in kept
    assert "its pixel aspect ratio 4:3 is dropped" in dropped


def test_chosen_codec_and_quality(make_clip):
    sizes = []
    for crf in (5, 40):
        target, _ = restore(make_clip(), f"{crf}.mkv", codec="libx265", crf=crf)
        sizes.append(sum(len(data) for _, data in read_packets(target, "video")))
        assert decode(target)[0].format.name == "yuv420p"
    assert sizes[0] > 2 * sizes[1]


def test_odd_size_is_kept(make_clip):
    source = make_clip("clip.mkv", codec="ffv1", sound=None, size=(63, 47), frames=3)
    after = decode(restore(source, "out.mp4", codec="libx264")[0])[0]
    assert (after.width, after.height) == (63, 47)


def test_strength_scales_the_change(make_clip):
    source = make_clip()
    target, _ = restore(source, network=halve, options=FrameOptions(strength=0.5))
    before, after = luma(decode(source)[3]) - 16.0, luma(decode(target)[3]) - 16.0
    assert after.mean() / before.mean() == pytest.approx(0.75, abs=0.02)


def test_mask_limits_the_change(make_clip):
    source = make_clip(options={"crf": "1"})
    mask = np.zeros((48, 64), np.uint8)
    mask[:, 32:] = 255
    target, _ = restore(source, network=halve, options=FrameOptions(mask=mask), crf=1)
    change = luma(decode(source)[0]) - luma(decode(target)[0])
    assert np.abs(change[:, :28]).max() < 6 < change[:, 36:].min()


def test_error_for_a_mask_of_another_size_names_the_clip(make_clip):
    options = FrameOptions(mask=np.zeros((2, 3), np.uint8))
    source = make_clip()
    with pytest.raises(PictureError, match=r"clip\.mp4: the mask has 3x2 pixels.* 64x48"):
        restore(source, options=options)
    assert names_in(source.parent) == ["clip.mp4"]


@pytest.fixture
def damaged(make_clip) -> Path:
    """A clip with noise in the data of its ninth and tenth frame."""
    source = make_clip()
    data = bytearray(source.read_bytes())
    for _, frame in read_packets(source, "video")[8:10]:
        start = data.index(frame)
        data[start + 4 : start + len(frame)] = np.random.default_rng(0).bytes(len(frame) - 4)
    path = source.with_stem("damaged")
    path.write_bytes(data)
    return path


def test_damaged_packet_does_not_stop_the_run(damaged):
    assert restore(damaged)[1].frame_count >= 16


def test_damaged_packet_does_not_affect_audio_and_times(damaged):
    target, _ = restore(damaged)
    assert read_packets(target, "audio") == read_packets(damaged, "audio")
    assert set(frame_times(target)) <= set(frame_times(damaged.with_stem("clip")))


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_truncated_clip_is_restored_up_to_its_end(suffix, make_clip):
    source = make_clip(f"clip{suffix}", frames=60, options={"bf": "0"})
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
    assert 10 < len(decode(restore(source)[0])) < 60


@pytest.mark.parametrize("content", [b"", b"not a clip at all" * 50, bytes(4096)])
def test_invalid_file_is_one_sentence(content, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(VideoError, match=r"^[^\n]*clip\.mp4: [^\n]+; [^\n]+$"):
        restore(tmp_path / "clip.mp4")
    assert names_in(tmp_path) == ["clip.mp4"]


def test_audio_file_is_rejected(make_clip, tmp_path):
    with av.open(str(make_clip())) as clip, av.open(str(tmp_path / "sound.mp4"), "w") as container:
        copy = container.add_stream_from_template(clip.streams.audio[0], opaque=True)
        for packet in clip.demux(audio=0):
            if packet.dts is not None:
                packet.stream = copy
                container.mux(packet)
    with pytest.raises(VideoError, match="contains no video stream"):
        restore(tmp_path / "sound.mp4")


def test_missing_clip(tmp_path):
    with pytest.raises(VideoError, match=r"no\.mp4: no such file"):
        restore(tmp_path / "no.mp4")


def test_failure_before_the_first_frame_leaves_nothing(make_clip):
    source = make_clip()

    def fail(rainy: np.ndarray) -> np.ndarray:
        raise VideoError("the network failed")

    with pytest.raises(VideoError, match="the network failed"):
        restore(source, network=fail)
    assert names_in(source.parent) == ["clip.mp4"]


def test_disk_without_fsync(make_clip, monkeypatch):
    def fail(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fail)
    source = make_clip()
    restore(source)
    assert names_in(source.parent) == ["clip.mp4", "out.mp4"]


def test_clip_that_does_not_reach_the_disk_blames_the_disk(make_clip, monkeypatch):
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    fact = r"out\.mp4: cannot be written \(Input/output error\); write to another folder"
    with pytest.raises(VideoError, match=fact):
        restore(make_clip())


def test_stale_temporaries_are_removed(make_clip):
    source = make_clip()
    stale, fresh = (source.with_name(f".derain-{n:012x}.mp4") for n in (1, 2))
    for path in (stale, fresh):
        path.touch()
    os.utime(stale, (0, 0))
    restore(source)
    assert names_in(source.parent) == [fresh.name, "clip.mp4", "out.mp4"]


class FailingNetwork:
    """Returns its input, and raises `error` once it has restored `after` frames."""

    def __init__(self, error: BaseException, *, after: int) -> None:
        self.error, self.after, self.count = error, after, 0

    def __call__(self, rainy: np.ndarray) -> np.ndarray:
        if self.count == self.after:
            raise self.error
        self.count += 1
        return rainy


def interrupt(source: Path, *, after: int, name: str = "out.mp4") -> list[Path]:
    """Return the files that Ctrl-C leaves beside the source."""
    _, result = restore(source, name, FailingNetwork(KeyboardInterrupt(), after=after))
    assert result.was_interrupted
    return [path for path in source.parent.iterdir() if path != source]


def test_interrupted_clip_is_playable(make_clip):
    (partial,) = interrupt(make_clip(), after=12)
    assert partial.name == "out_partial.mp4"
    assert len(decode(partial)) == 12


def test_second_interrupted_clip_keeps_the_first(make_clip):
    source = make_clip()
    interrupt(source, after=12)
    counts = {path.name: len(decode(path)) for path in interrupt(source, after=8)}
    assert counts == {"out_partial.mp4": 12, "out_partial_2.mp4": 8}


def test_interrupt_before_the_first_frame_leaves_nothing(make_clip):
    assert interrupt(make_clip(), after=0) == []


def test_partial_clip_of_a_long_name(make_clip):
    (partial,) = interrupt(make_clip(), after=12, name="ж" * 124 + ".mp4")
    assert partial.name.endswith("жж_partial.mp4")
    assert len(decode(partial)) == 12


def test_threads_end(make_clip):
    before = threading.active_count()
    restore(make_clip(), "complete.mp4")
    interrupt(make_clip(), after=3)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    "error", [VideoError("the network failed"), PictureError("no"), MemoryError()]
)
def test_failure_keeps_the_frames_before_it(error, make_clip):
    source = make_clip()
    with pytest.raises(DerainError, match=r"; the frames before it are in .*out_partial\.mp4$"):
        restore(source, network=FailingNetwork(error, after=12))
    assert len(decode(source.with_name("out_partial.mp4"))) == 12


def test_causes_of_a_failure_form_no_cycle(make_clip):
    with pytest.raises(DerainError) as caught:
        restore(make_clip(), network=FailingNetwork(PictureError("no"), after=12))
    error, count = caught.value, 0
    while error is not None:
        error, count = error.__cause__, count + 1
    assert count < 5


@pytest.mark.parametrize(
    ("name", "problem"), [("x" * 252 + ".mp4", "too long"), ("folder.mp4", "is a folder")]
)
def test_invalid_target_is_rejected_before_the_first_frame(name, problem, make_clip):
    source, frames = make_clip(), []
    source.with_name("folder.mp4").mkdir()
    with pytest.raises(VideoError, match=problem):
        restore(source, name, on_frame=lambda: frames.append(1))
    assert not frames


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640])
def test_result_is_no_more_accessible_than_the_clip(mode, make_clip):
    source = make_clip()
    source.chmod(mode)
    target, _ = restore(source)
    assert stat.S_IMODE(target.stat().st_mode) == mode & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_target_that_appears_meanwhile_is_kept(make_clip):
    source = make_clip()
    target = source.with_name("out.mp4")
    message = r"out\.mp4: exists by now.*are in .*out_partial\.mp4$"
    with pytest.raises(VideoError, match=message):
        restore(source, on_frame=lambda: target.write_bytes(b"another"), overwrite=False)
    assert target.read_bytes() == b"another"
    assert len(decode(source.with_name("out_partial.mp4"))) == 20


def test_existing_clip_is_kept_without_any_work(make_clip):
    source = make_clip()
    original = source.read_bytes()
    seen: list[object] = []
    with pytest.raises(VideoError, match=r"clip\.mp4: exists by now; .*overwrite=True"):
        restore_clip(source, source, lambda rainy: (seen.append(rainy), rainy)[1])
    assert source.read_bytes() == original
    assert seen == []


def test_names_may_be_text(make_clip):
    source = make_clip()
    restore_clip(str(source), str(source.with_name("out.mp4")), identity)
    assert len(decode(source.with_name("out.mp4"))) == 20


def test_failed_renaming_keeps_the_clip(make_clip, monkeypatch):
    source = make_clip()

    def refuse(partial: Path, target: Path, replace=Path.replace) -> Path:
        if Path(target).name == "out.mp4":
            raise PermissionError(13, "Permission denied")
        return replace(partial, target)

    monkeypatch.setattr(Path, "replace", refuse)
    message = r"permission denied.*; the frames before it are in .*out_partial\.mp4$"
    with pytest.raises(VideoError, match=message):
        restore(source, overwrite=True)
    assert len(decode(source.with_name("out_partial.mp4"))) == 20


def test_progress_counts_every_frame(make_clip):
    counts, frames = [], []
    restore(make_clip(), on_start=counts.append, on_frame=lambda: frames.append(1))
    assert counts == [20]
    assert len(frames) == 20
