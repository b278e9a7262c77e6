"""Files to pixels and back: what a photo carries besides its pixels survives."""

from derain.picture.picture import JpegCoding, Metadata, Picture, Pixels
from derain.picture.reader import MAX_MEGAPIXELS, read
from derain.picture.writer import FORMATS, write

__all__ = ["FORMATS", "MAX_MEGAPIXELS", "JpegCoding", "Metadata", "Picture", "Pixels", "read", "write"]
