"""What derain takes for a clip by its name. Imports nothing: the command line asks before it knows what is to be done."""

SUFFIXES = {
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
"""What a clip is called that derain reads and writes."""
READ_ONLY = {".264", ".265", ".3g2", ".asf", ".dav", ".h264", ".hevc", ".mjpeg", ".mjpg", ".vob"}
"""What recorders write besides, without the times of frames or in formats that hold little; results of these are Matroska."""
READ = SUFFIXES | READ_ONLY
HOLDING = ".mkv"
"""The format that holds nearly everything."""
PIPE = "-"
"""Stands for standard input, and as the output for standard output."""
