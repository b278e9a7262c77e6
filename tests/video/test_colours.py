"""Conversion between frames and RGB."""

from __future__ import annotations

import numpy as np
import pytest
from av import VideoFrame
from av.video.format import VideoFormat
from av.video.reformatter import ColorRange, Colorspace
from helpers.clips import decode, luma, ramp, restore

from derain.video.colours import Colours, FrameToRgb, RgbToFrame, depth_bits


def make_frame(layout: str, matrix: int, color_range: int) -> VideoFrame:
    frame = VideoFrame.from_ndarray(ramp(0, (320, 240)), format="rgb24").reformat(format=layout)
    frame.colorspace, frame.color_range = matrix, color_range
    return frame


def convert_repeatedly(frame: VideoFrame, *, times: int) -> VideoFrame:
    result = frame
    for _ in range(times):
        rgb = FrameToRgb(frame)(result)
        result = RgbToFrame(Colours.of(frame), frame.format.name)(rgb)
    return result


@pytest.mark.parametrize("color_range", [1, 2])
@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize(
    ("layout", "min_psnr"), [("yuv420p", 60), ("yuv444p", 60), ("yuv420p10le", 55)]
)
def test_round_trip_of_a_frame(layout, min_psnr, matrix, color_range):
    before = make_frame(layout, matrix, color_range)
    after = convert_repeatedly(before, times=1)
    white = 2 ** depth_bits(before.format) - 1
    error = np.square(luma(after) - luma(before)).mean().clip(1e-9)
    assert 10 * np.log10(white**2 / error) > min_psnr


