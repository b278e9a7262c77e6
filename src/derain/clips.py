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
PIPE = "-"
"""Stands for standard input, and as the output for standard output."""
