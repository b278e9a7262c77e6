"""Encoders: one function a format writes a `Picture`, or the frames of an animation, to a file."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, BinaryIO

from PIL import Image, ImageFile

from derain.pictures.bmp import write_bmp_with_alpha
from derain.pictures.exif import without_orientation
from derain.pictures.gif import with_xmp
from derain.pictures.heif import with_colour_codes, write_heic
from derain.pictures.jpeg_segments import pack_segments
from derain.pictures.photoshop import jpeg_segments
from derain.pictures.picture import FrameDisplay, Metadata, Picture
from derain.pictures.pillow_arrays import is_grey_profile, pillow_image
from derain.pictures.png16 import write_png16
from derain.pictures.png_chunks import ChunkInserter, png_chunks
from derain.pictures.tiff import write_pages, write_tiff

Options = dict[str, Any]
"""Arguments of `PIL.Image.Image.save`."""
QUALITY = 90
"""Quality of a lossy WebP, AVIF or HEIC. These files do not record it."""
JPEG_QUALITY = 95
"""Quality of a JPEG made from another format."""
AVIF_CHROMA = {1: "4:2:2", 2: "4:2:0"}
"""Pillow's name of an AVIF's chroma subsampling, by its code of a JPEG's."""
MAX_QUANTISER = 255
MAX_JPEG_BYTES = {"exif": 65527, "xmp": 65504}
"""Longest fields of the metadata in a JPEG segment, without their prefixes."""
MAX_JPEG_BYTES_PER_SAMPLE = 2
"""Upper bound, also for noise; the largest measured is 1.2."""
TICK_MS = {"GIF": 10, "WEBP": 1, "AVIF": 1}
"""Unit of the durations of an animation. A PNG has fractions."""
_buffer_lock = threading.Lock()


def _png_options(metadata: Metadata) -> Options:
    return _set_fields(metadata, "exif", "icc", "dpi")


def _jpeg_options(metadata: Metadata) -> Options:
    options: Options = {"quality": JPEG_QUALITY, "subsampling": 0}
    if metadata.jpeg is not None:
        options = {
            # larger numbers are invalid in a baseline JPEG; libjpeg would warn on stderr
            "qtables": [
                [min(number, MAX_QUANTISER) for number in table] for table in metadata.jpeg.tables
            ],
            "progressive": metadata.jpeg.progressive,
            # Pillow writes three subsamplings; any other keeps the full chroma
            "subsampling": max(metadata.jpeg.subsampling, 0),
        }
    too_long = oversized_in_jpeg(metadata)
    options |= _set_fields(metadata, "icc", "dpi", *({"exif", "xmp"} - too_long))
    if "exif" in options:
        options["exif"] = b"Exif\0\0" + options["exif"]
    # Pillow's own option takes a single comment, and rejects a long one
    comments = (pack_segments(b"\xfe", comment) for comment in metadata.comments)
    segments = jpeg_segments(metadata.photoshop or b"") + b"".join(comments)
    return options | ({"extra": segments} if segments else {})


def oversized_in_jpeg(metadata: Metadata) -> set[str]:
    """Return the fields of the metadata that do not fit into a segment of a JPEG."""
    return {
        name
        for name, limit in MAX_JPEG_BYTES.items()
        if len(getattr(metadata, name) or b"") > limit
    }


def _webp_options(metadata: Metadata) -> Options:
    options: Options = (
        {"lossless": True, "exact": True} if metadata.webp_lossless else {"quality": QUALITY}
    )
    fields = ["exif", "xmp"] if is_grey_profile(metadata.icc) else ["exif", "xmp", "icc"]
    return options | _set_fields(metadata, *fields)


def _heic_options(metadata: Metadata) -> Options:
    return {"quality": QUALITY, **_set_fields(metadata, "exif", "icc", "xmp")}


def _avif_options(metadata: Metadata) -> Options:
    jpeg = metadata.jpeg.subsampling if metadata.jpeg is not None else -1
    chroma = metadata.avif_chroma or AVIF_CHROMA.get(jpeg, "4:4:4")
    options = {"subsampling": chroma, **_heic_options(metadata)}
    if metadata.exif:
        # Pillow encodes EXIF with an orientation once more, which damages texts and maker notes
        options["exif"] = without_orientation(metadata.exif)
    return options


def _gif_options(metadata: Metadata) -> Options:
    return {"comment": b"\n".join(metadata.comments)} if metadata.comments else {}


def _write_png(picture: Picture, file: BinaryIO) -> None:
    if picture.depth_bits == 16:
        write_png16(picture, file)
    else:
        with_chunks: Any = ChunkInserter(file, png_chunks(picture.metadata))
        pillow_image(picture).save(with_chunks, "PNG", **_png_options(picture.metadata))


def _write_jpeg(picture: Picture, file: BinaryIO) -> None:
    options = _jpeg_options(picture.metadata)
    if picture.grey:  # no chroma to subsample
        options.pop("subsampling", None)
    image = pillow_image(picture)
    is_progressive = options.get("progressive")
    size = MAX_JPEG_BYTES_PER_SAMPLE * picture.image.size
    with _pillow_buffer(size) if is_progressive else nullcontext():
        image.save(file, "JPEG", **options)


@contextmanager
def _pillow_buffer(size: int) -> Iterator[None]:
    """Give Pillow a buffer of `size` bytes.

    It must hold a whole progressive JPEG, and Pillow's estimate is too small for noise.
    """
    with _buffer_lock:
        default = ImageFile.MAXBLOCK
        ImageFile.MAXBLOCK = max(default, size)
        try:
            yield
        finally:
            ImageFile.MAXBLOCK = default


