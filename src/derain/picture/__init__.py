"""Files to pixels and back: what a photo carries besides its pixels survives."""

from derain.picture.opening import MAX_MEGAPIXELS
from derain.picture.picture import JpegCoding, Metadata, Picture, Pixels, Showing
from derain.picture.reader import count_frames, read, read_frames
from derain.picture.writer import FORMATS, PICTURE_SUFFIXES, check_fits, lost_by_writing, write, write_frames

__all__ = [
    "FORMATS",
    "MAX_MEGAPIXELS",
    "PICTURE_SUFFIXES",
    "JpegCoding",
    "Metadata",
    "Picture",
    "Pixels",
    "Showing",
    "check_fits",
    "count_frames",
    "lost_by_writing",
    "read",
    "read_frames",
    "write",
    "write_frames",
]
