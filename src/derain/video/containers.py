"""Capabilities of container formats, measured with FFmpeg 8.1.

Sets of suffixes contain dots (".mkv"); the others contain FFmpeg's names of formats ("matroska").
"""

from __future__ import annotations

from pathlib import Path

FFMPEG_FORMATS = {".m4v": "mp4"}
"""FFmpeg formats to use in place of the one it derives from the suffix.

FFmpeg's `ipod` rejects HEVC; otherwise a .m4v is MP4.
"""
DEFAULT_ENCODERS = {
    ".webm": "libvpx-vp9",
    ".ogv": "libvpx",
    ".y4m": "rawvideo",
    ".avi": "mpeg4",
    ".wmv": "msmpeg4",
}
DEFAULT_ENCODERS |= dict.fromkeys((".mpeg", ".mpg", ".mxf"), "mpeg2video")
"""Default encoders where H.264 is not allowed or loses the frame times; libx264 elsewhere."""
MPEG_CODECS = {"h264", "hevc"}
SUPPORTED_CODECS = {
    ".3gp": {"h264"},
    ".flv": MPEG_CODECS | {"av1", "vp9"},
    ".mxf": {"h264", "prores", "ffv1"},
    ".ogv": {"vp8"},
    ".webm": {"vp8", "vp9", "av1"},
    ".wmv": set[str](),
    ".y4m": {"rawvideo"},
    **dict.fromkeys((".ts", ".mts", ".m2ts", ".mpeg", ".mpg"), MPEG_CODECS),
}
"""Containers that support only these of the codecs that derain keeps."""
LOSSLESS_CODECS = {"ffvhuff", "huffyuv", "utvideo", "rawvideo"}
RAW_LAYOUTS = {
    ".avi": ["yuv420p", "yuv422p", "yuv411p", "gray", "nv12", "yuyv422", "uyvy422", "bgr24"],
    ".mkv": ["yuv420p", "yuv422p", "yuv411p", "gray", "nv12", "yuyv422", "uyvy422"],
    ".y4m": ["yuv420p", "yuv422p", "yuv444p", "yuv411p", "gray"],
}
"""Pixel formats of raw video that can be read back; others are rejected or become another one."""
WITHOUT_COLOURS = {".avi", ".mp4", ".m4v"}
"""Containers that do not store the matrix and the range of lossless video, nor do its codecs."""
UNSUPPORTED_CODECS = {
    ".avi": {"hevc", "prores"},
    ".mkv": LOSSLESS_CODECS - {"rawvideo"},
    ".mov": LOSSLESS_CODECS | {"ffv1", "av1", "vp8", "vp9"},
    **dict.fromkeys((".mp4", ".m4v"), LOSSLESS_CODECS | {"vp8", "prores"}),
}
"""Containers that support all of the codecs that derain keeps, except these."""
WITHOUT_B_FRAMES = {".avi", ".flv", ".mpeg", ".mpg", ".mxf", ".wmv"}
"""Containers that cannot store the display time of a reordered frame, or only by shifting all."""
TRANSPORT_STREAMS = {".ts", ".mts", ".m2ts"}
"""Containers whose clock starts at the time of the first coded frame."""
WITHOUT_ORIGIN = TRANSPORT_STREAMS | {".mpeg", ".mpg", ".flv", ".wmv"}
"""Containers whose clock can begin at any time, so that parts of a stream fit together."""
MOVIES = {"mp4", "mov", "3gp"}
"""The family of ISO/IEC 14496-12."""
MATROSKA_FORMAT = "matroska"
ROTATING_FORMATS = MOVIES | {MATROSKA_FORMAT, "webm"}
"""Formats that store a rotation for the player."""
TIMECODE_FORMATS = MOVIES - {"3gp"} | {MATROSKA_FORMAT, "webm", "mxf"}
"""Formats that store the time code of the first frame, from the tag `timecode` of the video."""

CONSTANT_RATE_FORMATS = {"yuv4mpegpipe", "mxf"}
"""Formats that store a frame rate but no time stamps."""
FRAME_COUNTING_FORMATS = {"avi", "ogv", "ogg"}
"""Formats that count time in frames: a frame can last several periods, but no fraction of one."""
GAPLESS_AUDIO_FORMATS = {"avi"}
"""Formats that play audio packets back to back, whatever their time stamps."""
RATE_FIRST_FORMATS = {"mpeg"}
"""Formats whose players trust the frame rate in the video stream more than the time stamps."""
COVER_FORMATS = MOVIES - {"mov", "3gp"} | {MATROSKA_FORMAT}
"""Formats that store a cover picture."""
TRANSPORT_STREAM_CODECS = {
    *("aac", "aac_latm", "ac3", "eac3", "ac4", "mp1", "mp2", "mp3", "dts", "truehd"),
    *("opus", "s302m", "pcm_bluray"),
    *("dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle", "hdmv_text_subtitle", "arib_caption"),
    *("klv", "timed_id3", "smpte_2038", "scte_35", "epg"),
    *("h264", "hevc", "vvc", "mpeg1video", "mpeg2video", "mpeg4", "vc1"),
}
"""Codecs with a type number in MPEG transport streams.

FFmpeg writes other codecs too, but no reader can identify them.
"""
CORRUPTED_COPIES = {"avi": {"dts", "eac3", "speex"}}
"""Codecs that a format accepts but does not return unchanged."""
NEVER_EMPTY = {"mxf"}
"""Formats that cannot be finished without a frame."""


def can_hold(suffix: str, codec: str) -> bool:
    """True if a clip with this suffix supports a video codec (FFmpeg's name)."""
    supported = SUPPORTED_CODECS.get(suffix, {codec})
    return codec in supported and codec not in UNSUPPORTED_CODECS.get(suffix, ())


def can_copy(format_name: str, codec: str | None, *, is_cover: bool) -> bool:
    """True if a copied stream can be read back from this FFmpeg format; `codec` may be unknown."""
    if is_cover:
        return format_name in COVER_FORMATS
    if format_name == "mpegts" and codec is not None and codec not in TRANSPORT_STREAM_CODECS:
        return False
    return codec not in CORRUPTED_COPIES.get(format_name, ())


def ffmpeg_url(path: Path) -> str:
    """Return a path as a URL; otherwise FFmpeg would read the text before a colon as a protocol."""
    return f"file:{path}"
