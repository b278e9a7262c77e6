"""Choice of the encoder, the pixel format and the quality."""

from __future__ import annotations

import ctypes.util
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import av
import pytest
from av.video.format import VideoFormat
from helpers.clips import restore, write_clip

from derain.errors import VideoError
from derain.suffixes import CLIP_SUFFIXES
from derain.video.codecs import ENCODERS, Encoding, choose_encoding
from derain.video.containers import can_hold


def choose(
    target: str, source_codec: str, layout: str, size=(64, 48), **settings: object
) -> Encoding:
    return choose_encoding(Path(target), source_codec, VideoFormat(layout), size, **settings)


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
def test_default_encoder(target, source, encoder):
    assert choose(target, source, "yuv420p").codec == encoder


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
def test_nearest_pixel_format(codec, layout, nearest):
    assert choose("a.mkv", "h264", layout, codec=codec).layout == nearest


@pytest.mark.parametrize(
    ("target", "source", "remedy"),
    [
        ("a.webm", "vp9", "--codec libsvtav1 keeps them"),
        ("a.mkv", "vp9", "--codec libx265 keeps them"),
        ("a.mp4", "vp9", "--codec libx265 keeps them"),
        ("a.ogv", "vp8", "a .mkv with --codec ffv1 keeps more"),
    ],
)
def test_reduced_depth_is_reported_with_a_remedy(target, source, remedy):
    (note,) = choose(target, source, "yuv420p10le").notes
    assert note.endswith(f" reduces 10 bits to 8; {remedy}")


@pytest.mark.parametrize(
    ("codec", "layout", "note"),
    [
        ("libvpx", "yuv420p10le", "libvpx reduces 10 bits to 8; --codec libx265 keeps them"),
        ("libx264", "yuv420p12le", "libx264 reduces 12 bits to 10; --codec libx265 keeps them"),
        ("libx264", "yuva420p", "its transparency is dropped"),
        ("libx264", "gbrp", "libx264 does not keep RGB here: written as yuv444p"),
    ],
)
def test_note_on_a_lost_property(codec, layout, note):
    assert choose("a.mkv", "h264", layout, codec=codec).notes == (note,)


@pytest.mark.parametrize(
    ("codec", "layout", "sampling", "kept"),
    [
        ("av1", "yuv444p", "4:4:4", "4:2:0"),
        ("mpeg4", "yuv444p", "4:4:4", "4:2:0"),
        ("prores", "yuv411p", "", ""),
        ("av1", "yuv422p10le", "4:2:2", "4:2:0"),
        ("vp8", "uyvy422", "4:2:2", "4:2:0"),
        ("av1", "yuv411p", "4:1:1", "4:2:0"),
        ("av1", "yuv410p", "", ""),
        ("av1", "pal8", "4:4:4", "4:2:0"),
        ("av1", "gray", "", ""),
        ("av1", "ya8", "", ""),
        ("h264", "yuv440p", "", ""),
    ],
)
def test_note_on_reduced_chroma(codec, layout, sampling, kept):
    notes = choose("a.mkv", "h264", layout, codec=codec).notes
    expected = [f"its {sampling} colour is written as {kept}"] if sampling else []
    assert [note for note in notes if "colour" in note] == expected


@pytest.mark.parametrize("suffix", [".wmv", ".mpg", ".ogv"])
def test_note_on_chroma_that_the_container_reduces(suffix):
    notes = choose(f"a{suffix}", "ffv1", "yuv444p").notes
    assert notes[-1] == "its 4:4:4 colour is written as 4:2:0"


def test_note_on_an_unsupported_codec():
    note = ".mov does not support vp9: written with libx264"
    assert choose("a.mov", "vp9", "yuv420p").notes == (note,)


@pytest.mark.parametrize("suffix", sorted(CLIP_SUFFIXES))
def test_supported_codecs_can_be_written(suffix, make_clip):
    # Motion JPEG supports full range only
    source = make_clip("source.mkv", sound=None, color_range=2, frames=4)
    for codec, encoder in ENCODERS.items():
        if can_hold(suffix, codec):
            target, _ = restore(source, codec + suffix, codec=encoder)
            with av.open(str(target)) as container:
                assert container.streams.video[0].codec_context.codec.canonical_name == codec
                assert sum(1 for _ in container.decode(video=0)) == 4


@pytest.mark.parametrize("codec", [None, "prores_aw"])
def test_crf_is_ignored_by_encoders_without_it(codec):
    encoding = choose("a.mov", "prores", "yuv422p10le", codec=codec, crf=20)
    assert "crf" not in encoding.options
    assert encoding.notes == (f"{encoding.codec} has no constant rate factor: --crf is ignored",)


@pytest.mark.parametrize("codec", ["libx264rgb", "libsvtav1", "libx264"])
def test_crf(codec):
    encoding = choose("a.mkv", "h264", "yuv420p", codec=codec, crf=20)
    assert encoding.options["crf"] == "20"
    assert not [note for note in encoding.notes if "crf" in note]


@pytest.mark.parametrize(
    ("codec", "crf", "message"),
    [
        (
            "libx264",
            -3,
            r"^--crf -3: out of range for libx264; "
            r"choose from 0 \(best quality\) to 51 \(smallest file\)$",
        ),
        ("libvpx-vp9", 64, "^--crf 64: out of range for libvpx-vp9; "),
    ],
)
def test_crf_out_of_range(codec, crf, message):
    with pytest.raises(VideoError, match=message):
        choose("a.mkv", "h264", "yuv420p", codec=codec, crf=crf)


