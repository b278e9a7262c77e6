"""Choice of the encoder, the pixel format and the quality."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from av.codec import Codec
from av.codec.codec import UnknownCodecError
from av.video.format import VideoFormat

from derain.errors import VideoError
from derain.suffixes import MATROSKA
from derain.video.colours import chroma_sampling, depth_bits, has_alpha, loses_chroma
from derain.video.containers import (
    DEFAULT_ENCODERS,
    RAW_LAYOUTS,
    TRANSPORT_STREAMS,
    WITHOUT_B_FRAMES,
    can_hold,
)

ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "av1": "libsvtav1",
    "vp8": "libvpx",
    "vp9": "libvpx-vp9",
    "mjpeg": "mjpeg",
    "ffv1": "ffv1",
    "ffvhuff": "ffvhuff",
    "huffyuv": "huffyuv",
    "utvideo": "utvideo",
    "prores": "prores_ks",
    "rawvideo": "rawvideo",
}
"""Codecs that a clip keeps, with their encoders; other codecs become the container's default."""
DEFAULT_CRF = {
    "libx264": 16,
    "libx264rgb": 16,
    "libx265": 18,
    "libsvtav1": 22,
    "libvpx-vp9": 22,
    "libvpx": 8,
}
"""Visually lossless constant rate factors; the other encoders have none, or are lossless."""
CRF_RANGES = {
    **dict.fromkeys(("libx264", "libx264rgb", "libx265"), (0, 51)),
    **dict.fromkeys(("libsvtav1", "libvpx-vp9", "libaom-av1"), (0, 63)),
    "libvpx": (4, 63),
}
"""Valid constant rate factors, from the best quality to the smallest file."""
CRF_ENCODERS = DEFAULT_CRF.keys() | CRF_RANGES.keys()
"""Encoders with a constant rate factor."""
LOSSLESS_ENCODERS = {"ffv1", "ffvhuff", "huffyuv", "utvideo", "rawvideo"}
"""Lossless encoders whose RGB every reader of the codec supports."""
BEST_QSCALE = {"flags": "+qscale", "global_quality": str(2 * 118)}
"""Quality 2 of 31 for the older codecs, in FFmpeg's lambda units."""
ENCODER_OPTIONS = {
    **dict.fromkeys(["mpeg4", "msmpeg4", "mjpeg"], BEST_QSCALE),
    "mpeg2video": {**BEST_QSCALE, "bf": "0"},
    "libsvtav1": {"preset": "8", "svtav1-params": "enable-overlays=0"},
    "libvpx-vp9": {"b": "0", "row-mt": "1", "deadline": "good", "cpu-used": "4"},
    "libvpx": {"b": "20M", "deadline": "good", "cpu-used": "4"},
    "libx265": {"x265-params": "log-level=error"},
}
NARROW_PX = 48
"""Width up to which libx265 4.2 writes beyond its memory with the option `cutree`. Frames may be
written turned, so that this concerns the height as well."""
HIGH_DEPTH_ENCODERS = ["libx265", "libsvtav1", "ffv1"]
"""Encoders of more than 8 bits, the most widely supported first."""
EVEN_SIZE_ENCODERS = {"libx264", "libx265", "libsvtav1"}
"""Encoders that need even sides when chroma is subsampled."""
os.environ.setdefault("SVT_LOG", "1")  # otherwise libsvtav1 prints twenty lines for each clip