def _write_webp(picture: Picture, file: BinaryIO) -> None:
    pillow_image(picture).save(file, "WEBP", **_webp_options(picture.metadata))


def _write_bmp(picture: Picture, file: BinaryIO) -> None:
    if picture.alpha is None:
        pillow_image(picture).save(file, "BMP", **_set_fields(picture.metadata, "dpi"))
    else:
        write_bmp_with_alpha(picture, file)


def _write_gif(picture: Picture, file: BinaryIO) -> None:
    buffer = io.BytesIO()
    _gif_image(picture).save(buffer, "GIF", **_gif_options(picture.metadata))
    file.write(with_xmp(buffer.getvalue(), picture.metadata.xmp))


def _gif_image(picture: Picture) -> Image.Image:
    image = pillow_image(picture)
    # Pillow drops the alpha of LA in a GIF
    return image.convert("RGBA") if image.mode == "LA" else image


def _write_avif(picture: Picture, file: BinaryIO) -> None:
    buffer, image = io.BytesIO(), pillow_image(picture)
    image.save(buffer, "AVIF", **_for_mode(image, _avif_options(picture.metadata)))
    file.write(with_colour_codes(buffer.getvalue(), picture.metadata.colour_codes))


def _for_mode(image: Image.Image, options: Options) -> Options:
    """Return options without chroma for a grey image, which would become colour otherwise."""
    return {
        name: value for name, value in options.items() if image.mode != "L" or name != "subsampling"
    }


def _write_heic(picture: Picture, file: BinaryIO) -> None:
    write_heic(picture, file, options=_heic_options(picture.metadata))


WRITERS: dict[str, Callable[[Picture, BinaryIO], None]] = {
    "PNG": _write_png,
    "JPEG": _write_jpeg,
    "WEBP": _write_webp,
    "TIFF": write_tiff,
    "BMP": _write_bmp,
    "GIF": _write_gif,
    "AVIF": _write_avif,
    "HEIC": _write_heic,
}


def _animation_writer(
    format_name: str, make_options: Callable[[Metadata], Options]
) -> Callable[[Iterable[Picture], BinaryIO], None]:
    def write(frames: Iterable[Picture], file: BinaryIO) -> None:
        images: list[Image.Image] = []
        displays: list[FrameDisplay] = []
        metadata = Metadata()
        for frame in frames:
            if format_name != "PNG" and is_separate_still(frame):
                continue
            if not images:  # the first frame describes the file
                metadata = frame.metadata
            displays.append(frame.metadata.display or FrameDisplay(0, None))
            images.append(_gif_image(frame) if format_name == "GIF" else pillow_image(frame))
        options = _for_mode(images[0], make_options(metadata))
        options |= _display_options(format_name, displays)
        options |= _transparency_options(format_name, images)
        options |= {"save_all": True, "append_images": images[1:]}
        buffer = io.BytesIO()
        target: Any = buffer
        if format_name == "PNG":
            target = ChunkInserter(buffer, png_chunks(metadata))
        images[0].save(target, format_name, **options)
        data = with_colour_codes(buffer.getvalue(), metadata.colour_codes)
        file.write(with_xmp(data, metadata.xmp) if format_name == "GIF" else data)

    return write


def _display_options(format_name: str, displays: Sequence[FrameDisplay]) -> Options:
    """Return durations, loop and still of an animation as Pillow's options."""
    durations = [display.duration_ms for display in displays if display.duration_ms is not None]
    if format_name in TICK_MS:
        durations = _round_to_ticks(durations, TICK_MS[format_name])
    options: Options = {"duration": durations}
    if displays[0].duration_ms is None:
        options["default_image"] = True
    if displays[-1].loop is not None and format_name != "AVIF":
        options["loop"] = displays[-1].loop
    return options


def _transparency_options(format_name: str, images: Iterable[Image.Image]) -> Options:
    """Return what keeps old pixels from showing through transparent ones, as Pillow's options."""
    if not any(image.mode.endswith("A") for image in images):
        return {}
    if format_name == "GIF":
        return {"disposal": 2}
    if format_name == "WEBP":
        # complete frames: libwebp loses transparency in differences between frames
        return {"kmin": 1, "kmax": 1}
    return {}


def is_separate_still(frame: Picture) -> bool:
    """True for the still of an APNG, which is not a frame of the animation."""
    display = frame.metadata.display
    return display is not None and display.duration_ms is None


def _round_to_ticks(durations: Iterable[float], tick_ms: int) -> list[float]:
    """Return durations in whole ticks.

    The ends of the frames are rounded, not the durations, so that the total is preserved.
    """
    ends = [round(end / tick_ms) * tick_ms for end in itertools.accumulate(durations)]
    return [end - start for start, end in itertools.pairwise([0, *ends])]


ANIMATION_WRITERS: dict[str, Callable[[Iterable[Picture], BinaryIO], None]] = {
    "GIF": _animation_writer("GIF", _gif_options),
    "PNG": _animation_writer("PNG", _png_options),
    "WEBP": _animation_writer("WEBP", _webp_options),
    "AVIF": _animation_writer("AVIF", _avif_options),
    "TIFF": write_pages,
}


def _set_fields(metadata: Metadata, *names: str) -> Options:
    """Return the named fields that are set, as options of Pillow's writers."""
    values = {name: getattr(metadata, name) for name in names}
    return {
        "icc_profile" if name == "icc" else name: value for name, value in values.items() if value
    }
