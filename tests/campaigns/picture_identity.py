"""`--strength 0` over all formats, modes, depths, metadata and frame counts that derain reads.

Each case makes a picture, restores it with strength 0, and compares the result with other readers.
Whatever is missing from the result must be reported. Where exiftool is installed, it reads the
metadata once more. From the root of the repository:

    PYTHONPATH=tests python -m campaigns.picture_identity FOLDER [--limit 2000] [--seed 1]

A second run into the same folder continues; `results.jsonl` has a line for each case.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import random
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import tifffile
from helpers.exiftool import ExifTool, exiftool
from helpers.icc_profiles import make_profile
from helpers.reference_readers import decode, read_block, read_dpi, read_exif_tag
from helpers.tiffs import make_tiff
from PIL import Image, ImageSequence
from PIL.PngImagePlugin import PngInfo

from derain import Restorer
from derain.photos.batch import PhotoBatch
from derain.photos.jobs import find_jobs
from derain.photos.options import RestoreOptions
from derain.photos.worker import PhotoResult

pillow_heif.register_heif_opener()

WIDTH, HEIGHT = 40, 24
ARTIST = 315
NAME = "© José Müller".encode()
NOTE = b"a maker note " * 9
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a b="a rain"/></x:xmpmeta>'
COMMENT = "a comment"
PROFILE = make_profile("Display P3")
DPI = (300, 150)
DURATIONS_MS = (100, 250, 70)
LOSSLESS = {".png", ".tif", ".bmp"}
MAX_MEAN_ERROR = 11
"""Of 255, for lossy formats, reduced chroma and palettes, on a smooth picture."""

LAYOUTS: dict[str, list[tuple[str, str]]] = {
    ".png": [
        *[(layout, "8") for layout in ("bit", "grey", "grey+alpha", "rgb", "rgba", "palette")],
        *[(layout, "16") for layout in ("grey", "grey+alpha", "rgb", "rgba")],
    ],
    ".jpg": [
        *itertools.product(("rgb", "cmyk"), ("4:4:4", "4:2:2", "4:2:0", "progressive")),
        ("grey", "4:4:4"),
        ("grey", "progressive"),
    ],
    ".webp": list(itertools.product(("rgb", "rgba"), ("lossless", "lossy"))),
    ".tif": [
        *itertools.product(("bit", "palette", "cmyk", "rgb", "grey"), ("lzw", "deflate")),
        *itertools.product(
            ("grey", "grey+alpha", "rgb", "rgba", "rgb+infrared"),
            ("8 little", "8 big", "8 bigtiff", "8 zlib", "8 tiles", "8 planes"),
        ),
        *itertools.product(("grey", "rgb", "rgba"), ("16 little", "16 big", "16 zlib")),
    ],
    ".bmp": [(layout, "") for layout in ("bit", "grey", "palette", "rgb")],
    ".gif": [("palette", ""), ("palette+alpha", "")],
    ".avif": [
        *itertools.product(("rgb", "rgba"), ("4:4:4", "4:2:2", "4:2:0")),
        ("grey", "4:0:0"),
    ],
    ".heic": [*itertools.product(("grey", "rgb", "rgba"), ("8", "10", "12"))],
}
"""(layout, coding) of the sources of each format."""
METADATA = {
    ".png": ("exif", "xmp", "icc", "dpi", "text"),
    ".jpg": ("exif", "xmp", "icc", "dpi", "comment"),
    ".webp": ("exif", "xmp", "icc"),
    ".tif": ("exif", "xmp", "icc", "dpi"),
    ".bmp": ("dpi",),
    ".gif": ("comment",),
    ".avif": ("exif", "xmp", "icc"),
    ".heic": ("exif", "xmp", "icc"),
}
REPORTS = {
    "exif": "EXIF",
    "xmp": "XMP",
    "icc": "colour profile",
    "comment": "comments",
    "text": "texts",
    "depth": "bits per sample",
    "times": "frame times",
    "channels": "further channel",
    "transparency": "transparency",
}
"""Word of the omission that reports a loss. A lost resolution is documented, and not reported."""
TAGS = (
    *("Artist", "Orientation", "MakerNoteUnknownText", "XMP", "ICC_Profile", "Comment"),
    *("XResolution", "YResolution", "PixelsPerUnitX", "PixelsPerUnitY"),
    *("PixelsPerMeterX", "PixelsPerMeterY", "Warning", "Error"),
)
"""What exiftool is asked for."""
METRES_PER_INCH = 0.0254
ANIMATIONS = {".png", ".webp", ".gif", ".avif"}


@dataclass(frozen=True)
class Case:
    """A source, and the format of its result."""

    suffix: str
    layout: str
    coding: str
    metadata: tuple[str, ...]
    orientation: int
    frames: int
    target: str

    @property
    def bits(self) -> int:
        """Bits per sample."""
        head = self.coding.split()[:1]
        return int(head[0]) if head and head[0].isdecimal() else 8


@dataclass
class Outcome:
    """The result of a case."""

    case: Case
    status: str
    """`restored`, `refused`, `lost` or `crashed`."""
    details: list[str] = field(default_factory=list)


def all_cases() -> Iterator[Case]:
    """Yield every combination that the writers of the sources support."""
    for suffix, layouts in LAYOUTS.items():
        kinds = METADATA[suffix]
        subsets = [(), *[(kind,) for kind in kinds], kinds] if len(kinds) > 1 else [(), kinds]
        for (layout, coding), metadata, target in itertools.product(layouts, subsets, LAYOUTS):
            is_turned = "exif" in metadata and suffix != ".avif"
            for orientation in (1, 3, 6, 7) if is_turned else (1,):
                yield Case(suffix, layout, coding, metadata, orientation, 1, target)
            is_plain = coding in {"", "8", "lossless", "8 little", "8 big", "4:4:4"}
            if suffix in {*ANIMATIONS, ".tif"} and layout in {"rgb", "palette"} and is_plain:
                yield Case(suffix, layout, coding, metadata, 1, len(DURATIONS_MS), target)


def run_case(case: Case, restorer: Restorer, folder: Path) -> Outcome:
    """Make the source, restore it with strength 0, and compare."""
    source, out = folder / f"in{case.suffix}", folder / f"out{case.target}"
    images = [make_samples(case, index) for index in range(case.frames)]
    write_source(case, images, source)
    results: list[PhotoResult] = []
    jobs = find_jobs([source], output=out, overwrite=True)
    batch = PhotoBatch(restorer, RestoreOptions(strength=0.0), workers=1, on_result=results.append)
    try:
        if batch.run(jobs).was_interrupted:
            raise KeyboardInterrupt
        (result,) = results
        if result.error is not None:
            status = "crashed" if "bug in derain" in result.error else "refused"
            return Outcome(case, status, [result.error.replace(str(folder), "")])
        lost = [
            loss
            for key, loss in find_losses(case, images, out)
            if key not in REPORTS or not any(REPORTS[key] in text for text in result.omissions)
        ]
    except Exception as error:  # the campaign continues with the next case
        return Outcome(case, "crashed", [f"{type(error).__name__}: {error}"])
    finally:
        out.unlink(missing_ok=True)
        source.unlink(missing_ok=True)
    return Outcome(case, "lost" if lost else "restored", lost)


def make_samples(case: Case, index: int) -> np.ndarray:
    """Return smooth samples, (H, W) or (H, W, C), different for each frame."""
    x, y = np.meshgrid(np.linspace(0, 1, WIDTH), np.linspace(0, 1, HEIGHT))
    x = (x + 0.3 * index) % 1 if case.frames > 1 else x
    colours = np.stack([1 - 0.9 * x, 0.8 * y, 0.1 + 0.4 * x * y], -1)
    last = np.where(x > 0.6, 0.4, 1.0)[..., None]
    channels = {
        "bit": (x > 0.5).astype(float),
        "grey": colours[..., 0],
        "grey+alpha": np.dstack([colours[..., 0], last]),
        "rgb": colours,
        "palette": np.round(colours * 3) / 3,
        "palette+alpha": np.dstack([np.round(colours * 3) / 3, np.round(last)]),
        "rgba": np.dstack([colours, last]),
        "rgb+infrared": np.dstack([colours, last]),
        "cmyk": np.dstack([1 - colours, np.zeros_like(last)]),
    }[case.layout]
    white = 65535 if case.bits > 8 else 255
    return np.round(channels * white).astype(np.uint16 if case.bits > 8 else np.uint8)


def write_source(case: Case, images: list[np.ndarray], path: Path) -> None:
    """Write the source without derain."""
    if case.suffix == ".tif" and case.coding not in {"lzw", "deflate"}:
        write_tiff(case, images, path)
    elif case.suffix == ".png" and case.bits == 16:
        path.write_bytes(encode_png16(case, images[0]))
    elif case.suffix == ".heic" and case.bits > 8:
        mode = {"grey": "L;16", "rgb": "RGB;16", "rgba": "RGBA;16"}[case.layout]
        options = pillow_options(case) | {"quality": 95, "bit_depth": case.bits, "chroma": 444}
        data = images[0].tobytes()
        pillow_heif.encode(mode, (WIDTH, HEIGHT), data, str(path), **options)
    else:
        write_with_pillow(case, images, path)


def write_with_pillow(case: Case, images: list[np.ndarray], path: Path) -> None:
    pictures = [to_pillow(case, image) for image in images]
    options = pillow_options(case)
    match case.suffix:
        case ".jpg":
            codes = {"4:2:2": 1, "4:2:0": 2}
            options |= {"quality": 95, "progressive": case.coding == "progressive"}
            if case.layout != "grey":
                options["subsampling"] = codes.get(case.coding, 0)
        case ".webp":
            options |= {"lossless": case.coding == "lossless", "exact": True, "quality": 95}
        case ".avif":
            options |= {"quality": 95, "subsampling": case.coding}
        case ".heic":
            options |= {"quality": 95}
        case ".tif":
            options |= {"compression": {"lzw": "tiff_lzw"}.get(case.coding, "tiff_adobe_deflate")}
    if case.frames > 1:
        options |= {"save_all": True, "append_images": pictures[1:]}
        options |= {"duration": list(DURATIONS_MS)}
    kind = {".heic": "HEIF", ".jpg": "JPEG", ".tif": "TIFF"}.get(case.suffix)
    pictures[0].save(path, kind or case.suffix[1:].upper(), **options)


def to_pillow(case: Case, image: np.ndarray) -> Image.Image:
    match case.layout:
        case "bit":
            return Image.fromarray(image > 0)
        case "grey+alpha":
            return Image.fromarray(image, "LA")
        case "cmyk":
            return Image.fromarray(image, "CMYK")
        case "palette" if case.suffix != ".gif":
            return Image.fromarray(image).quantize(64)
    return Image.fromarray(image)


def pillow_options(case: Case) -> dict[str, object]:
    """Return the metadata as options of Pillow."""
    options: dict[str, object] = {}
    for kind in case.metadata:
        match kind:
            case "exif" if case.suffix == ".tif":
                info = {ARTIST: NAME, 274: case.orientation}
                options["tiffinfo"] = {**dict(options.get("tiffinfo", {})), **info}
            case "exif":
                prefix = b"Exif\0\0" if case.suffix == ".jpg" else b""
                is_avif = case.suffix == ".avif"  # Pillow would encode the EXIF once more
                options["exif"] = prefix + make_exif(None if is_avif else case.orientation)
            case "xmp" if case.suffix == ".png":
                options.setdefault("pnginfo", PngInfo())
                options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
            case "xmp" if case.suffix == ".tif":
                options["tiffinfo"] = {**dict(options.get("tiffinfo", {})), 700: XMP}
            case "xmp":
                options["xmp"] = XMP
            case "icc":
                options["icc_profile"] = PROFILE
            case "dpi":
                options["dpi"] = DPI
            case "comment":
                options["comment"] = COMMENT.encode()
            case "text":
                options.setdefault("pnginfo", PngInfo())
                options["pnginfo"].add_text("Comment", COMMENT)
    return options


def make_exif(orientation: int | None) -> bytes:
    """Return EXIF with a name, an orientation and a maker note at its end."""
    camera_at = 120
    pointer = (4, struct.pack("<I", camera_at))
    tags = {ARTIST: (2, NAME + b"\0"), 34665: pointer}
    if orientation is not None:
        tags[274] = (3, struct.pack("<H", orientation))
    note = struct.pack("<HHHII", 1, 37500, 7, len(NOTE), camera_at + 18) + bytes(4)
    return make_tiff(tags).ljust(camera_at, b"\0") + note + NOTE


def write_tiff(case: Case, images: list[np.ndarray], path: Path) -> None:
    """Write with tifffile."""
    has_alpha = case.layout in {"grey+alpha", "rgba"}
    options: dict[str, object] = {
        "photometric": "minisblack" if case.layout.startswith("grey") else "rgb",
        "metadata": None,
    }
    if has_alpha or case.layout == "rgb+infrared":
        options["extrasamples"] = ["unassalpha" if has_alpha else "unspecified"]
    if "zlib" in case.coding:
        options["compression"] = "zlib"
    if "tiles" in case.coding:
        options["tile"] = (16, 16)
    if "planes" in case.coding and images[0].ndim == 3:
        options["planarconfig"] = "separate"
        images = [np.moveaxis(image, -1, 0) for image in images]
    extra: list[tuple[int, int, int, object, bool]] = []
    if "exif" in case.metadata:
        extra += [(ARTIST, 2, len(NAME) + 1, NAME + b"\0", True)]
        extra += [(274, 3, 1, case.orientation, True)]
    if "xmp" in case.metadata:
        extra.append((700, 1, len(XMP), XMP, True))
    if "icc" in case.metadata:
        options["iccprofile"] = PROFILE
    if "dpi" in case.metadata:
        options |= {"resolution": DPI, "resolutionunit": "INCH"}
    order = ">" if "big" in case.coding.split() else "<"
    with tifffile.TiffWriter(path, byteorder=order, bigtiff="bigtiff" in case.coding) as file:
        for image in images:
            file.write(image, extratags=extra, **options)


def encode_png16(case: Case, samples: np.ndarray) -> bytes:
    """Return a PNG with 16 bits, without filters, with the metadata as Pillow writes it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG", **pillow_options(case))
    donor, at, head, tail = file.getvalue(), 8, b"", b""
    while at < len(donor):
        size, name = struct.unpack_from(">I4s", donor, at)
        part = donor[at : at + 12 + size]
        if name in {b"iCCP", b"pHYs"}:
            head += part
        elif name not in {b"IHDR", b"IDAT", b"IEND"}:
            tail += part
        at += 12 + size
    kind = {"grey": 0, "rgb": 2, "grey+alpha": 4, "rgba": 6}[case.layout]
    rows = samples.astype(">u2").reshape(HEIGHT, -1).view(np.uint8)
    filtered = np.pad(rows, ((0, 0), (1, 0))).tobytes()
    ihdr = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, kind, 0, 0, 0))
    body = head + chunk(b"IDAT", zlib.compress(filtered)) + tail
    return b"\x89PNG\r\n\x1a\n" + ihdr + body + chunk(b"IEND", b"")


