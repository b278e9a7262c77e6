"""What the formats of clips can hold, by the suffix of their names; measured with FFmpeg 8.1."""

from __future__ import annotations

from pathlib import Path

FORMATS = {".m4v": "mp4"}
"""FFmpeg's format of a suffix for which it knows a narrower one: its `ipod` refuses HEVC, and the rest of a .m4v is MP4."""
USUAL = {".webm": "libvpx-vp9", ".ogv": "libvpx", ".y4m": "rawvideo", ".avi": "mpeg4", ".wmv": "msmpeg4"}
USUAL |= dict.fromkeys((".mpeg", ".mpg", ".mxf"), "mpeg2video")
"""The encoder where H.264 does not belong, or would be shown at other times than it is to be; everywhere else it is libx264."""
OLD = {"h264", "hevc"}
HELD = {
    ".3gp": {"h264"},
    ".flv": OLD | {"av1", "vp9"},
    ".mxf": {"h264", "prores", "ffv1"},
    ".ogv": {"vp8"},
    ".webm": {"vp8", "vp9", "av1"},
    ".wmv": set[str](),
    ".y4m": {"rawvideo"},
    **dict.fromkeys((".ts", ".mts", ".m2ts", ".mpeg", ".mpg"), OLD),
}
"""Containers that hold nothing but some codecs, of those that derain keeps."""
LOSSLESS = {"ffvhuff", "huffyuv", "utvideo", "rawvideo"}
NOT_HELD = {
    ".avi": {"hevc", "prores"},
    ".mkv": LOSSLESS - {"rawvideo"},
    ".mov": LOSSLESS | {"ffv1", "av1", "vp8", "vp9"},
    **dict.fromkeys((".mp4", ".m4v"), LOSSLESS | {"vp8", "prores"}),
}
"""Codecs that others do not hold."""
IN_ORDER = {".avi", ".flv", ".mpeg", ".mpg", ".mxf", ".wmv"}
"""Formats that cannot say when a frame is shown which is coded before its predecessor, or only by moving all of them."""
TRANSPORT = {".ts", ".mts", ".m2ts"}
"""Streams whose clock begins where the first coded frame says."""
MOVIES = {"mp4", "mov", "3gp"}
"""FFmpeg's names of the formats that are one family: boxes of ISO/IEC 14496-12."""
MATROSKA = "matroska"
TURNING = MOVIES | {MATROSKA, "webm"}
"""Formats that say how a player is to turn the picture."""
TIMECODED = MOVIES - {"3gp"} | {MATROSKA, "webm", "mxf"}
"""Formats that hold the time code of the first frame, and make it of the tag `timecode` of the moving picture."""

NEVER_EMPTY = {"mxf"}
"""Formats whose files do not end without a picture."""


def holds(suffix: str, codec: str) -> bool:
    """Whether a clip whose name ends with `suffix` can hold pictures of a codec, by FFmpeg's name of it."""
    return codec in HELD.get(suffix, {codec}) and codec not in NOT_HELD.get(suffix, ())


def url_of(path: Path) -> str:
    """A path for FFmpeg, which takes what stands before a colon for a protocol."""
    return f"file:{path}"
