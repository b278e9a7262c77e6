"""`read`: a file to an upright `Picture`, or one sentence that says why not."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from derain.errors import PictureError
from derain.picture.deep import deep_channels, is_deep
from derain.picture.metadata import gather
from derain.picture.orientation import ORIENTATION, upright
from derain.picture.picture import Picture, Pixels, as_colour
from derain.picture.samples import UnreadableKindError, shallow_channels

MAX_MEGAPIXELS = 178
"""Pillow's own bound against files of a few kilobytes that unpack to more memory than there is."""
KINDS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "DIB")
SAME_KIND = {"MPO": "JPEG", "DIB": "BMP"}
"""A phone's MPO is a JPEG with a preview behind it, which shows the rain and is left out."""
_warnings_are_ours = threading.Lock()


def read(path: str | Path) -> Picture:
    """Read a PNG, JPEG, WebP, TIFF or BMP.

    The orientation in the metadata is applied to the pixels and taken out. 16 bits stay 16, grey stays grey; a palette and
    CMYK become RGB, the latter through its profile. Raises PictureError, and nothing else, for whatever is wrong with the file.
    """
    path = Path(path)
    try:
        if not path.is_dir() and path.stat().st_size == 0:
            raise PictureError(f"{path}: the file is empty (zero bytes); copy it again from where it came")
        with path.open("rb") as file, _opened(file) as image:
            return _decoded(image, file)
    except PictureError:
        raise
    except MemoryError as error:
        raise PictureError(f"{path}: there is not enough memory to hold it; close other programs or scale it down") from error
    except Exception as error:  # a damaged file may raise anything at all in a decoder
        raise PictureError(f"{path}: {_fact(error)}") from error


def _opened(file: BinaryIO) -> ImageFile.ImageFile:
    # Pillow warns about large pictures that derain is made for; the filter of warnings is shared by all threads
    with _warnings_are_ours, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(file, formats=KINDS)
    assert isinstance(image, ImageFile.ImageFile)
    return image


def _decoded(image: ImageFile.ImageFile, file: BinaryIO) -> Picture:
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise UnreadableKindError(f"it holds {frames} pictures, and derain reads files of one; save them one by one first")
    samples: Pixels = deep_channels(image, again=lambda: _opened(file)) if is_deep(image) else shallow_channels(image)
    orientation = image.getexif().get(ORIENTATION, 1)  # after decoding: Pillow has turned a TIFF, and then says 1
    samples = upright(samples, orientation)
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    colours = samples[..., 0] if channels == 2 else samples[..., :3] if channels == 4 else samples
    return Picture(
        pixels=as_colour(colours),
        alpha=np.ascontiguousarray(samples[..., -1]) if channels in {2, 4} else None,
        grey=channels < 3,
        format=SAME_KIND.get(str(image.format), str(image.format)),
        metadata=gather(image, file, orientation=orientation),
    )


def _fact(error: Exception) -> str:
    """What is wrong and what to do about it."""
    match error:
        case FileNotFoundError():
            return "there is no such file; check the spelling"
        case IsADirectoryError():
            return "is a folder, not a picture; name a file in it"
        case PermissionError():
            return "may not be read by this user; change its permissions (chmod +r)"
        case UnidentifiedImageError():
            return "is not a picture that derain reads (PNG, JPEG, WebP, TIFF, BMP); convert it first"
        case Image.DecompressionBombError():
            return f"has more pixels than the {MAX_MEGAPIXELS} megapixels that derain opens; scale it down or cut it up"
        case UnreadableKindError():
            return str(error)
    detail = str(error).strip() or type(error).__name__
    return f"is damaged or cut short ({detail}); copy it again from where it came"