def find_losses(case: Case, images: list[np.ndarray], out: Path) -> Iterator[tuple[str, str]]:
    """Yield (key of REPORTS or another word, description) of each difference."""
    yield from find_pixel_losses(case, images, out)
    tags = None
    if (reader := exiftool()) is not None:
        tags = reader.read(out, *TAGS)
        for problem in {"Warning", "Error"} & tags.keys():
            yield "structure", f"exiftool: {tags[problem]}"
    for kind in case.metadata:
        if kind == "icc" and case.layout == "cmyk":
            continue  # a CMYK profile does not fit the RGB result
        if kind == "dpi" and case.target not in {".png", ".jpg", ".tif", ".bmp"}:
            continue  # documented, and not reported
        if not has_metadata(kind, case, out):
            yield kind, f"{kind} differs"
        if tags is not None and not is_in_tags(kind, case, tags):
            yield kind, f"{kind} differs for exiftool"
    if case.layout == "rgb+infrared":
        yield "channels", "the fourth channel is missing"
    if case.frames > 1:
        yield from find_time_losses(case, out)


def find_pixel_losses(case: Case, images: list[np.ndarray], out: Path) -> Iterator[tuple[str, str]]:
    expected = turn(images[0], case.orientation)
    bits = read_bits(out)
    if bits < case.bits:
        yield "depth", f"{bits} bits"
    after = read_samples(out, with_alpha=case.layout.endswith(("+alpha", "rgba")))
    reference = as_rgba(case, expected)
    if after.shape[:2] != reference.shape[:2]:
        yield "size", f"{after.shape} in place of {reference.shape}"
        return
    channels = min(after.shape[2], 4 if case.layout.endswith(("+alpha", "rgba")) else 3)
    error = np.abs(after[..., :channels] - reference[..., :channels])
    error[..., :3] *= reference[..., 3:] > 0  # a GIF has no colours behind transparency
    is_exact = case.suffix in LOSSLESS and case.target in LOSSLESS and case.layout != "cmyk"
    if case.layout == "palette" and case.suffix != ".gif":
        is_exact = False  # quantised by Pillow when the source was written
    if is_exact and bits >= case.bits and error.max() > 0.5:
        yield "pixels", f"differ by up to {error.max():.1f}"
    elif out.suffix == ".gif" and channels == 4 and error[..., 3].mean() > 1:
        yield "transparency", "is different"
    elif error.mean() > MAX_MEAN_ERROR:
        yield "pixels", f"differ by {error.mean():.1f} on average"