@dataclass(frozen=True)
class Encoding:
    """Encoder settings for the frames of a clip."""

    codec: str
    """FFmpeg's name of the encoder."""
    layout: str
    """FFmpeg's name of the pixel format."""
    options: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Properties that could not be kept, a sentence each."""


def choose_encoding(
    target: Path,
    source_codec: str,
    source_layout: VideoFormat,
    size: tuple[int, int],
    *,
    codec: str | None = None,
    crf: float | None = None,
) -> Encoding:
    """Return the encoder for the source's codec, or `codec`, with the nearest pixel format.

    `codec` is an encoder or a key of ENCODERS. `size` is (width, height) in pixels.
    Raises VideoError for an encoder that is empty or missing, does not encode video or does not fit
    the container, and for a `crf` out of range.
    """
    if codec is not None and not codec.strip():
        raise VideoError("--codec: is empty; name an encoder, for example libx264, or remove it")
    suffix = target.suffix.lower()
    kept = _kept_encoder(source_codec, source_layout, suffix)
    default = kept or DEFAULT_ENCODERS.get(suffix, "libx264")
    encoder = ENCODERS.get(codec, codec) if codec else default
    layout = _choose_layout(encoder, source_layout, size, suffix)
    _check_container(codec, suffix)
    _check_crf(crf, encoder)
    options = dict(ENCODER_OPTIONS.get(encoder, {}))
    quality = DEFAULT_CRF.get(encoder) if crf is None else crf
    if quality is not None and encoder in CRF_ENCODERS:
        options["crf"] = f"{quality:g}"
    if suffix in WITHOUT_B_FRAMES or (suffix in TRANSPORT_STREAMS and encoder != kept):
        options["bf"] = "0"
    if encoder == "libx265" and min(size) <= NARROW_PX:
        options["x265-params"] += ":no-cutree=1"
    notes = []
    if codec is None and source_codec in ENCODERS and encoder != ENCODERS[source_codec]:
        notes.append(f"{suffix} does not support {source_codec}: written with {encoder}")
    if crf is not None and encoder not in CRF_ENCODERS:
        notes.append(f"{encoder} has no constant rate factor: --crf is ignored")
    notes += _lost_pixels(source_layout, VideoFormat(layout), encoder, suffix=suffix, size=size)
    return Encoding(encoder, layout, options, tuple(notes))


def _kept_encoder(source_codec: str, source_layout: VideoFormat, suffix: str) -> str | None:
    """Return the encoder of the source's codec, or of a lossless one for raw video; None without.

    The container must hold the codec, and raw video of this pixel format.
    """
    kept = ENCODERS.get(source_codec) if can_hold(suffix, source_codec) else None
    if kept == "rawvideo" and source_layout.name not in RAW_LAYOUTS[suffix]:
        return ENCODERS["ffv1"] if can_hold(suffix, "ffv1") else None
    return kept


def _lost_pixels(
    source: VideoFormat, kept: VideoFormat, encoder: str, *, suffix: str, size: tuple[int, int]
) -> Iterator[str]:
    """Yield what the pixel format `kept` loses of the source: bits, RGB, chroma, transparency."""
    bits, kept_bits = depth_bits(source), depth_bits(kept)
    if kept_bits < bits:
        remedy = _deeper_encoder(suffix, source, size)
        yield f"{encoder} reduces {bits} bits to {kept_bits}; {remedy}"
    if source.is_rgb and not kept.is_rgb:
        yield f"{encoder} does not keep RGB here: written as {kept.name}"
    elif loses_chroma(source, kept):
        yield f"its {chroma_sampling(source)} colour is written as {chroma_sampling(kept)}"
    if has_alpha(source):
        yield "its transparency is dropped"


def _check_container(codec: str | None, suffix: str) -> None:
    name = None if codec is None else Codec(codec, "w").canonical_name
    if name in ENCODERS and not can_hold(suffix, name):
        raise VideoError(
            f"--codec {codec}: {suffix} does not support {name}; "
            f"try {_alternative(name, suffix)}, or write a {_container_of(name)}"
        )


def _alternative(codec: str, suffix: str) -> str:
    """Return an encoder for this container in place of a codec, lossless if possible."""
    if codec in LOSSLESS_ENCODERS and can_hold(suffix, "ffv1"):
        return "ffv1"
    return DEFAULT_ENCODERS.get(suffix, "libx264")


def _container_of(codec: str) -> str:
    """Return the suffix of a container that supports a codec."""
    return MATROSKA if can_hold(MATROSKA, codec) else ".avi"


def _check_crf(crf: float | None, encoder: str) -> None:
    best, smallest = CRF_RANGES.get(encoder, (-math.inf, math.inf))
    if crf is not None and not best <= crf <= smallest:
        raise VideoError(
            f"--crf {crf:g}: out of range for {encoder}; "
            f"choose from {best} (best quality) to {smallest} (smallest file)"
        )


def _deeper_encoder(suffix: str, source: VideoFormat, size: tuple[int, int]) -> str:
    """Return the advice on how to keep the source's bit depth."""
    for encoder in HIGH_DEPTH_ENCODERS:
        with suppress(VideoError):  # this FFmpeg may lack the encoder
            layout = VideoFormat(_choose_layout(encoder, source, size, suffix))
            codec = Codec(encoder, "w").canonical_name
            if can_hold(suffix, codec) and depth_bits(layout) >= depth_bits(source):
                return f"--codec {encoder} keeps them"
    return "a .mkv with --codec ffv1 keeps more"


