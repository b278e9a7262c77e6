"""Frames to samples and back."""

from __future__ import annotations

import numpy as np
import pytest
from av import VideoFrame
from av.video.format import VideoFormat
from av.video.reformatter import ColorRange, Colorspace

from derain.video.clip import restore_clip
from derain.video.colours import Colours, FrameToRgb, RgbToFrame, depth_bits

from .conftest import copying, decoded, light, ramp


def frame(layout: str, matrix: int, color_range: int) -> VideoFrame:
    made = VideoFrame.from_ndarray(ramp(0, (320, 240)), format="rgb24").reformat(format=layout)
    made.colorspace, made.color_range = matrix, color_range
    return made


@pytest.mark.parametrize("color_range", [1, 2])
@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize(
    ("layout", "decibels"), [("yuv420p", 60), ("yuv444p", 60), ("yuv420p10le", 55)]
)
def test_a_frame_that_nobody_changed_comes_back(layout, decibels, matrix, color_range):
    before = frame(layout, matrix, color_range)
    after = RgbToFrame(Colours.of(before), layout)(FrameToRgb(before)(before))
    white = 255 if layout.endswith("p") else 1023
    assert (
        10 * np.log10(white**2 / np.square(light(after) - light(before)).mean().clip(1e-9))
        > decibels
    )


@pytest.mark.parametrize(("color_range", "white"), [(1, 235), (2, 255)])
def test_white_is_white_in_either_range(color_range, white):
    made = VideoFrame(8, 8, "yuv420p")
    for plane, value in zip(made.planes, (white, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    made.colorspace, made.color_range = 1, color_range
    assert FrameToRgb(made)(made).min() >= 254


@pytest.mark.parametrize(("matrix", "green"), [(1, 173), (5, 145)])
def test_the_matrix_of_the_clip_is_taken(matrix, green):
    """Studio luma of pure green: 16 + 219 * Kg, by ITU-R BT.709 and BT.601."""
    made = VideoFrame(8, 8, "yuv444p")
    made.colorspace, made.color_range = matrix, 1
    samples = np.zeros((8, 8, 3), np.uint8)
    samples[..., 1] = 255
    assert np.abs(light(RgbToFrame(Colours.of(made), "yuv444p")(samples)) - green).max() <= 1


@pytest.mark.parametrize(("lines", "matrix"), [(719, Colorspace.ITU601), (720, Colorspace.ITU709)])
def test_a_clip_that_does_not_say_is_taken_for_what_players_take_it(lines, matrix):
    assert Colours(2, 0, 2, 2, lines).known_matrix == matrix


@pytest.mark.parametrize(
    ("layout", "known"),
    [
        ("yuv420p", ColorRange.MPEG),
        ("yuva420p", ColorRange.MPEG),
        ("nv12", ColorRange.MPEG),
        ("uyvy422", ColorRange.MPEG),
        ("yuyv422", ColorRange.MPEG),
        ("y210le", ColorRange.MPEG),
        ("yuvj420p", ColorRange.JPEG),
        ("gray", ColorRange.JPEG),
        ("rgb24", ColorRange.JPEG),
        ("gbrap", ColorRange.JPEG),
    ],
)
def test_a_range_that_is_not_told(layout, known):
    assert Colours(2, 0, 2, 2, 480).known_range(VideoFormat(layout)) == known


def test_frames_of_another_size_are_made_to_fit():
    unpack = FrameToRgb(frame("yuv420p", 1, 1))
    smaller = VideoFrame.from_ndarray(ramp(0), format="rgb24").reformat(format="yuv420p")
    assert unpack(smaller).shape == (240, 320, 3)


@pytest.mark.parametrize(
    ("layout", "dtype"),
    [("yuv420p", np.uint8), ("yuv422p10le", np.uint16), ("gray12le", np.uint16)],
)
def test_samples_are_as_deep_as_the_clip(layout, dtype):
    made = frame(layout, 1, 1)
    assert FrameToRgb(made)(made).dtype == dtype


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("layout", ["yuv420p", "yuvj422p", "yuv444p", "yuv420p10le"])
def test_a_clip_of_full_range_does_not_turn_green(layout, matrix, rng):
    """FFmpeg's own conversion takes half a level of both chromas each time."""
    made = VideoFrame.from_ndarray(
        rng.integers(60, 200, (48, 64, 3), np.uint8), format="rgb24"
    ).reformat(format="yuvj444p")
    made = made.reformat(
        format=layout, src_color_range=ColorRange.JPEG, dst_color_range=ColorRange.JPEG
    )
    made.colorspace, made.color_range = matrix, 2
    again = made
    for _ in range(4):
        again = RgbToFrame(Colours.of(made), layout)(FrameToRgb(made)(again))
    kind = np.uint16 if layout.endswith("le") else np.uint8
    for before, after in zip(made.planes, again.planes, strict=True):
        means = [
            np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width].mean()
            for plane in (before, after)
        ]
        assert abs(means[1] - means[0]) < 0.006 * (
            2 ** depth_bits(made.format) - 1
        )  # four passes took 2 of 255


@pytest.mark.parametrize("layout", ["gray", "gray10le", "gray12le", "gray16le"])
def test_grey_stays_as_bright_as_it_is(layout):
    made = frame(layout, 1, 0)
    again = made
    for _ in range(4):
        again = RgbToFrame(Colours.of(made), layout)(FrameToRgb(made)(again))
    assert np.abs(light(again) - light(made)).max() == 0


def test_white_of_deep_grey_is_white():
    made = VideoFrame(8, 8, "gray10le")
    made.planes[0].update(np.full(made.planes[0].buffer_size // 2, 1023, np.uint16).tobytes())
    assert FrameToRgb(made)(made).min() == 65535


@pytest.mark.parametrize("matrix", [1, 5])
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("out.mpg", "mpeg2video"),
        ("out.wmv", "msmpeg4"),
        ("out.avi", "mpeg4"),
        ("out.ogv", "libvpx"),
        ("out.mkv", "mjpeg"),
    ],
)
def test_colours_survive_codecs_that_cannot_name_them(name, codec, matrix, make_clip):
    source = make_clip(
        "clip.mkv",
        sound=None,
        layout="yuv420p",
        color_range=2,
        colorspace=matrix,
        options={"qp": "1"},
    )
    restore_clip(source, source.with_name(name), copying, codec=codec)
    means = [
        np.mean([as_shown(shot) for shot in decoded(path)], axis=(0, 1, 2))
        for path in (source, source.with_name(name))
    ]
    assert np.abs(means[0] - means[1]).max() < 1


def as_shown(shot: VideoFrame) -> np.ndarray:
    """Samples of a frame, by what it says of itself and what players take for granted."""
    return FrameToRgb(shot)(shot).astype(float)
