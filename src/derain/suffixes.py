"""Suffixes of the files that derain reads and writes. Imports nothing, so that the command line can use it at once."""

PICTURE_FORMATS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "AVIF": (".avif",),
    "HEIC": (".heic", ".heif", ".hif"),
}
"""Picture formats and their suffixes, the usual one first."""
PICTURE_SUFFIXES = frozenset(
    suffix for suffixes in PICTURE_FORMATS.values() for suffix in suffixes
)
"""Suffixes of pictures; `derain.pictures` reads and writes all of them."""
CLIP_SUFFIXES = {
    ".3gp",
    ".avi",
    ".flv",
    ".m2ts",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".mts",
    ".mxf",
    ".ogv",
    ".ts",
    ".webm",
    ".wmv",
    ".y4m",
}
"""Suffixes of clips that derain reads and writes."""
READ_ONLY_CLIP_SUFFIXES = {
    ".264",
    ".265",
    ".3g2",
    ".asf",
    ".dav",
    ".h264",
    ".hevc",
    ".mjpeg",
    ".mjpg",
    ".vob",
}
"""Suffixes of clips that derain reads only: formats of recorders without frame times or with few codecs.

Their results are written as Matroska.
"""
READABLE_CLIP_SUFFIXES = CLIP_SUFFIXES | READ_ONLY_CLIP_SUFFIXES
MATROSKA = ".mkv"
"""The container that holds nearly every codec."""
PIPE = "-"
"""Stands for standard input and, as the output, for standard output."""