def _choose_layout(encoder: str, source: VideoFormat, size: tuple[int, int], suffix: str) -> str:
    supported = _supported_layouts(encoder)
    if encoder == "rawvideo":
        supported = RAW_LAYOUTS.get(suffix, supported)
    if source.is_rgb and source.name not in supported and encoder in LOSSLESS_ENCODERS:
        layouts = _rgb_layouts(supported, depth_bits(source))
        if layouts:
            return layouts[0]
    needs_even = encoder in EVEN_SIZE_ENCODERS and any(side % 2 for side in size)
    return _nearest_layout(supported, source, needs_even=needs_even)


def _rgb_layouts(supported: list[str], bits: int) -> list[str]:
    """Return the RGB formats without alpha of at least this depth, the shallowest first."""
    layouts = [
        layout for layout in map(VideoFormat, supported) if layout.is_rgb and not has_alpha(layout)
    ]
    deep = [
        layout
        for layout in layouts
        if min(component.bits for component in layout.components) >= bits
    ]
    return [layout.name for layout in sorted(deep, key=depth_bits)]


def _supported_layouts(encoder: str) -> list[str]:
    try:
        codec = Codec(encoder, "w")
    except UnknownCodecError:
        raise VideoError(
            f"--codec {encoder}: this FFmpeg has no such encoder; "
            "try libx264, libx265, libsvtav1 or ffv1"
        ) from None
    if codec.type != "video":
        raise VideoError(
            f"--codec {encoder}: encodes {codec.type}, not video; "
            "try libx264, libx265, libsvtav1 or ffv1"
        )
    return [layout.name for layout in codec.video_formats or []]


def _nearest_layout(supported: list[str], source: VideoFormat, *, needs_even: bool) -> str:
    """Return the source's format, or one of its depth and chroma, or of its depth, or any."""
    name = source.name.replace("yuvj", "yuv").replace("yuva", "yuv")
    depth = ""
    if depth_bits(source) > 8:
        depth = next((f"{bits}le" for bits in (10, 12, 16) if depth_bits(source) == bits), "")
    chroma = next(iter(re.findall(r"4[124][0124]", name)), "444" if source.is_rgb else "420")
    finer = {"411": "422", "410": "420", "440": "444"}.get(chroma, chroma)
    candidates = [
        name,
        *(
            f"yuv{part}p{bits}"
            for bits in (depth, "10le" if depth else "", "")
            for part in (chroma, finer, "420", "444")
        ),
    ]
    if needs_even:
        candidates = [
            layout for layout in candidates if "444" in layout or not layout.startswith("yuv")
        ]
    return next(
        (layout for layout in candidates if not supported or layout in supported),
        supported[0] if supported else "yuv420p",
    )
