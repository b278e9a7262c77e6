"""Which encoder writes a clip, with which layout of pixels and which quality."""

from __future__ import annotations

import math
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from av.codec import Codec
from av.codec.codec import UnknownCodecError
from av.video.format import VideoFormat

from derain.video.colours import depth_bits, has_alpha
from derain.video.containers import IN_ORDER, TRANSPORT, USUAL, can_hold
from derain.video.errors import VideoError

SAME_CODEC = {
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
"""The encoder that gives a clip the codec that it had; others get the usual one of their container."""
QUALITY = {
    "libx264": 16,
    "libx264rgb": 16,
    "libx265": 18,
    "libsvtav1": 22,
    "libvpx-vp9": 22,
    "libvpx": 8,
}
"""Constant rate factors at which people see no loss; others have none, or are lossless."""
CRF_RANGES = {**dict.fromkeys(("libx264", "libx264rgb", "libx265"), (0, 51)), "libvpx": (4, 63)}
CRF_RANGES |= dict.fromkeys(("libsvtav1", "libvpx-vp9", "libaom-av1"), (0, 63))
"""The factors that each takes, from the best to the smallest."""
RATED_BY_FACTOR = QUALITY.keys() | CRF_RANGES.keys()
"""Encoders that know a constant rate factor."""
LOSSLESS = {"ffv1", "ffvhuff", "huffyuv", "utvideo", "rawvideo"}
"""Encoders whose RGB every program reads that reads them at all."""
FINEST = {"flags": "+qscale", "global_quality": str(2 * 118)}
"""Of the old codecs: FFmpeg's quality 2 of 31, in its unit."""
FIXED = {
    **dict.fromkeys(["mpeg4", "msmpeg4", "mjpeg"], FINEST),
    "mpeg2video": {**FINEST, "bf": "0"},
    "libsvtav1": {"preset": "8", "svtav1-params": "enable-overlays=0"},
    "libvpx-vp9": {"b": "0", "row-mt": "1", "deadline": "good", "cpu-used": "4"},
    "libvpx": {"b": "20M", "deadline": "good", "cpu-used": "4"},
    "libx265": {"x265-params": "log-level=error"},
}
DEEP = ["libx265", "libsvtav1", "ffv1"]
"""Encoders of more than 8 bits, the best known first."""
EVEN_ONLY = {"libx264", "libx265", "libsvtav1"}
"""Encoders whose chroma of half the size wants sides that can be halved."""
os.environ.setdefault("SVT_LOG", "1")  # or libsvtav1 says twenty lines about each clip


@dataclass(frozen=True)
class Encoding:
    """How the frames of a clip are written."""

    codec: str
    layout: str
    """FFmpeg's name of the layout of a pixel."""
    options: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What could not be kept, a sentence each."""


def choose(
    target: Path,
    source_codec: str,
    source_layout: VideoFormat,
    size: tuple[int, int],
    *,
    codec: str | None = None,
    crf: float | None = None,
) -> Encoding:
    """The encoder of the source's codec, or `codec`, with the source's layout of pixels or the one that is nearest to it.

    `codec` is an encoder, or a codec of SAME_CODEC, which stands for its encoder there.
    Raises VideoError for a codec that is not there, does not encode pictures or has no place in the target, and for a `crf` that
    it does not take.
    """
    suffix = target.suffix.lower()
    same = SAME_CODEC.get(source_codec) if can_hold(suffix, source_codec) else None
    name = SAME_CODEC.get(codec, codec) if codec else same or USUAL.get(suffix, "libx264")
    layout = _layout(name, source_layout, size)
    _check_place(codec, suffix)
    _check_crf(crf, name)
    options = dict(FIXED.get(name, {}))
    quality = QUALITY.get(name) if crf is None else crf
    if quality is not None and name in RATED_BY_FACTOR:
        options["crf"] = f"{quality:g}"
    if suffix in IN_ORDER or (suffix in TRANSPORT and name != same):
        options["bf"] = "0"
    notes = []
    if codec is None and same is None and source_codec in SAME_CODEC:
        notes.append(f"a {suffix} does not hold {source_codec}: written with {name}")
    bits, kept_bits = depth_bits(source_layout), depth_bits(VideoFormat(layout))
    if kept_bits < bits:
        notes.append(
            f"{name} does not keep {bits} bits here: written with {kept_bits}; {_deeper(suffix, source_layout, size)}"
        )
    if crf is not None and name not in RATED_BY_FACTOR:
        notes.append(f"{name} has no constant rate factor: --crf is left out")
    if source_layout.is_rgb and not VideoFormat(layout).is_rgb:
        notes.append(f"{name} does not keep RGB here: written as {layout}")
    if has_alpha(source_layout):
        notes.append("its transparency is left out")
    return Encoding(name, layout, options, tuple(notes))


def _check_place(codec: str | None, suffix: str) -> None:
    held = None if codec is None else Codec(codec, "w").canonical_name
    if held in SAME_CODEC and not can_hold(suffix, held):
        raise VideoError(
            f"--codec {codec}: a {suffix} does not hold {held}; try {USUAL.get(suffix, 'libx264')}, or write a .mkv"
        )


def _check_crf(crf: float | None, name: str) -> None:
    least, most = CRF_RANGES.get(name, (-math.inf, math.inf))
    if crf is not None and not least <= crf <= most:
        raise VideoError(
            f"--crf {crf:g}: is out of range for {name}; choose from {least} (best) to {most} (smallest)"
        )


def _deeper(suffix: str, source: VideoFormat, size: tuple[int, int]) -> str:
    """What to try so that the bits are kept."""
    for name in DEEP:
        with suppress(VideoError):  # this FFmpeg may be without it
            layout = VideoFormat(_layout(name, source, size))
            if can_hold(suffix, Codec(name, "w").canonical_name) and depth_bits(
                layout
            ) >= depth_bits(source):
                return f"--codec {name} keeps them"
    return "a .mkv by --codec ffv1 keeps more"


def _layout(name: str, source: VideoFormat, size: tuple[int, int]) -> str:
    known = _layouts(name)
    if (
        source.is_rgb
        and source.name not in known
        and name in LOSSLESS
        and (layouts := _rgb(known, depth_bits(source)))
    ):
        return layouts[0]
    return _nearest(known, source, needs_even=name in EVEN_ONLY and any(side % 2 for side in size))


def _rgb(known: list[str], bits: int) -> list[str]:
    """The layouts without transparency that keep so many bits of red, green and blue, the shallowest first."""
    layouts = [
        layout for layout in map(VideoFormat, known) if layout.is_rgb and not has_alpha(layout)
    ]
    deep = [
        layout
        for layout in layouts
        if min(component.bits for component in layout.components) >= bits
    ]
    return [layout.name for layout in sorted(deep, key=depth_bits)]


def _layouts(name: str) -> list[str]:
    try:
        codec = Codec(name, "w")
    except UnknownCodecError:
        raise VideoError(
            f"--codec {name}: this FFmpeg has no such encoder; try libx264, libx265, libsvtav1 or ffv1"
        ) from None
    if codec.type != "video":
        raise VideoError(
            f"--codec {name}: encodes {codec.type} and not pictures; try libx264, libx265, libsvtav1 or ffv1"
        )
    return [layout.name for layout in codec.video_formats or []]


def _nearest(known: list[str], source: VideoFormat, *, needs_even: bool) -> str:
    """The layout of the source, or one of its depth and chroma, or of its depth, or any."""
    name = source.name.replace("yuvj", "yuv").replace("yuva", "yuv")
    depth = (
        next((f"{bits}le" for bits in (10, 12, 16) if depth_bits(source) == bits), "")
        if depth_bits(source) > 8
        else ""
    )
    chroma = next(iter(re.findall(r"4[124][0124]", name)), "444" if source.is_rgb else "420")
    finer = {"411": "422", "410": "420", "440": "444"}.get(chroma, chroma)
    wanted = [
        name,
        *(
            f"yuv{part}p{bits}"
            for bits in (depth, "10le" if depth else "")
            for part in (chroma, finer, "420", "444")
        ),
    ]
    wanted += [f"yuv{part}p" for part in (chroma, finer, "420", "444")]
    if needs_even:
        wanted = [layout for layout in wanted if "444" in layout or not layout.startswith("yuv")]
    return next(
        (layout for layout in wanted if not known or layout in known),
        known[0] if known else "yuv420p",
    )