def turn(image: np.ndarray, orientation: int) -> np.ndarray:
    """Return the upright picture."""
    match orientation:
        case 3:
            return image[::-1, ::-1]
        case 6:
            return np.rot90(image, -1)
        case 7:
            return np.rot90(image, 2).swapaxes(0, 1)
    return image


def as_rgba(case: Case, image: np.ndarray) -> np.ndarray:
    """Return (H, W, 4) float, 0 to 255."""
    levels = image.astype(float) * 255 / (65535 if case.bits > 8 else 255)
    if levels.ndim == 2:
        levels = levels[..., None]
    match case.layout:
        case "grey" | "bit":
            colours, alpha = levels.repeat(3, 2), np.full_like(levels, 255)
        case "grey+alpha":
            colours, alpha = levels[..., :1].repeat(3, 2), levels[..., 1:]
        case "cmyk":
            colours, alpha = 255 - levels[..., :3], np.full_like(levels[..., :1], 255)
        case "rgba" | "palette+alpha":
            colours, alpha = levels[..., :3], levels[..., 3:]
        case _:
            colours, alpha = levels[..., :3], np.full_like(levels[..., :1], 255)
    return np.dstack([colours, alpha])


def read_samples(path: Path, *, with_alpha: bool) -> np.ndarray:
    """Return the first frame, (H, W, 3) or (H, W, 4) float, 0 to 255, without derain."""
    match path.suffix:
        case ".tif":
            samples = tifffile.imread(path, key=0)
            samples = samples[..., None] if samples.ndim == 2 else samples
            levels = samples.astype(float) * 255 / np.iinfo(samples.dtype).max
            if levels.shape[2] < 3:
                levels = np.dstack([levels[..., :1].repeat(3, 2), levels[..., 1:]])
            return levels
        case ".png":
            is_deep = read_bits(path) > 8
            layout = ["rgb24", "rgba", "rgb48le", "rgba64le"][2 * is_deep + with_alpha]
            return decode(path, layout).astype(float) / (257 if is_deep else 1)
        case ".jpg" | ".bmp" if not with_alpha:
            return decode(path, "rgb24").astype(float)
    with Image.open(path) as image:  # FFmpeg ignores alpha, and pads a HEIC
        if image.mode.startswith("I;16"):
            return np.asarray(image, float)[..., None].repeat(3, 2) / 257
        return np.asarray(image.convert("RGBA" if with_alpha else "RGB"), float)


