"""Suffixes of pictures and clips. Imports nothing, so that the command line starts quickly."""

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
PICTURE_SUFFIXES = frozenset(suffix for suffixes in PICTURE_FORMATS.values() for suffix in suffixes)
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
"""Suffixes of clips that derain only reads; their results are Matroska.

Cameras and recorders write these formats. They store no frame times, or support few codecs.
"""
READABLE_CLIP_SUFFIXES = CLIP_SUFFIXES | READ_ONLY_CLIP_SUFFIXES
"""Suffixes of clips that derain reads."""
MATROSKA = ".mkv"
"""The container that holds nearly every codec."""
PIPE = "-"
"""Stands for standard input, or for standard output as the output."""
