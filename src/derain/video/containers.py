"""What the formats of clips can hold, by the suffix of their names; measured with FFmpeg 8.1."""

from __future__ import annotations

from pathlib import Path

FORMATS = {".m4v": "mp4"}
"""FFmpeg's format of a suffix for which it knows a narrower one: its `ipod` refuses HEVC, and the rest of a .m4v is MP4."""
USUAL = {
    ".webm": "libvpx-vp9",
    ".ogv": "libvpx",
    ".y4m": "rawvideo",
    ".avi": "mpeg4",
    ".wmv": "msmpeg4",
}
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

RATED = {"yuv4mpegpipe", "mxf"}
"""FFmpeg's names of the formats that say how many frames a second there are, and nothing of the time of each."""
COUNTING = {"avi", "ogv", "ogg"}
"""Formats that count time in frames: one may be shown for several, but not for a part of one."""
SOUND_IN_A_ROW = {"avi"}
"""Formats that play the packets of sound one after the other, whenever they are to be played."""
TIMED_TWICE = {"mpeg"}
"""Formats whose readers believe the rate that the pictures say more than the time of each."""
COVERED = MOVIES - {"mov", "3gp"} | {MATROSKA}
"""Formats that hold a still which stands for the whole clip."""
IN_TRANSPORT = {
    "aac",
    "aac_latm",
    "ac3",
    "eac3",
    "ac4",
    "mp1",
    "mp2",
    "mp3",
    "dts",
    "truehd",
    "opus",
    "s302m",
    "pcm_bluray",
}
IN_TRANSPORT |= {
    "dvb_subtitle",
    "dvb_teletext",
    "hdmv_pgs_subtitle",
    "hdmv_text_subtitle",
    "arib_caption",
}
IN_TRANSPORT |= {"klv", "timed_id3", "smpte_2038", "scte_35", "epg"}
IN_TRANSPORT |= {"h264", "hevc", "vvc", "mpeg1video", "mpeg2video", "mpeg4", "vc1"}
"""What an MPEG transport stream has a number for, by FFmpeg's names; all else goes in, but nothing finds out again what it is."""
LOST_WITHIN = {"avi": {"eac3"}}
"""Streams that a format takes and that do not come out of it as they went in."""
NEVER_EMPTY = {"mxf"}
"""Formats whose files do not end without a picture."""


def can_hold(suffix: str, codec: str) -> bool:
    """Whether a clip whose name ends with `suffix` can hold pictures of a codec, by FFmpeg's name of it."""
    return codec in HELD.get(suffix, {codec}) and codec not in NOT_HELD.get(suffix, ())


def can_copy(form: str, codec: str | None, *, is_cover: bool) -> bool:
    """Whether a stream that is handed through, of a codec or of none, can be read again from a format of FFmpeg's name."""
    if is_cover:
        return form in COVERED
    return (
        form != "mpegts" or codec is None or codec in IN_TRANSPORT
    ) and codec not in LOST_WITHIN.get(form, ())


def ffmpeg_url(path: Path) -> str:
    """A path for FFmpeg, which takes what stands before a colon for a protocol."""
    return f"file:{path}"
