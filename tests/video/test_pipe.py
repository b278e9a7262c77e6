"""Frames on standard input and output."""

from __future__ import annotations

import io

import numpy as np
import pytest

from derain.errors import PictureError, VideoError
from derain.video.frames import FrameOptions
from derain.video.pipe import restore_pipe

from .conftest import copying


def y4m(frames: list[bytes], head: str = "W64 H48 F30000:1001 Ip A4:3 C420jpeg") -> bytes:
    return b"YUV4MPEG2 " + head.encode() + b"\n" + b"".join(b"FRAME\n" + frame for frame in frames)


@pytest.fixture
def frames() -> list[bytes]:
    """Luma ramps at half brightness, grey."""
    luma = np.tile(np.linspace(40, 200, 64).astype(np.uint8), (48, 1)).tobytes()
    return [luma + bytes([128]) * (2 * 32 * 24)] * 5


def through(data: bytes, network=copying, **options: object) -> bytes:
    outlet = io.BytesIO()
    restore_pipe(io.BytesIO(data), outlet, network, **options)
    return outlet.getvalue()


def test_every_frame_comes_out(frames):
    assert through(y4m(frames)).count(b"FRAME\n") == 5


def test_size_rate_and_shape_of_a_pixel_are_told_on(frames):
    assert through(y4m(frames)).startswith(
        b"YUV4MPEG2 W64 H48 F30000:1001 Ip A4:3 C420jpeg\nFRAME\n"
    )


def test_luma_hardly_changes(frames):
    last = np.frombuffer(through(y4m(frames))[-len(frames[0]) :], np.uint8).astype(int)
    assert np.abs(last - np.frombuffer(frames[0], np.uint8)).max() <= 1


def test_ten_bits_stay_ten_bits():
    frame = np.concatenate(
        [np.linspace(64, 940, 64 * 48).astype("<u2"), np.full(2 * 32 * 24, 512, "<u2")]
    ).tobytes()
    out = through(y4m([frame] * 2, "W64 H48 F25:1 Ip A1:1 C420p10 XYSCSS=420P10"))
    assert (
        np.abs(
            np.frombuffer(out[-len(frame) :], "<u2").astype(int) - np.frombuffer(frame, "<u2")
        ).max()
        <= 2
    )


@pytest.mark.parametrize("layout", ["rgb24", "bgr24", "rgb48le"])
def test_raw_frames(layout, rng):
    data = rng.bytes(64 * 48 * (6 if "48" in layout else 3) * 4)
    assert through(data, raw=(64, 48, layout)) == data


def test_raw_frames_are_restored():
    assert (
        through(bytes([200]) * (8 * 8 * 3), network=lambda rainy: rainy // 2, raw=(8, 8, "rgb24"))
        == bytes([100]) * 192
    )


@pytest.mark.parametrize("data", [b"", b"no frames at all\n" * 9])
def test_what_is_no_stream_is_one_sentence(data):
    with pytest.raises(VideoError, match=r"^standard input: [^\n]+$"):
        through(data)


@pytest.mark.parametrize("layout", ["pal8", "bayer_rggb8"])
def test_a_layout_that_can_be_read_and_not_written_is_one_sentence(layout):
    with pytest.raises(
        VideoError,
        match=f"^standard output: FFmpeg writes no pixels as {layout}; give another --pix-fmt$",
    ):
        through(bytes(9999), raw=(8, 8, layout))


def test_a_mask_of_another_size_is_one_sentence():
    with pytest.raises(
        PictureError, match=r"^standard input: the mask has 3x2 pixels and the picture 8x8; "
    ):
        through(
            bytes(192), raw=(8, 8, "rgb24"), wishes=FrameOptions(mask=np.zeros((2, 3), np.uint8))
        )


def test_transparency_that_is_lost_is_told():
    tally = restore_pipe(io.BytesIO(bytes(8 * 8 * 4)), io.BytesIO(), copying, raw=(8, 8, "rgba"))
    assert tally.notes == ["its transparency is left out"]


def test_an_unknown_layout_is_one_sentence():
    with pytest.raises(
        VideoError, match=r"^--pix-fmt steam: FFmpeg knows no such layout of pixels; [^\n]+$"
    ):
        through(bytes(999), raw=(8, 8, "steam"))


CUT = "standard input: ends within a frame; the 3 before it were restored, look at what fills the pipe"


def told(data: bytes, **options: object) -> tuple[list[str], int]:
    """What is said of a stream, and how many bytes come out."""
    outlet = io.BytesIO()
    return restore_pipe(io.BytesIO(data), outlet, copying, **options).problems, len(
        outlet.getvalue()
    )


@pytest.mark.parametrize("rest", [1, 64 * 48 * 3 - 1])
def test_a_cut_raw_frame_is_told_of_and_those_before_it_are_kept(rest):
    size = 64 * 48 * 3
    assert told(bytes(3 * size + rest), raw=(64, 48, "rgb24")) == ([CUT], 3 * size)


@pytest.mark.parametrize("rest", [b"FRA", b"FRAME\n", b"FRAME\n" + bytes(99)])
def test_a_cut_frame_is_told_of_and_those_before_it_are_kept(rest, frames):
    assert told(y4m(frames[:3]) + rest) == ([CUT], len(y4m(frames[:3])))


@pytest.mark.parametrize("before_frame", [b"FRAME\n", b"FRAME Ip\n"])
def test_a_whole_stream_is_not_complained_of(before_frame, frames):
    assert told(y4m(frames).replace(b"FRAME\n", before_frame))[0] == []


def test_frames_may_each_say_something_of_their_own(frames):
    data = y4m(frames)
    assert told(data.replace(b"FRAME\n", b"FRAME Ip\n", 2))[0] == []


@pytest.mark.parametrize("layout", ["yuv420p", "nv12", "p010le", "gray", "monow", "yuva420p"])
def test_whole_raw_frames_are_not_complained_of(layout):
    bytes_a_frame = {
        "yuv420p": 24 * 17 + 2 * 12 * 9,
        "nv12": 24 * 17 + 2 * 12 * 9,
        "gray": 24 * 17,
        "monow": 3 * 17,
    }
    bytes_a_frame |= {
        "p010le": 2 * bytes_a_frame["nv12"],
        "yuva420p": bytes_a_frame["yuv420p"] + 24 * 17,
    }
    assert told(bytes(3 * bytes_a_frame[layout]), raw=(24, 17, layout))[0] == []


@pytest.mark.parametrize(
    ("data", "fact"), [(b"", "is empty"), (b"RIFF and so on", "is no YUV4MPEG2 stream")]
)
def test_what_is_no_stream_of_frames_is_one_sentence(data, fact):
    with pytest.raises(VideoError, match=f"^standard input: {fact}; let [^\\n]+$"):
        through(data)


@pytest.mark.parametrize("head", ["W0 H48 F30:1", "H48 F30:1", "Wide H48 F30:1"])
def test_frames_of_no_size_are_one_sentence(head, frames):
    with pytest.raises(VideoError, match="its first line does not say how large the frames are"):
        through(y4m(frames, head))


def test_interlaced_frames_of_a_stream_are_told_of(frames):
    notes = restore_pipe(
        io.BytesIO(y4m(frames, "W64 H48 F30:1 It C420jpeg")), io.BytesIO(), copying
    ).notes
    assert [note.startswith("it is interlaced and comes out progressive") for note in notes] == [
        True
    ]