def read_bits(path: Path) -> int:
    """Return the bits per sample of a file."""
    match path.suffix:
        case ".png":
            return path.read_bytes()[24]
        case ".tif":
            with tifffile.TiffFile(path) as file:
                return int(file.pages[0].dtype.itemsize * 8)
        case ".heic":
            return int(pillow_heif.open_heif(path).info["bit_depth"])
    return 8


def has_metadata(kind: str, case: Case, out: Path) -> bool:
    """True if the result has the metadata of the source, adapted to the orientation."""
    data = out.read_bytes()
    match kind:
        case "dpi":
            if out.suffix not in {".png", ".jpg", ".tif", ".bmp"}:
                return False
            expected = DPI[::-1] if case.orientation > 4 else DPI
            return [round(value) for value in read_dpi(out)] == list(expected)
        case "comment" | "text":
            return COMMENT.encode() in data
        case _ if out.suffix in {".bmp", ".gif"}:
            return kind == "xmp" and XMP in data
        case "exif":
            exif = read_block(out, "exif")
            if not exif or read_exif_tag(exif, ARTIST) != NAME:
                return False
            if read_exif_tag(exif, 274) not in {1, None}:
                return False
            return case.suffix == ".tif" or exif.index(NOTE) == make_exif(1).index(NOTE)
        case "xmp":
            return read_block(out, "xmp") == XMP
    return read_block(out, "icc") == PROFILE


