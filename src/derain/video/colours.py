"""Frames of a clip to red, green and blue, and back by the same way.

By FFmpeg's default, which is fast, a frame that nobody changed comes back with 48 dB of luma; by the flags below with 64 and
more, in 3 ms for 640 x 360 (2026-11-23, FFmpeg 8.1, one thread of a Zen 5 core).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from derain.pictures import Pixels

ACCURATE = (
    Interpolation.BICUBIC
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.ACCURATE_RND
)
MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
}
MATRICES |= {9: Colorspace.BT2020, 10: Colorspace.BT2020}
"""The names of ITU-T H.273, table 4, that FFmpeg converts."""
LUMA = {
    Colorspace.ITU709: (0.2126, 0.0722),
    Colorspace.FCC: (0.30, 0.11),
    Colorspace.ITU601: (0.299, 0.114),
    Colorspace.SMPTE240M: (0.212, 0.087),
    Colorspace.BT2020: (0.2627, 0.0593),
}
"""The shares of red and blue in the luma of each (H.273, table 4)."""
RGB = 0
"""Its name for no matrix at all."""
UNKNOWN = 2
"""Its name for what is not said."""
STUDIO, BT_601 = {"range": int(ColorRange.MPEG)}, {"matrix": int(Colorspace.ITU601)}
FIXED: dict[str, dict[str, int]] = {
    "mjpeg": {"range": int(ColorRange.JPEG), **BT_601},
    "mpeg2video": STUDIO,
    "libvpx": STUDIO | BT_601,
    **dict.fromkeys(("mpeg4", "msmpeg4"), STUDIO | {"matrix": UNKNOWN}),
}
"""What encoders cannot write, and players therefore take for granted."""
HD_LINES = 720
"""From here on a clip that does not say is taken for BT.709, below for BT.601, as players do."""


@dataclass(frozen=True)
class Colours:
    """What the numbers of a clip stand for, in the codes of ITU-T H.273 as its frames give them."""

    matrix: int
    range: int
    primaries: int
    transfer: int
    lines: int

    @classmethod
    def of(cls, frame: VideoFrame) -> Colours:
        """The colours of a clip, from its first frame."""
        return cls(
            frame.colorspace,
            frame.color_range,
            frame.color_primaries,
            frame.color_trc,
            frame.height,
        )

    def written_as(self, layout: VideoFormat, codec: str | None = None) -> Colours:
        """The same as far as a codec can say it.

        With a matrix for luma and chroma, if the clip was RGB, which has none, and `layout` is not.
        """
        if layout.is_rgb:
            return self
        told = replace(self, matrix=int(self.known_matrix)) if self.matrix == RGB else self
        return replace(told, **FIXED.get(codec or "", {}))

    @property
    def known_matrix(self) -> Colorspace:
        """The matrix, guessed where the clip does not say."""
        return MATRICES.get(
            self.matrix, Colorspace.ITU709 if self.lines >= HD_LINES else Colorspace.ITU601
        )

    def known_range(self, layout: VideoFormat) -> ColorRange:
        """The range, guessed where the clip does not say: studio for luma and chroma, full for all else."""
        if self.range in {ColorRange.MPEG, ColorRange.JPEG}:
            return ColorRange(self.range)
        has_chroma = not layout.is_rgb and len(layout.components) - has_alpha(layout) == 3
        is_studio = has_chroma and not layout.name.startswith(("yuvj", "xyz"))
        return ColorRange.MPEG if is_studio else ColorRange.JPEG


class FrameToRgb:
    """Frames to samples, all of the size of the first; one for each thread."""

    def __init__(self, first: VideoFrame) -> None:
        self.colours = Colours.of(first)
        self.size = first.width, first.height
        self.is_deep = depth_bits(first.format) > 8
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> Pixels:
        """(H, W, 3), uint8, or uint16 if the clip has more than 8 bits."""
        if (
            _is_deep_grey(frame.format)
            and self.colours.known_range(frame.format) == ColorRange.JPEG
            and self._fits(frame)
        ):
            return _from_grey(frame)
        frame = self._reformatter.reformat(
            frame,
            *self.size,
            format="rgb48le" if self.is_deep else "rgb24",
            src_colorspace=self.colours.known_matrix,
            dst_colorspace=self.colours.known_matrix,
            src_color_range=self.colours.known_range(frame.format),
            dst_color_range=ColorRange.JPEG,
            interpolation=ACCURATE,
            threads=1,
        )
        return frame.to_ndarray().astype(np.uint16 if self.is_deep else np.uint8, copy=False)

    def _fits(self, frame: VideoFrame) -> bool:
        return (frame.width, frame.height) == self.size


class RgbToFrame:
    """Samples to frames of one layout; one for each thread."""

    def __init__(self, colours: Colours, layout: str, *, codec: str | None = None) -> None:
        """`codec` is the encoder that the frames are for."""
        self.layout = VideoFormat(layout)
        self.colours = colours.written_as(self.layout, codec)
        self._is_grey = self.layout.name == "gray" or _is_deep_grey(self.layout)
        has_luma = self._is_grey or (len(self.layout.components) > 1 and not self.layout.is_rgb)
        self._is_full = has_luma and self.colours.known_range(self.layout) == ColorRange.JPEG
        self._reformatter = VideoReformatter()

    def __call__(self, samples: Pixels) -> VideoFrame:
        """A frame with the colours of the clip that the samples, (H, W, 3), come from."""
        if self._is_full:
            frame = self._luma_and_chroma(samples)
        else:
            array: NDArray[Any] = np.ascontiguousarray(samples)
            frame = VideoFrame.from_ndarray(
                array, format="rgb48le" if samples.dtype == np.uint16 else "rgb24"
            )
        packed = self._reformatter.reformat(
            frame,
            format=self.layout.name,
            src_colorspace=self.colours.known_matrix,
            dst_colorspace=self.colours.known_matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=self.colours.known_range(self.layout),
            interpolation=ACCURATE,
            threads=1,
        )
        packed.colorspace, packed.color_range = self.colours.matrix, self.colours.range
        packed.color_primaries, packed.color_trc = self.colours.primaries, self.colours.transfer
        return packed

    def _luma_and_chroma(self, samples: Pixels) -> VideoFrame:
        """Full-range luma of every pixel, and chroma where the layout has it.

        FFmpeg rounds chroma down there, and a clip turns greener each time.
        """
        red, blue = LUMA[self.colours.known_matrix]
        bits = depth_bits(self.layout)
        most, kind = 2**bits - 1, np.uint8 if bits == 8 else np.uint16
        rgb = samples.astype(np.float32) * np.float32(most / np.iinfo(samples.dtype).max)
        luma = rgb @ np.array([red, 1 - red - blue, blue], np.float32)
        middle = np.float32(2 ** (bits - 1))
        chroma = [
            (rgb[..., i] - luma) * np.float32(0.5 / (1 - share)) + middle
            for i, share in ((2, blue), (0, red))
        ]
        whole = (
            self.layout.name if self._is_grey else "yuv444p" if bits == 8 else f"yuv444p{bits}le"
        )
        frame = VideoFrame(samples.shape[1], samples.shape[0], whole)
        for plane, values in zip(
            frame.planes, [luma] if self._is_grey else [luma, *chroma], strict=True
        ):
            rows = np.zeros((plane.height, plane.line_size // np.dtype(kind).itemsize), kind)
            rows[:, : plane.width] = np.rint(values).clip(0, most)
            plane.update(rows.tobytes())
        return frame


def _is_deep_grey(layout: VideoFormat) -> bool:
    return re.fullmatch(r"gray\d+le", layout.name) is not None


def _from_grey(frame: VideoFrame) -> Pixels:
    """(H, W, 3) uint16 of a full-range frame of deep grey, whose white FFmpeg takes for a little less than white."""
    plane, white = frame.planes[0], 2 ** depth_bits(frame.format) - 1
    rows = np.frombuffer(bytes(plane), "<u2").reshape(plane.height, -1)[:, : plane.width]
    grey = np.rint(rows * np.float32(65535 / white)).clip(0, 65535).astype(np.uint16)
    return np.repeat(grey[..., None], 3, axis=-1)


def has_alpha(layout: VideoFormat) -> bool:
    """Whether pixels have a transparency."""
    return any(component.is_alpha for component in layout.components)


def depth_bits(layout: VideoFormat) -> int:
    """Bits of the deepest component."""
    return max((component.bits for component in layout.components), default=8)