@pytest.mark.parametrize(("color_range", "white"), [(1, 235), (2, 255)])
def test_white_of_both_ranges(color_range, white):
    frame = VideoFrame(8, 8, "yuv420p")
    for plane, value in zip(frame.planes, (white, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.colorspace, frame.color_range = 1, color_range
    assert FrameToRgb(frame)(frame).min() >= 254


@pytest.mark.parametrize(("matrix", "green"), [(1, 173), (5, 145)])
def test_matrix_of_the_clip_is_used(matrix, green):
    """Studio luma of pure green: 16 + 219 * Kg, by ITU-R BT.709 and BT.601."""
    frame = VideoFrame(8, 8, "yuv444p")
    frame.colorspace, frame.color_range = matrix, 1
    image = np.zeros((8, 8, 3), np.uint8)
    image[..., 1] = 255
    assert np.abs(luma(RgbToFrame(Colours.of(frame), "yuv444p")(image)) - green).max() <= 1


@pytest.mark.parametrize(("lines", "matrix"), [(719, Colorspace.ITU601), (720, Colorspace.ITU709)])
def test_default_matrix(lines, matrix):
    assert Colours(2, 0, 2, 2, lines).known_matrix == matrix


@pytest.mark.parametrize(
    ("layout", "expected"),
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
def test_default_range(layout, expected):
    assert Colours(2, 0, 2, 2, 480).known_range(VideoFormat(layout)) == expected


def test_frames_of_another_size_are_scaled():
    to_rgb = FrameToRgb(make_frame("yuv420p", 1, 1))
    smaller = VideoFrame.from_ndarray(ramp(0), format="rgb24").reformat(format="yuv420p")
    assert to_rgb(smaller).shape == (240, 320, 3)


@pytest.mark.parametrize(
    ("layout", "dtype"),
    [("yuv420p", np.uint8), ("yuv422p10le", np.uint16), ("gray12le", np.uint16)],
)
def test_dtype_follows_the_depth(layout, dtype):
    frame = make_frame(layout, 1, 1)
    assert FrameToRgb(frame)(frame).dtype == dtype


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("layout", ["yuv420p", "yuvj422p", "yuv444p", "yuv420p10le"])
def test_full_range_does_not_turn_green(layout, matrix, rng):
    """FFmpeg's own conversion reduces both chroma planes by half a level each time."""
    image = rng.integers(60, 200, (48, 64, 3), np.uint8)
    frame = VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuvj444p")
    frame = frame.reformat(
        format=layout, src_color_range=ColorRange.JPEG, dst_color_range=ColorRange.JPEG
    )
    frame.colorspace, frame.color_range = matrix, 2
    result = convert_repeatedly(frame, times=4)
    dtype = np.uint16 if layout.endswith("le") else np.uint8
    white = 2 ** depth_bits(frame.format) - 1
    for planes in zip(frame.planes, result.planes, strict=True):
        before, after = (
            np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width].mean()
            for plane in planes
        )
        assert abs(after - before) < 0.006 * white  # FFmpeg's conversion: 2 of 255


@pytest.mark.parametrize("color_range", [0, 1, 2])
@pytest.mark.parametrize("layout", ["gray", "gray10le", "gray12le", "gray16le"])
def test_grey_is_exact(layout, color_range):
    frame = make_frame(layout, 1, color_range)
    bits = depth_bits(frame.format)
    before = luma(frame)
    if color_range == 1:
        before = before.clip(16 << (bits - 8), 235 << (bits - 8))
    assert np.abs(luma(convert_repeatedly(frame, times=4)) - before).max() == 0


@pytest.mark.parametrize("target", ["yuv420p", "yuv420p10le", "yuvj420p"])
@pytest.mark.parametrize(("layout", "white"), [("gray", 235), ("gray10le", 940)])
def test_studio_range_of_grey_is_kept_in_colour(layout, white, target):
    """AV1 has grey, but its encoder has none."""
    frame = make_frame(layout, 1, 1)
    dtype = np.uint8 if layout == "gray" else np.uint16
    plane = frame.planes[0]
    plane.update(np.full(plane.buffer_size // dtype().itemsize, white, dtype).tobytes())
    rgb = FrameToRgb(frame)(frame)
    assert rgb.min() == np.iinfo(dtype).max
    codec = "mjpeg" if target == "yuvj420p" else None
    written = luma(RgbToFrame(Colours.of(frame), target, codec=codec)(rgb))
    expected = {"yuv420p": 235, "yuv420p10le": 940, "yuvj420p": 255}[target]
    assert np.abs(written - expected).max() <= 3


@pytest.mark.parametrize("layout", ["gray10le", "yuv420p10le", "yuv444p12le", "gbrp10le"])
def test_full_range_white_stays_white(layout):
    white = np.full((8, 8, 3), 65535, np.uint16)
    frame = RgbToFrame(Colours(1, 2, 1, 1, 8), layout)(white)
    assert FrameToRgb(frame)(frame).min() == 65535
    assert luma(convert_repeatedly(frame, times=4)).min() == 2 ** depth_bits(frame.format) - 1


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
def test_codecs_without_a_colour_description(name, codec, matrix, make_clip):
    options = {"color_range": 2, "colorspace": matrix, "options": {"qp": "1"}}
    source = make_clip("clip.mkv", sound=None, frames=8, **options)
    target, _ = restore(source, name, codec=codec)
    # converted as players do, which assume what the clip does not say
    before, after = (
        np.mean([FrameToRgb(frame)(frame).astype(float) for frame in decode(path)], axis=(0, 1, 2))
        for path in (source, target)
    )
    assert np.abs(after - before).max() < 1


@pytest.mark.parametrize("target", ["out.avi", "out.mp4"])
@pytest.mark.parametrize(("matrix", "color_range"), [(1, 1), (1, 2), (5, 2)])
def test_lossless_video_without_a_colour_description(matrix, color_range, target, make_clip):
    source = make_clip(
        "clip.mkv",
        codec="ffv1",
        layout="yuv444p",
        sound=None,
        frames=2,
        colorspace=matrix,
        color_range=color_range,
    )
    before, after = (decode(path)[0] for path in (source, restore(source, target)[0]))
    looks = [FrameToRgb(frame)(frame).astype(int) for frame in (before, after)]
    assert np.abs(looks[0] - looks[1]).mean() < 1


@pytest.mark.parametrize("target", ["out.mkv", "out.mov"])
@pytest.mark.parametrize("color_range", [0, 1, 2])
def test_grey_clip_keeps_its_brightness(color_range, target, make_clip):
    grey = {"codec": "ffv1", "layout": "gray", "color_range": color_range}
    source = make_clip("clip.mkv", sound=None, frames=2, **grey)
    before, after = (decode(path)[0] for path in (source, restore(source, target)[0]))
    looks = [FrameToRgb(frame)(frame).astype(int) for frame in (before, after)]
    assert np.abs(looks[0] - looks[1]).mean() < 2
