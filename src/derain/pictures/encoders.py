"""One function for each kind of file: a `Picture`, or the frames of an animation, into an open file."""

from __future__ import annotations

import io
import itertools
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, BinaryIO

from PIL import Image, ImageFile

from derain.pictures.bmp import write_bmp_with_alpha
from derain.pictures.heif import with_colour_codes, write_heic
from derain.pictures.metadata import png_info
from derain.pictures.photoshop import jpeg_segments
from derain.pictures.picture import FrameDisplay, Metadata, Picture
from derain.pictures.pillow_arrays import is_for_grey, pillow_image
from derain.pictures.png16 import write_deep_png
from derain.pictures.tiff import write_pages, write_tiff

Options = dict[str, Any]
"""Arguments of `PIL.Image.Image.save`."""
QUALITY = 90
"""Of a lossy WebP, AVIF or HEIC, which do not say theirs."""
JPEG_CHROMA = {1: "4:2:2", 2: "4:2:0"}
"""Pillow's code of a JPEG's in an AVIF's words."""
MOST_COMMENT_BYTES = 65533
"""In a segment of a JPEG."""
MOST_JPEG_BYTES = 2
"""For a sample, of noise too; 1.2 is the most that we saw."""
_buffer_is_ours = threading.Lock()
TICK_MS = {"GIF": 10, "WEBP": 1, "AVIF": 1}
"""What the times of an animation are whole multiples of; a PNG has fractions."""


def _png(metadata: Metadata) -> Options:
    return {"pnginfo": png_info(metadata), **_given(metadata, "exif", "icc", "dpi")}


def _jpeg(metadata: Metadata) -> Options:
    options: Options = {
        "quality": 95,
        "subsampling": 0,
    }  # of what was not a JPEG as little as possible is lost
    if metadata.jpeg is not None:
        options = {
            "qtables": [list(table) for table in metadata.jpeg.tables],
            "progressive": metadata.jpeg.progressive,
        }
        options["subsampling"] = max(
            metadata.jpeg.subsampling, 0
        )  # Pillow writes no other kind: all of its chroma is kept
    described = _given(metadata, "exif", "icc", "dpi", "xmp")
    if "exif" in described:
        described["exif"] = b"Exif\0\0" + described["exif"]
    extra = jpeg_segments(metadata.photoshop or b"") + b"".join(
        map(_comment_segments, metadata.comments)
    )
    return options | described | ({"extra": extra} if extra else {})


def _comment_segments(comment: bytes) -> bytes:
    # Pillow's own option holds one comment, and refuses a long one
    parts = (
        comment[start : start + MOST_COMMENT_BYTES]
        for start in range(0, len(comment), MOST_COMMENT_BYTES)
    )
    return b"".join(b"\xff\xfe" + struct.pack(">H", len(part) + 2) + part for part in parts)


def _webp(metadata: Metadata) -> Options:
    options: Options = (
        {"lossless": True, "exact": True} if metadata.webp_lossless else {"quality": QUALITY}
    )
    return options | _given(
        metadata, "exif", "xmp", *(() if is_for_grey(metadata.icc) else ("icc",))
    )


def _described(metadata: Metadata) -> Options:
    return {"quality": QUALITY, **_given(metadata, "exif", "icc", "xmp")}


def _avif(metadata: Metadata) -> Options:
    jpeg = metadata.jpeg.subsampling if metadata.jpeg is not None else -1
    return {
        "subsampling": metadata.avif_chroma or JPEG_CHROMA.get(jpeg, "4:4:4"),
        **_described(metadata),
    }


def _write_png(picture: Picture, file: BinaryIO) -> None:
    if picture.depth_bits == 16:
        write_deep_png(picture, file)
    else:
        pillow_image(picture).save(file, "PNG", **_png(picture.metadata))


def _write_jpeg(picture: Picture, file: BinaryIO) -> None:
    options = _jpeg(picture.metadata)
    if picture.grey:  # has no chroma to subsample
        options.pop("subsampling", None)
    image = pillow_image(picture)
    with (
        _room_for(MOST_JPEG_BYTES * picture.image.size)
        if options.get("progressive")
        else nullcontext()
    ):
        image.save(file, "JPEG", **options)