@pytest.mark.parametrize(("codec", "encoder"), ENCODERS.items())
def test_codec_names_select_their_encoder(codec, encoder):
    target = "a.avi" if can_hold(".avi", codec) else "a.mov" if codec == "prores" else "a.mkv"
    by_codec, by_encoder = (
        choose(target, "h264", "yuv420p", (63, 48), codec=name, crf=20) for name in (codec, encoder)
    )
    assert by_codec == by_encoder


@pytest.mark.parametrize(
    ("codec", "layout", "equivalent"),
    [
        ("huffyuv", "bgr0", "bgr24"),
        ("ffv1", "rgb24", "bgr0"),
        ("ffv1", "rgb48le", "gbrp16le"),
        ("utvideo", "bgr24", "gbrp"),
        ("ffv1", "gbrp", "bgr0"),
    ],
)
def test_lossless_encoders_keep_rgb(codec, layout, equivalent):
    encoding = choose("a.avi" if codec != "ffv1" else "a.mkv", "png", layout, codec=codec)
    actual, expected = VideoFormat(encoding.layout), VideoFormat(equivalent)
    assert encoding.notes == ()
    assert actual.is_rgb
    assert max(part.bits for part in actual.components) == max(
        part.bits for part in expected.components
    )


@pytest.mark.parametrize("target", ["a.avi", "a.mkv"])
def test_raw_video_that_a_container_cannot_identify_becomes_ffv1(target):
    encoding = choose(target, "rawvideo", "yuv444p")
    assert encoding.codec == "ffv1"
    assert encoding.layout == "yuv444p"
    suffix = Path(target).suffix
    assert encoding.notes == (f"{suffix} does not support rawvideo: written with ffv1",)


@pytest.mark.parametrize(
    ("target", "layout"), [("a.y4m", "yuv444p"), ("a.avi", "bgr24"), ("a.mkv", "gray")]
)
def test_raw_video_is_kept(target, layout):
    encoding = choose(target, "rawvideo", layout)
    assert encoding.codec == "rawvideo"
    assert encoding.layout == layout


def test_raw_video_of_another_codec_has_a_readable_layout():
    assert choose("a.mkv", "h264", "yuv444p", codec="rawvideo").layout == "yuv420p"


def test_odd_sides_are_written_without_subsampling():
    assert choose("a.mp4", "h264", "yuv420p", (63, 48)).layout == "yuv444p"


@pytest.mark.parametrize(
    ("codec", "message"),
    [("steam", "no such encoder; try libx264"), ("aac", "encodes audio, not video")],
)
def test_invalid_encoder(codec, message):
    with pytest.raises(VideoError, match=message):
        choose("a.mp4", "h264", "yuv420p", codec=codec)


def test_encoder_that_the_container_does_not_support():
    message = r"^--codec libx264: \.webm does not support h264; try libvpx-vp9, or write a \.mkv$"
    with pytest.raises(VideoError, match=message):
        choose("a.webm", "vp9", "yuv420p", codec="libx264")


@pytest.mark.parametrize("codec", ["", " "])
def test_empty_codec_is_rejected(codec):
    message = "^--codec: is empty; name an encoder, for example libx264, or remove it$"
    with pytest.raises(VideoError, match=message):
        choose("a.mkv", "h264", "yuv420p", codec=codec)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (suffix, codec)
        for suffix, codec in itertools.product(sorted(CLIP_SUFFIXES), ENCODERS)
        if not can_hold(suffix, codec)
    ],
)
def test_alternatives_to_an_unsupported_codec_are_supported(suffix, codec):
    with pytest.raises(VideoError) as caught:
        choose(f"a{suffix}", "h264", "yuv420p", codec=codec)
    encoder, container = re.fullmatch(
        r".*; try (\S+), or write a (\.\w+)", str(caught.value)
    ).groups()
    assert choose(f"a{suffix}", "h264", "yuv420p", codec=encoder).codec == encoder
    assert can_hold(container, codec)


def test_alternative_to_a_lossless_codec_is_lossless():
    message = r"^--codec huffyuv: \.mkv does not support huffyuv; try ffv1, or write a \.avi$"
    with pytest.raises(VideoError, match=message):
        choose("a.mkv", "h264", "yuv420p", codec="huffyuv")


@pytest.mark.parametrize(
    ("size", "is_narrow"), [((48, 64), True), ((64, 48), True), ((50, 64), False)]
)
def test_libx265_has_no_cutree_for_narrow_frames(size, is_narrow):
    """It would write beyond its memory, which aborts the process sooner or later."""
    options = choose("a.mkv", "hevc", "yuv420p", size).options
    assert ("no-cutree=1" in options["x265-params"]) == is_narrow


@pytest.mark.skipif(sys.platform != "linux", reason="glibc checks its heap on request")
def test_libx265_stays_within_its_memory(tmp_path):
    checker = ctypes.util.find_library("c_malloc_debug")
    if checker is None:
        pytest.skip("this system has no glibc with libc_malloc_debug")
    sources = [
        write_clip(tmp_path / f"{size[0]}.mkv", size=size, codec="libx264", frames=3)
        for size in ((48, 64), (50, 64), (16, 16))
    ]
    code = (
        "from helpers.clips import *; "
        "[restore(path, f'out{path.name}', codec='hevc') for path in map(Path, sys.argv[1:])]"
    )
    environment = {"LD_PRELOAD": checker, "GLIBC_TUNABLES": "glibc.malloc.check=3"}
    subprocess.run(
        [sys.executable, "-c", f"import sys; {code}", *sources],
        check=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, **environment},
    )
