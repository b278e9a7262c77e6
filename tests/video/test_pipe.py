"""Frames on standard input and output."""

from __future__ import annotations

import io

import numpy as np
import pytest
from helpers.clips import halve, identity

from derain.errors import PictureError, VideoError
from derain.video.frames import FrameOptions, VideoResult
from derain.video.pipe import restore_pipe

HEADER = "W64 H48 F30000:1001 Ip A4:3 C420jpeg"


def y4m(frames: list[bytes], header: str = HEADER) -> bytes:
    body = b"".join(b"FRAME\n" + frame for frame in frames)
    return b"YUV4MPEG2 " + header.encode() + b"\n" + body


def restore(data: bytes, network=identity, **options: object) -> tuple[bytes, VideoResult]:
    outlet = io.BytesIO()
    result = restore_pipe(io.BytesIO(data), outlet, network, **options)
    return outlet.getvalue(), result


@pytest.fixture(scope="session")
def frames() -> list[bytes]:
    """Five grey luma ramps."""
    ramp = np.tile(np.linspace(40, 200, 64).astype(np.uint8), (48, 1)).tobytes()
    return [ramp + bytes([128]) * (2 * 32 * 24)] * 5


@pytest.fixture(scope="session")
def output(frames) -> bytes:
    return restore(y4m(frames))[0]


def test_number_of_frames(output):
    assert output.count(b"FRAME\n") == 5


def test_header_is_copied(output):
    assert output.startswith(f"YUV4MPEG2 {HEADER}\nFRAME\n".encode())


def test_luma_is_kept(output, frames):
    last = np.frombuffer(output[-len(frames[0]) :], np.uint8).astype(int)
    assert np.abs(last - np.frombuffer(frames[0], np.uint8)).max() <= 1


def test_ten_bits_are_kept():
    luma = np.linspace(64, 940, 64 * 48).astype("<u2")
    frame = np.concatenate([luma, np.full(2 * 32 * 24, 512, "<u2")]).tobytes()
    output, _ = restore(y4m([frame] * 2, "W64 H48 F25:1 Ip A1:1 C420p10 XYSCSS=420P10"))
    last = np.frombuffer(output[-len(frame) :], "<u2").astype(int)
    assert np.abs(last - np.frombuffer(frame, "<u2")).max() <= 2


@pytest.mark.parametrize("layout", ["rgb24", "bgr24", "rgb48le"])
def test_raw_frames_are_exact(layout, rng):
    data = rng.bytes(64 * 48 * (6 if "48" in layout else 3) * 4)
    assert restore(data, raw=(64, 48, layout))[0] == data


def test_raw_frames_are_restored():
    output, _ = restore(bytes([200]) * (8 * 8 * 3), halve, raw=(8, 8, "rgb24"))
    assert output == bytes([100]) * 192


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"RIFF and so on", "is not a YUV4MPEG2 stream"),
        (b"no frames at all\n" * 9, "is not a YUV4MPEG2 stream"),
    ],
)
def test_input_that_is_not_a_stream(data, problem):
    with pytest.raises(VideoError, match=rf"^standard input: {problem}; fill it with [^\n]+$"):
        restore(data)


@pytest.mark.parametrize("header", ["W0 H48 F30:1", "H48 F30:1", "Wide H48 F30:1"])
def test_header_without_a_size(header, frames):
    with pytest.raises(VideoError, match=r"^standard input: its header has no frame size; "):
        restore(y4m(frames, header))


@pytest.mark.parametrize("layout", ["pal8", "bayer_rggb8"])
def test_layout_that_cannot_be_written(layout):
    message = f"^standard output: FFmpeg cannot write pixels as {layout}; use another --pix-fmt$"
    with pytest.raises(VideoError, match=message):
        restore(bytes(9999), raw=(8, 8, layout))


def test_unknown_layout():
    with pytest.raises(VideoError, match=r"^--pix-fmt steam: unknown to FFmpeg; [^\n]+$"):
        restore(bytes(999), raw=(8, 8, "steam"))


def test_mask_of_another_size():
    options = FrameOptions(mask=np.zeros((2, 3), np.uint8))
    message = r"^standard input: the mask has 3x2 pixels"
    with pytest.raises(PictureError, match=message):
        restore(bytes(192), raw=(8, 8, "rgb24"), options=options)


def test_dropped_transparency_is_reported():
    notes = restore(bytes(8 * 8 * 4), raw=(8, 8, "rgba"))[1].notes
    assert notes == ["its transparency is dropped"]


def test_interlaced_frames_are_reported(frames):
    (note,) = restore(y4m(frames, "W64 H48 F30:1 It C420jpeg"))[1].notes
    assert note.startswith("it is interlaced")


@pytest.mark.parametrize("field", ["It", "Ib"])
def test_interlaced_stream_becomes_progressive(field, frames):
    header = f"W64 H48 F30:1 {field} C420jpeg XIt"
    output, _ = restore(y4m(frames, header))
    assert output.startswith(b"YUV4MPEG2 W64 H48 F30:1 Ip C420jpeg XIt\nFRAME\n")


@pytest.mark.parametrize("header", ["W64 H48 F30:1 I? C420jpeg", "W64 H48 F30:1 C420jpeg"])
def test_unknown_interlacing_is_kept(header, frames):
    assert restore(y4m(frames, header))[0].startswith(f"YUV4MPEG2 {header}\n".encode())


TRUNCATED = (
    "standard input: ends within a frame; the 3 frames before it were restored, "
    "check the program that fills the pipe"
)


@pytest.mark.parametrize("rest", [1, 64 * 48 * 3 - 1])
def test_truncated_raw_frame(rest):
    size = 64 * 48 * 3
    output, result = restore(bytes(3 * size + rest), raw=(64, 48, "rgb24"))
    assert result.problems == [TRUNCATED]
    assert len(output) == 3 * size


@pytest.mark.parametrize("rest", [b"FRA", b"FRAME\n", b"FRAME\n" + bytes(99)])
def test_truncated_frame(rest, frames):
    output, result = restore(y4m(frames[:3]) + rest)
    assert result.problems == [TRUNCATED]
    assert len(output) == len(y4m(frames[:3]))


@pytest.mark.parametrize("changed", [0, 2, 5])
def test_headers_of_frames_may_have_parameters(changed, frames):
    data = y4m(frames).replace(b"FRAME\n", b"FRAME Ip\n", changed)
    assert restore(data)[1].problems == []


@pytest.mark.parametrize("layout", ["yuv420p", "nv12", "p010le", "gray", "monow", "yuva420p"])
def test_complete_raw_frames(layout):
    luma, chroma = 24 * 17, 2 * 12 * 9
    frame_bytes = {
        "yuv420p": luma + chroma,
        "nv12": luma + chroma,
        "p010le": 2 * (luma + chroma),
        "gray": luma,
        "monow": 3 * 17,
        "yuva420p": 2 * luma + chroma,
    }
    assert restore(bytes(3 * frame_bytes[layout]), raw=(24, 17, layout))[1].problems == []