@contextmanager
def _room_for(size: int) -> Iterator[None]:
    """Let Pillow have a buffer of `size` bytes: a progressive JPEG goes into it at once, and noise is larger than it guesses."""
    with _buffer_is_ours:
        usual, ImageFile.MAXBLOCK = ImageFile.MAXBLOCK, max(ImageFile.MAXBLOCK, size)
        try:
            yield
        finally:
            ImageFile.MAXBLOCK = usual


def _write_webp(picture: Picture, file: BinaryIO) -> None:
    pillow_image(picture).save(file, "WEBP", **_webp(picture.metadata))


def _write_bmp(picture: Picture, file: BinaryIO) -> None:
    if picture.alpha is None:
        pillow_image(picture).save(file, "BMP", **_given(picture.metadata, "dpi"))
    else:
        write_bmp_with_alpha(picture, file)


def _write_gif(picture: Picture, file: BinaryIO) -> None:
    _for_gif(picture).save(file, "GIF", **_gif(picture.metadata))


def _gif(metadata: Metadata) -> Options:
    return {"comment": b"\n".join(metadata.comments)} if metadata.comments else {}


def _for_gif(picture: Picture) -> Image.Image:
    image = pillow_image(picture)
    return (
        image.convert("RGBA") if image.mode == "LA" else image
    )  # of which Pillow would drop the alpha


def _write_avif(picture: Picture, file: BinaryIO) -> None:
    packed, image = io.BytesIO(), pillow_image(picture)
    image.save(packed, "AVIF", **_for_mode(image, _avif(picture.metadata)))
    file.write(with_colour_codes(packed.getvalue(), picture.metadata.colour_codes))


def _for_mode(image: Image.Image, options: Options) -> Options:
    """Without a word of chroma for grey, which would become colour by it."""
    return {
        name: value for name, value in options.items() if image.mode != "L" or name != "subsampling"
    }


def _write_heic(picture: Picture, file: BinaryIO) -> None:
    write_heic(picture, file, options=_described(picture.metadata))


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


def _moving(
    kind: str, options_of: Callable[[Metadata], Options]
) -> Callable[[Iterable[Picture], BinaryIO], None]:
    def write(frames: Iterable[Picture], file: BinaryIO) -> None:
        images, showings, options, codes = [], [], Options(), None
        for frame in frames:
            options = options or options_of(
                frame.metadata
            )  # what describes the file is told with its first frame
            codes = frame.metadata.colour_codes
            showings.append(frame.metadata.showing or FrameDisplay(0, None))
            images.append(_for_gif(frame) if kind == "GIF" else pillow_image(frame))
        if kind == "PNG" and showings[0].duration_ms is None:
            options["default_image"] = True
        if showings[-1].loop is not None and kind != "AVIF":
            options["loop"] = showings[-1].loop
        is_transparent = any(image.mode.endswith("A") for image in images)
        if kind == "GIF" and is_transparent:
            options["disposal"] = 2  # or what becomes transparent would stay on the screen
        if kind == "WEBP" and is_transparent:
            options |= {
                "kmin": 1,
                "kmax": 1,
            }  # whole frames: between others libwebp's encoder loses what is transparent
        durations = [showing.duration_ms for showing in showings if showing.duration_ms is not None]
        if kind in TICK_MS:
            durations = _on_ticks(durations, TICK_MS[kind])
        packed = io.BytesIO()
        options = _for_mode(images[0], options)
        images[0].save(
            packed, kind, save_all=True, append_images=images[1:], duration=durations, **options
        )
        file.write(with_colour_codes(packed.getvalue(), codes))

    return write


def _on_ticks(durations: Iterable[float], tick_ms: int) -> list[float]:
    """Times in whole ticks, rounded where a frame ends and not for how long it is shown, so that the speed stays what it was."""
    ends = [round(end / tick_ms) * tick_ms for end in itertools.accumulate(durations)]
    return [end - start for start, end in itertools.pairwise([0, *ends])]


ANIMATION_WRITERS: dict[str, Callable[[Iterable[Picture], BinaryIO], None]] = {
    "GIF": _moving("GIF", _gif),
    "PNG": _moving("PNG", _png),
    "WEBP": _moving("WEBP", _webp),
    "AVIF": _moving("AVIF", _avif),
    "TIFF": write_pages,
}


def _given(metadata: Metadata, *names: str) -> Options:
    """Those of the named fields that are set, as the options of Pillow's writers."""
    values = {name: getattr(metadata, name) for name in names}
    return {
        "icc_profile" if name == "icc" else name: value for name, value in values.items() if value
    }