def is_in_tags(kind: str, case: Case, tags: dict[str, Any]) -> bool:
    """True if exiftool reads the metadata of the source in the result."""
    match kind:
        case "dpi":
            name = {".png": "PixelsPerUnit", ".bmp": "PixelsPerMeter"}.get(case.target)
            found = [tags.get(f"{name}{axis}" if name else f"{axis}Resolution", 0) for axis in "XY"]
            unit = METRES_PER_INCH if name else 1
            expected = DPI[::-1] if case.orientation > 4 else DPI
            return [round(value * unit) for value in found] == list(expected)
        case "comment" | "text":
            return tags.get("Comment") == COMMENT
        case "exif":
            note = None if case.suffix == ".tif" else NOTE.decode()
            return (
                tags.get("Artist") == NAME.decode()
                and tags.get("Orientation", 1) == 1
                and tags.get("MakerNoteUnknownText") == note
            )
        case "xmp":
            block = ExifTool.block(tags.get("XMP", ""))
            # of a GIF, exiftool returns the 258 bytes behind the XMP too
            return block.startswith(XMP) if case.target == ".gif" else block == XMP
    return ExifTool.block(tags.get("ICC_Profile", "")) == PROFILE


def find_time_losses(case: Case, out: Path) -> Iterator[tuple[str, str]]:
    with Image.open(out) as image:
        if getattr(image, "n_frames", 1) != case.frames:
            yield "frames", f"{getattr(image, 'n_frames', 1)} in place of {case.frames}"
        elif case.suffix in ANIMATIONS:
            times = []
            for frame in ImageSequence.Iterator(image):
                frame.load()
                times.append(frame.info.get("duration", 0))
            if [round(time) for time in times] != list(DURATIONS_MS):
                yield "times", f"{times} in place of {DURATIONS_MS}"


def sample_cases(*, limit: int, seed: int) -> list[Case]:
    """Return `limit` of all cases, in random order."""
    cases = list(all_cases())
    random.Random(seed).shuffle(cases)
    return cases[:limit]


def main() -> int:
    """Run the campaign; return 1 if a case was lost or crashed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=sys.maxsize)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    log = options.folder / "results.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    done = {json.dumps(json.loads(line)["case"]) for line in lines}
    restorer = Restorer("fast", precision="float32")
    with log.open("a") as file:
        for case in sample_cases(limit=options.limit, seed=options.seed):
            if json.dumps(asdict(case)) not in done:
                outcome = run_case(case, restorer, options.folder)
                file.write(json.dumps(asdict(outcome)) + "\n")
                file.flush()
    outcomes = [json.loads(line) for line in log.read_text().splitlines()]
    counts = Counter(outcome["status"] for outcome in outcomes)
    for outcome in outcomes:
        if outcome["status"] in {"lost", "crashed"}:
            print(outcome["status"], *outcome["case"].values(), *outcome["details"])
    print(f"tried {len(outcomes)}", *(f"{name} {count}" for name, count in counts.items()))
    return int(bool(counts["lost"] or counts["crashed"]))


if __name__ == "__main__":
    sys.exit(main())
