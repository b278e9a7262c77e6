"""Files to pixels and back, with all metadata that the target format can hold."""

from derain.pictures.open_image import MAX_MEGAPIXELS
from derain.pictures.picture import FrameDisplay, JpegCoding, Metadata, Picture, Pixels
from derain.pictures.reader import count_frames, read, read_frames
from derain.pictures.writer import check_fits, omissions_when_writing, write, write_frames

__all__ = [
    "MAX_MEGAPIXELS",
    "FrameDisplay",
    "JpegCoding",
    "Metadata",
    "Picture",
    "Pixels",
    "check_fits",
    "count_frames",
    "omissions_when_writing",
    "read",
    "read_frames",
    "write",
    "write_frames",
]
