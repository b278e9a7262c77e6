"""A clip comes out as it went in, but for the rain."""

from __future__ import annotations

import os
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from derain.errors import DerainError, PictureError, VideoError
from derain.video.clip import restore_clip
from derain.video.frames import FrameOptions

from .conftest import copying, decoded, light, packets, times

TURNED = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]
"""A quarter turn, as phones write it."""


def through(source: Path, name: str | None = None, **options: object) -> Path:
    target = source.with_name(name or f"out{source.suffix}")
    restore_clip(source, target, copying, **options)
    return target


@pytest.mark.parametrize("steps", [(512,), (512, 700, 300, 1024)], ids=["constant", "variable"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_time_stamps(suffix, steps, make_clip):
    source = make_clip(f"clip{suffix}", steps=steps)
    assert times(through(source)) == times(source)


def test_the_length_of_the_last_frame(make_clip):
    source = make_clip(steps=(512, 2048))
    with av.open(str(source)) as before, av.open(str(through(source))) as after:
        assert after.streams.video[0].duration == before.streams.video[0].duration


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_packet_by_packet(suffix, make_clip):
    source = make_clip(f"clip{suffix}")
    assert packets(through(source), "audio") == packets(source, "audio")


def joined(target: Path, *sources: Path, **more: object) -> Path:
    """The streams of several files in one, with a title or chapters."""
    files = [av.open(str(path)) for path in sources]
    with av.open(str(target), "w") as container:
        container.metadata["title"] = "été"
        if "chapters" in more:
            container.set_chapters(more["chapters"])
        copies = {
            stream: container.add_stream_from_template(stream, opaque=True)
            for file in files
            for stream in file.streams
        }
        for packet in (packet for file in files for packet in file.demux() if packet.size):
            packet.stream = copies[packet.stream]
            container.mux(packet)
    for file in files:
        file.close()
    return target


def test_subtitles(make_clip, tmp_path):
    titles = (
        f"{index}\n00:00:00,{index}00 --> 00:00:00,{index}50\ntitle {index}\n\n"
        for index in (1, 2, 3)
    )
    (tmp_path / "titles.srt").write_text("".join(titles))
    source = joined(tmp_path / "titled.mkv", make_clip("clip.mkv"), tmp_path / "titles.srt")
    assert [data for _, data in packets(source, "subtitles")] == [
        b"title 1",
        b"title 2",
        b"title 3",
    ]
    assert packets(through(source), "subtitles") == packets(source, "subtitles")


def test_a_second_picture_is_copied(make_clip, tmp_path):
    source = joined(
        tmp_path / "two.mkv",
        make_clip("clip.mkv"),
        make_clip("other.mp4", sound=None, options={"bf": "0"}),
    )
    with av.open(str(source)) as before, av.open(str(through(source))) as after:
        told = [
            [bytes(packet) for packet in file.demux(video=1) if packet.size]
            for file in (before, after)
        ]
    assert told[0] == told[1]
    assert len(told[0]) == 20


def test_what_the_format_cannot_hold_is_told(make_clip, tmp_path):
    (tmp_path / "titles.srt").write_text("1\n00:00:00,100 --> 00:00:00,150\ntitle\n\n")
    source = joined(tmp_path / "titled.mkv", make_clip("clip.mkv"), tmp_path / "titles.srt")
    (note,) = restore_clip(source, tmp_path / "out.mp4", copying).notes
    assert note.startswith("its subtitle stream 2 is left out")
    assert packets(tmp_path / "out.mp4", "audio")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_rotation(suffix, make_clip):
    source = make_clip(f"clip{suffix}", matrix=TURNED)
    assert decoded(source)[0].rotation == 90 or decoded(source)[0].rotation == -90
    assert decoded(through(source))[0].rotation == decoded(source)[0].rotation


def test_titles_and_chapters(make_clip, tmp_path):
    chapter = {
        "id": 1,
        "start": 0,
        "end": 300,
        "time_base": Fraction(1, 1000),
        "metadata": {"title": "one"},
    }
    source = joined(tmp_path / "told.mkv", make_clip("clip.mkv"), chapters=[chapter])
    with av.open(str(through(source))) as after:
        assert (
            after.metadata["title"],
            [found["metadata"]["title"] for found in after.chapters()],
        ) == ("été", ["one"])


@pytest.mark.parametrize(
    ("matrix", "color_range"),
    [(1, 1), (1, 2), (5, 1), (9, 1)],
    ids=["bt709", "bt709 full", "bt601", "bt2020"],
)
def test_colours_and_their_names(matrix, color_range, make_clip):
    names = {
        "colorspace": matrix,
        "color_range": color_range,
        "color_primaries": matrix,
        "color_trc": 1,
    }
    source = make_clip(**names, options={"crf": "1"})
    before, after = decoded(source)[0], decoded(through(source, crf=1))[0]
    assert (
        [getattr(after, name) for name in names]
        == [getattr(before, name) for name in names]
        == list(names.values())
    )
    assert np.abs(light(after) - light(before)).mean() < 0.5


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
def test_codec_and_layout_are_kept(codec, layout, suffix, make_clip):
    source = make_clip(f"clip{suffix}", codec=codec, layout=layout, sound=None, frames=6)
    with av.open(str(source)) as before, av.open(str(through(source))) as after:
        contexts = [file.streams.video[0].codec_context for file in (before, after)]
        told = [(context.codec.canonical_name, context.pix_fmt) for context in contexts]
    assert told[0] == told[1]
    assert told[0][1] == layout


@pytest.mark.parametrize(
    ("codec", "layout", "name"),
    [
        ("mpeg4", "yuv420p", "clip.avi"),
        ("mjpeg", "yuvj420p", "clip.avi"),
        ("utvideo", "yuv420p", "clip.avi"),
        ("ffv1", "yuv420p", "clip.avi"),
        ("flv1", "yuv420p", "clip.flv"),
        ("mpeg2video", "yuv420p", "clip.mpg"),
        ("mpeg2video", "yuv420p", "clip.mxf"),
        ("mpeg2video", "yuv420p", "clip.ts"),
    ],
)
def test_old_kinds_of_clips_keep_their_times(codec, layout, name, make_clip):
    sound = {"clip.avi": "pcm_s16le", "clip.mpg": "mp2", "clip.ts": "mp2"}.get(name)
    source = make_clip(
        name, codec=codec, layout=layout, steps=(1,), tick=Fraction(1, 30), sound=sound
    )
    out = through(source)
    assert times(out) == times(source)
    if sound:
        assert packets(out, "audio") == packets(source, "audio")


@pytest.mark.parametrize(
    ("codec", "layout", "suffix"), [("libx264rgb", "rgb24", ".mkv"), ("png", "rgb24", ".mov")]
)
def test_a_clip_in_rgb_looks_as_it_did(codec, layout, suffix, make_clip):
    source = make_clip(f"clip{suffix}", codec=codec, layout=layout, sound=None)
    before, after = (
        decoded(path)[3].to_ndarray(format="rgb24").astype(int)
        for path in (source, through(source))
    )
    assert np.abs(after - before).mean() < 3


def test_ten_bits_are_ten_bits(tmp_path):
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
    after = light(decoded(through(tmp_path / "clip.mkv"))[0])
    assert np.abs(after - ramp).max() <= 1
    assert len(np.unique(after)) > 400


def test_pictures_hardly_change(make_clip):
    source = make_clip(options={"crf": "10"})
    for before, after in zip(decoded(source), decoded(through(source)), strict=True):
        assert np.abs(light(after) - light(before)).mean() < 1


def test_pixels_that_are_not_square(make_clip):
    source = make_clip("clip.mkv", sample_aspect_ratio=Fraction(4, 3))
    with av.open(str(through(source))) as after:
        assert after.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


def test_codec_and_quality_are_chosen(make_clip):
    sizes = []
    for crf in (5, 40):
        out = through(make_clip(), f"{crf}.mkv", codec="libx265", crf=crf)
        sizes.append(sum(len(data) for _, data in packets(out, "video")))
        assert decoded(out)[0].format.name == "yuv420p"
    assert sizes[0] > 2 * sizes[1]


def test_sides_that_cannot_be_halved(make_clip):
    source = make_clip("clip.mkv", codec="ffv1", sound=None, size=(63, 47))
    after = decoded(through(source, "out.mp4", codec="libx264"))[0]
    assert (after.width, after.height) == (63, 47)


def test_rain_is_taken_out(make_clip):
    source = make_clip()
    target = source.with_name("dark.mp4")
    restore_clip(source, target, lambda rainy: rainy // 2, FrameOptions(strength=0.5))
    before, after = light(decoded(source)[3]) - 16.0, light(decoded(target)[3]) - 16.0
    assert after.mean() / before.mean() == pytest.approx(0.75, abs=0.02)


def test_the_mask_says_where(make_clip):
    source = make_clip(options={"crf": "1"})
    target, mask = source.with_name("half.mp4"), np.zeros((48, 64), np.uint8)
    mask[:, 32:] = 255
    restore_clip(source, target, lambda rainy: rainy // 2, FrameOptions(mask=mask), crf=1)
    change = light(decoded(source)[0]) - light(decoded(target)[0])
    assert np.abs(change[:, :28]).max() < 6 < change[:, 36:].min()


def test_a_mask_of_another_size_is_told_with_the_name_of_the_clip(make_clip):
    source = make_clip()
    with pytest.raises(
        PictureError, match=r"clip\.mp4: the mask has 3x2 pixels and the picture 64x48"
    ):
        restore_clip(
            source,
            source.with_name("out.mp4"),
            copying,
            FrameOptions(mask=np.zeros((2, 3), np.uint8)),
        )
    assert [path.name for path in source.parent.iterdir()] == ["clip.mp4"]


def damaged(source: Path) -> Path:
    """The clip with noise in the data of its eighth and ninth frame."""
    data = bytearray(source.read_bytes())
    for _, frame in packets(source, "video")[8:10]:
        start = data.index(frame)
        data[start + 4 : start + len(frame)] = np.random.default_rng(0).bytes(len(frame) - 4)
    bad = source.with_stem("damaged")
    bad.write_bytes(data)
    return bad


def test_a_damaged_packet_does_not_end_the_run(make_clip):
    tally = restore_clip(damaged(make_clip()), make_clip().with_name("out.mp4"), copying)
    assert tally.frames >= 16


def test_a_damaged_packet_leaves_sound_and_times_alone(make_clip):
    source = make_clip()
    bad = damaged(source)
    out = through(bad)
    assert packets(out, "audio") == packets(bad, "audio")
    assert set(times(out)) <= set(times(source))


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_a_clip_that_breaks_off_is_restored_as_far_as_it_goes(suffix, make_clip):
    source = make_clip(f"clip{suffix}", frames=60, options={"bf": "0"})
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
    assert 10 < len(decoded(through(source))) < 60


@pytest.mark.parametrize("content", [b"", b"not a clip at all" * 50, bytes(4096)])
def test_what_is_no_clip_is_one_sentence(content, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(VideoError, match=r"^[^\n]*clip\.mp4: [^\n]+; [^\n]+$"):
        through(tmp_path / "clip.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_file_of_sound_alone_is_one_sentence(make_clip, tmp_path):
    with av.open(str(make_clip())) as clip, av.open(str(tmp_path / "sound.mp4"), "w") as container:
        copy = container.add_stream_from_template(clip.streams.audio[0], opaque=True)
        for packet in clip.demux(audio=0):
            if packet.dts is not None:
                packet.stream = copy
                container.mux(packet)
    with pytest.raises(VideoError, match="holds no moving picture"):
        through(tmp_path / "sound.mp4")


def test_a_missing_clip_is_one_sentence(tmp_path):
    with pytest.raises(VideoError, match=r"no\.mp4: there is no such file"):
        through(tmp_path / "no.mp4", "out.mp4")


def test_a_failure_of_the_network_leaves_nothing(make_clip):
    source = make_clip()

    def failing(rainy: np.ndarray) -> np.ndarray:
        raise VideoError("the network failed")

    with pytest.raises(VideoError, match="the network failed"):
        restore_clip(source, source.with_name("out.mp4"), failing)
    assert [path.name for path in source.parent.iterdir()] == ["clip.mp4"]


def interrupted(source: Path, *, after: int, name: str = "out.mp4") -> list[Path]:
    """What Ctrl-C leaves beside the source."""
    seen = []

    def stopping(rainy: np.ndarray) -> np.ndarray:
        seen.append(1)
        if len(seen) > after:
            raise KeyboardInterrupt
        return rainy

    tally = restore_clip(source, source.with_name(name), stopping)
    assert tally.was_interrupted
    return [path for path in source.parent.iterdir() if path != source]


def test_what_a_killed_run_left_is_removed_after_a_day(make_clip):
    source = make_clip()
    dead, fresh = (source.with_name(f".derain-{n:012x}.mp4") for n in (1, 2))
    for path in (dead, fresh):
        path.touch()
    os.utime(dead, (0, 0))
    restore_clip(source, source.with_name("out.mp4"), lambda rainy: rainy)
    assert sorted(path.name for path in source.parent.iterdir()) == sorted(
        [fresh.name, source.name, "out.mp4"]
    )


def test_ctrl_c_leaves_a_playable_clip_of_another_name(make_clip):
    (left,) = interrupted(make_clip(), after=12)
    assert (left.name, len(decoded(left))) == ("out_partial.mp4", 12)


def test_a_second_ctrl_c_keeps_what_the_first_left(make_clip):
    source = make_clip()
    interrupted(source, after=12)
    left = {path.name: len(decoded(path)) for path in interrupted(source, after=8)}
    assert left == {"out_partial.mp4": 12, "out_partial_2.mp4": 8}


def test_ctrl_c_at_once_leaves_nothing(make_clip):
    assert interrupted(make_clip(), after=0) == []


def test_no_threads_are_left(make_clip):
    before = threading.active_count()
    through(make_clip())
    interrupted(make_clip(), after=3)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    "failure", [VideoError("the network failed"), PictureError("no"), MemoryError()]
)
def test_a_failure_on_the_way_keeps_the_frames_before_it(failure, make_clip):
    source = make_clip()
    frames = []

    def failing(rainy: np.ndarray) -> np.ndarray:
        frames.append(rainy)
        if len(frames) > 12:
            raise failure
        return rainy

    with pytest.raises(
        DerainError, match=r"; what there is of it is in .*out_partial\.mp4$"
    ) as caught:
        restore_clip(source, source.with_name("out.mp4"), failing)
    assert len(decoded(source.with_name("out_partial.mp4"))) == 12
    chain: list[BaseException | None] = [caught.value]
    while chain[-1] is not None:
        assert len(chain) < 5
        chain.append(chain[-1].__cause__)


@pytest.mark.parametrize(
    ("name", "fact"), [("x" * 252 + ".mp4", "its name is too long"), ("folder.mp4", "is a folder")]
)
def test_a_name_that_no_clip_can_have_is_told_before_any_frame(name, fact, make_clip):
    source, done = make_clip(), []
    source.with_name("folder.mp4").mkdir()
    with pytest.raises(VideoError, match=fact):
        restore_clip(source, source.with_name(name), copying, on_frame=lambda: done.append(1))
    assert not done


def test_ctrl_c_keeps_a_clip_whose_name_leaves_no_room(make_clip):
    (left,) = interrupted(make_clip(), after=12, name="ж" * 124 + ".mp4")
    assert (left.name.endswith("жж_partial.mp4"), len(decoded(left))) == (True, 12)


def test_a_failed_renaming_keeps_the_clip(make_clip, monkeypatch):
    source = make_clip()

    def refusing(partial: Path, target: Path, replace=Path.replace) -> Path:
        if Path(target).name == "out.mp4":
            raise PermissionError(13, "Permission denied")
        return replace(partial, target)

    monkeypatch.setattr(Path, "replace", refusing)
    with pytest.raises(
        VideoError,
        match=r"may not be opened by this user.*; what there is of it is in .*out_partial\.mp4$",
    ):
        restore_clip(source, source.with_name("out.mp4"), copying)
    assert len(decoded(source.with_name("out_partial.mp4"))) == 20


def test_progress_counts_every_frame(make_clip):
    source, told, done = make_clip(), [], []
    restore_clip(
        source,
        source.with_name("out.mp4"),
        copying,
        on_start=told.append,
        on_frame=lambda: done.append(1),
    )
    assert (told, len(done)) == ([20], 20)
