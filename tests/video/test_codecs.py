"""Which encoder, which layout, which quality."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from av.video.format import VideoFormat

from derain.errors import VideoError
from derain.suffixes import CLIP_SUFFIXES
from derain.video.clip import restore_clip
from derain.video.codecs import SAME_CODEC, choose
from derain.video.containers import can_hold

from .conftest import copying


def chosen(target: str, source_codec: str, layout: str, size=(64, 48), **wishes: object):
    return choose(Path(target), source_codec, VideoFormat(layout), size, **wishes)


@pytest.mark.parametrize(
    ("target", "source", "encoder"),
    [
        ("a.mp4", "h264", "libx264"),
        ("a.mkv", "hevc", "libx265"),
        ("a.mp4", "av1", "libsvtav1"),
        ("a.webm", "vp9", "libvpx-vp9"),
        ("a.webm", "h264", "libvpx-vp9"),
        ("a.avi", "msmpeg4v3", "mpeg4"),
        ("a.avi", "h264", "libx264"),
        ("a.avi", "mjpeg", "mjpeg"),
        ("a.mpg", "mpeg2video", "mpeg2video"),
        ("a.ogv", "theora", "libvpx"),
        ("a.mov", "prores", "prores_ks"),
        ("a.m4v", "hevc", "libx265"),
        ("a.3gp", "hevc", "libx264"),
        ("a.mov", "vp9", "libx264"),
        ("a.mkv", "huffyuv", "libx264"),
        ("a.flv", "mjpeg", "libx264"),
        ("a.wmv", "h264", "msmpeg4"),
    ],
)
def test_the_codec_of_the_clip_or_the_usual_one(target, source, encoder):
    assert chosen(target, source, "yuv420p").codec == encoder


@pytest.mark.parametrize(
    ("codec", "layout", "nearest"),
    [
        ("libx264", "yuvj420p", "yuv420p"),
        ("libx265", "yuv420p12le", "yuv420p12le"),
        ("libx264", "yuv420p12le", "yuv420p10le"),
        ("libx264", "yuv411p", "yuv422p"),
        ("libx264", "gbrp", "yuv444p"),
        ("libx264", "yuva420p", "yuv420p"),
        ("libsvtav1", "yuv444p10le", "yuv420p10le"),
        ("libvpx", "yuv420p10le", "yuv420p"),
    ],
)
def test_the_nearest_layout(codec, layout, nearest):
    assert chosen("a.mkv", "h264", layout, codec=codec).layout == nearest


def test_bits_that_are_lost_are_told():
    assert (
        "does not keep 10 bits" in chosen("a.mkv", "h264", "yuv420p10le", codec="libvpx").notes[0]
    )


@pytest.mark.parametrize(
    ("target", "remedy"),
    [
        ("a.webm", "--codec libsvtav1 keeps them"),
        ("a.mkv", "--codec libx265 keeps them"),
        ("a.mp4", "--codec libx265 keeps them"),
        ("a.ogv", "a .mkv by --codec ffv1 keeps more"),
    ],
)
def test_bits_that_are_lost_are_told_with_what_the_format_holds(target, remedy):
    (note,) = chosen(target, "vp9" if target != "a.ogv" else "vp8", "yuv420p10le").notes
    assert note.endswith(f"keep 10 bits here: written with 8; {remedy}")


def test_a_codec_that_the_format_does_not_hold_is_told():
    assert chosen("a.mov", "vp9", "yuv420p").notes == (
        "a .mov does not hold vp9: written with libx264",
    )


@pytest.mark.parametrize("suffix", sorted(CLIP_SUFFIXES))
def test_each_codec_that_a_format_is_said_to_hold_can_be_written(suffix, make_clip):
    source = make_clip("source.mkv", sound=None, color_range=2)  # Motion JPEG has no other range
    for codec, encoder in SAME_CODEC.items():
        if can_hold(suffix, codec):
            out = source.with_name(codec + suffix)
            restore_clip(source, out, copying, codec=encoder)
            with av.open(str(out)) as container:
                assert container.streams.video[0].codec_context.codec.canonical_name == codec
                assert sum(1 for _ in container.decode(video=0)) == 20


def test_bits_that_are_lost_in_part_are_told_right():
    assert (
        "12 bits here: written with 10;"
        in chosen("a.mkv", "hevc", "yuv420p12le", codec="libx264").notes[0]
    )


def test_a_quality_that_the_codec_does_not_know_is_told():
    assert chosen("a.mov", "prores", "yuv422p10le", crf=20).notes == (
        "prores_ks has no constant rate factor: --crf is left out",
    )


@pytest.mark.parametrize("codec", ["libx264rgb", "libsvtav1"])
def test_a_quality_that_the_codec_knows_is_taken(codec):
    encoding = chosen("a.mkv", "h264", "yuv420p", codec=codec, crf=20)
    assert (encoding.options["crf"], [note for note in encoding.notes if "crf" in note]) == (
        "20",
        [],
    )


def test_an_encoder_of_which_nothing_is_known_gets_no_quality():
    encoding = chosen("a.mov", "prores", "yuv422p10le", codec="prores_aw", crf=20)
    assert ("crf" in encoding.options, encoding.notes) == (
        False,
        ("prores_aw has no constant rate factor: --crf is left out",),
    )


@pytest.mark.parametrize(("codec", "encoder"), SAME_CODEC.items())
def test_a_codec_stands_for_its_encoder(codec, encoder):
    target = "a.avi" if can_hold(".avi", codec) else "a.mov" if codec == "prores" else "a.mkv"
    by_codec, by_encoder = (
        chosen(target, "h264", "yuv420p", (63, 48), codec=name, crf=20) for name in (codec, encoder)
    )
    assert by_codec == by_encoder


@pytest.mark.parametrize(
    ("codec", "layout", "same"),
    [
        ("huffyuv", "bgr0", "bgr24"),
        ("ffv1", "rgb24", "bgr0"),
        ("ffv1", "rgb48le", "gbrp16le"),
        ("utvideo", "bgr24", "gbrp"),
        ("ffv1", "gbrp", "bgr0"),
    ],
)
def test_lossless_codecs_keep_rgb(codec, layout, same):
    encoding = chosen("a.avi" if codec != "ffv1" else "a.mkv", "png", layout, codec=codec)
    assert encoding.notes == ()
    assert VideoFormat(encoding.layout).is_rgb
    assert max(part.bits for part in VideoFormat(encoding.layout).components) == max(
        part.bits for part in VideoFormat(same).components
    )


def test_transparency_that_is_lost_is_told():
    assert chosen("a.mkv", "vp9", "yuva420p", codec="libx264").notes == (
        "its transparency is left out",
    )


def test_odd_sides_keep_every_pixel():
    assert chosen("a.mp4", "h264", "yuv420p", (63, 48)).layout == "yuv444p"


def test_quality_is_handed_to_the_encoder():
    assert chosen("a.mp4", "h264", "yuv420p", crf=31).options["crf"] == "31"


def test_an_unknown_codec_is_refused_with_some_that_there_are():
    with pytest.raises(VideoError, match="no such encoder; try libx264"):
        chosen("a.mp4", "h264", "yuv420p", codec="steam")


def test_a_codec_for_sound_is_refused():
    with pytest.raises(VideoError, match="encodes audio and not pictures"):
        chosen("a.mp4", "h264", "yuv420p", codec="aac")


@pytest.mark.parametrize(
    ("codec", "crf", "said"),
    [
        (
            "libx264",
            -3,
            r"^--crf -3: is out of range for libx264; choose from 0 \(best\) to 51 \(smallest\)$",
        ),
        ("libvpx-vp9", 64, "^--crf 64: is out of range for libvpx-vp9; "),
    ],
)
def test_a_quality_that_there_is_not_is_refused(codec, crf, said):
    with pytest.raises(VideoError, match=said):
        chosen("a.mkv", "h264", "yuv420p", codec=codec, crf=crf)


def test_a_codec_that_the_target_does_not_hold_is_refused_with_one_that_it_does():
    with pytest.raises(
        VideoError,
        match=r"^--codec libx264: a \.webm does not hold h264; try libvpx-vp9, or write a \.mkv$",
    ):
        chosen("a.webm", "vp9", "yuv420p", codec="libx264")


def test_rgb_that_becomes_luma_and_chroma_is_told():
    assert chosen("a.mp4", "h264", "gbrp").notes == (
        "libx264 does not keep RGB here: written as yuv444p",
    )
