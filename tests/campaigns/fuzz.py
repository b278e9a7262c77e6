"""Fuzzing of the parsers that derain has itself, guided by their coverage.

Needs atheris, in an environment of its own that has derain with the extras `train` and `video`.
From the root of the repository:

    PYTHONPATH=tests python -m campaigns.fuzz TARGET CORPUS [libFuzzer's options]
    PYTHONPATH=tests python -m campaigns.fuzz TARGET CORPUS --minimise SMALL

TARGET is a key of TARGETS. The corpus begins with the examples and the kept corpus, grows in the
folder CORPUS, and is read again by the next call, which continues. `-max_total_time=3600` limits
the time. `--minimise` copies a part of the corpus with the same coverage into the new folder SMALL.
An input that fails is kept beside the corpus. A target may raise the exceptions that its callers
expect, and no other. `campaigns.fuzz_all` runs all targets.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import signal
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import CodeType

import numpy as np

KEPT = Path(__file__).with_name("fuzz_corpora.zip")
"""Minimised corpora of earlier runs: TARGET/NAME."""
INPUT_LIMIT_S = 20.0
"""Time of the processor for one input."""
MAX_BYTES = 4096
WORD_BYTES = range(2, 25)
"""Lengths of the words in a dictionary."""
SCRATCH = Path(tempfile.gettempdir())


class TooSlow(BaseException):
    """An input takes more than INPUT_LIMIT_S. No parser may catch it as one of its errors."""


def fuzz_exif(data: bytes) -> None:
    """Rotated EXIF keeps its size, and has no orientation left to apply."""
    from derain.pictures.exif import has_maker_note, tags_elsewhere, without_orientation
    from derain.pictures.orientation import upright_exif

    for orientation in (1, 6):
        assert len(upright_exif(data, orientation, (40, 30))) == len(data)
    assert len(without_orientation(data)) == len(data)
    tags_elsewhere(data, ">")
    has_maker_note(data)


def fuzz_xmp(data: bytes) -> None:
    from derain.pictures.orientation import upright_xmp, xmp_orientation
    from derain.pictures.regions import crop_regions, turn_regions
    from derain.pictures.xmp import referenced_parts, remove_references

    list(referenced_parts(remove_references(upright_xmp(data))))
    xmp_orientation(data)
    with suppress(ValueError):  # invalid regions
        turn_regions(data, 6)
    with suppress(ValueError):
        crop_regions(data, (400, 300), (slice(0, 100), slice(50, 200)))


def fuzz_tiff(data: bytes) -> None:
    """The EXIF of a page is readable itself, and small."""
    from derain.pictures.exif import dropped_tags, read_page_tags, read_tiff_exif, tags_in_place

    start = int.from_bytes(data[4:8], "little")
    exif, _ = read_tiff_exif(io.BytesIO(data), start)
    assert exif is None or (tags_in_place(exif) and len(exif) < 2**17 + 16 * len(data))
    read_page_tags(io.BytesIO(data), start)
    dropped_tags(io.BytesIO(data), start)


def fuzz_png(data: bytes) -> None:
    from derain.pictures.png_chunks import read_png_chunks
    from derain.pictures.trailing_data import describe_trailing_data

    kept = read_png_chunks(io.BytesIO(data)).kept
    assert sum(len(chunk) for _, chunk in kept) <= 8 * len(data) + 64
    describe_trailing_data("PNG", io.BytesIO(data))


def fuzz_blocks(data: bytes) -> None:
    """JPEG segments, GIF and WebP blocks, Photoshop's resources."""
    from derain.pictures.gif import read_gif_xmp
    from derain.pictures.photoshop import has_captions, read_resources
    from derain.pictures.trailing_data import find_jpeg_end
    from derain.pictures.webp import dropped_webp_chunks, is_lossless_webp

    assert 0 <= find_jpeg_end(data) <= len(data)
    read_gif_xmp(io.BytesIO(data))
    is_lossless_webp(io.BytesIO(data))
    list(dropped_webp_chunks(io.BytesIO(data)))
    resources = read_resources([b"Photoshop 3.0\0" + data])
    has_captions(resources or b"")


def fuzz_boxes(data: bytes) -> None:
    """Boxes of AVIF and HEIC."""
    from PIL import Image

    from derain.pictures.heif import read_avif_boxes, read_avif_exif
    from derain.pictures.heif_parts import dropped_parts

    read_avif_boxes(io.BytesIO(data))
    read_avif_exif(io.BytesIO(data))
    list(dropped_parts(Image.Image(), io.BytesIO(data)))


def _fuzz_header(suffix: str, data: bytes) -> None:
    from derain.errors import WeightsError
    from derain.weights.library import _read_metadata

    path = SCRATCH / f"fuzz{suffix}"
    path.write_bytes(data)
    with suppress(WeightsError):
        _read_metadata(path)


def fuzz_safetensors(data: bytes) -> None:
    _fuzz_header(".safetensors", data)
    _fuzz_header(".safetensors", struct.pack("<Q", len(data)) + data)


def fuzz_onnx(data: bytes) -> None:
    _fuzz_header(".onnx", data)


def fuzz_y4m(data: bytes) -> None:
    from derain.errors import DerainError
    from derain.video.pipe import restore_pipe

    head = b"YUV4MPEG2 W4 H4 F25:1 "
    for stream in (data, head + data):
        with suppress(DerainError):
            restore_pipe(io.BytesIO(stream), io.BytesIO(), np.array)


def fuzz_list(data: bytes) -> None:
    from derain.data.pairs.list_files import is_pair_list, read_pair_list
    from derain.errors import DataError

    path = SCRATCH / "fuzz.txt"
    path.write_bytes(data)
    try:
        if is_pair_list(path):
            list(read_pair_list(path, root=SCRATCH))
    except DataError:
        pass


def fuzz_recipe(data: bytes) -> None:
    from derain.errors import DerainError
    from derain.train.recipe_file import read_recipe

    path = SCRATCH / "fuzz.toml"
    path.write_bytes(data)
    with suppress(DerainError):
        read_recipe(path, [data[:40].decode("latin-1")])


def fuzz_log(data: bytes) -> None:
    from derain.train.read_log import read_log

    for _, event in read_log(data.decode("utf-8", "replace")):
        json.dumps(event)


TARGETS: dict[str, Callable[[bytes], None]] = {
    name.removeprefix("fuzz_"): function
    for name, function in list(globals().items())
    if name.startswith("fuzz_")
}
MODULES = ("derain.pictures", "derain.weights", "derain.video", "derain.data", "derain.train")


def seeds() -> dict[str, list[bytes]]:
    """Return a few valid inputs for each target."""
    from PIL import Image

    def encode(format_name: str, **options: object) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (8, 8), "teal").save(file, format_name, **options)
        return file.getvalue()

    exif = Image.Exif()
    exif[274], exif[315] = 6, "a name"
    exif.get_ifd(34665).update({37500: b"a note", 40962: 8, 40963: 8})
    xmp = (
        b'<x xmlns:A="http://ns.adobe.com/xmp/sType/Area#" tiff:Orientation="6" '
        b'xmlns:R="http://www.metadataworkinggroup.com/schemas/regions/" '
        b'xmlns:D="http://ns.adobe.com/xap/1.0/sType/Dimensions#" '
        b'xmlns:M="http://ns.microsoft.com/photo/1.2/t/Region#" '
        b'xmlns:G="http://ns.google.com/photos/1.0/camera/" G:MotionPhoto="1">'
        b'<R:AppliedToDimensions D:w="400" D:h="300"/>'
        b'<R:Area A:x="0.2" A:y="0.3" A:w="0.1" A:h="0.1"/>'
        b'<b M:Rectangle="0.1, 0.1, 0.2, 0.2"/></x>'
    )
    avif = encode("AVIF", exif=exif, xmp=xmp)
    return {
        "exif": [exif.tobytes()[6:]],
        "xmp": [xmp],
        "tiff": [encode("TIFF", exif=exif, dpi=(72, 72))],
        "png": [encode("PNG", exif=exif)],
        "blocks": [encode("JPEG", exif=exif, xmp=xmp), encode("GIF"), encode("WEBP", exif=exif)],
        "boxes": [avif],
        "safetensors": [
            b'{"__metadata__":{"derain.format":"1"},"a":{"dtype":"F32","data_offsets":[0,4]}}    '
        ],
        "onnx": [b"\x08\x09\x3a\x04toy1\x72\x12\x0a\x0dderain.format\x12\x011"],
        "y4m": [b"Ip A1:1 C420jpeg\nFRAME\n" + bytes(24)],
        "list": [b"rainy/1.png clean/1.png\n\nrainy/2.jpg, clean/2.jpg\n"],
        "recipe": [
            b"seed = 3\n[network]\npreset = 'small'\n[data]\ncrop_px = 56\n[length]\nsteps = 6"
        ],
        "log": [b'{"event": "train", "step": 3, "loss": 0.5}\n'],
    }


def check(name: str, data: bytes) -> None:
    """Run a target on an input. Raises TooSlow, and what the target raises."""

    def end(*_: object) -> None:
        raise TooSlow

    signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, INPUT_LIMIT_S)
    try:
        TARGETS[name](data)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def kept_inputs(name: str) -> list[bytes]:
    """Return the minimised corpus of a target."""
    with zipfile.ZipFile(KEPT) as file:
        return [file.read(path) for path in file.namelist() if path.startswith(f"{name}/")]


def constants(code: CodeType) -> Iterator[str | bytes]:
    """Yield the texts in a module, without those of its imports."""
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from constants(value)
        for text in value if isinstance(value, frozenset) else (value,):
            if isinstance(text, str | bytes):
                yield text


def write_dictionary(path: Path) -> Path:
    """Write the words of the parsers for libFuzzer: the texts in the modules imported so far."""
    words = set()
    for name, module in list(sys.modules.items()):
        if name.startswith(MODULES):
            source = Path(module.__file__).read_text()
            for text in constants(compile(source, name, "exec", optimize=2)):
                data = text if isinstance(text, bytes) else text.encode()
                words |= {data, *re.findall(rb"[\w:./-]+", data)}
    lines = (
        "".join(rf"\x{byte:02x}" for byte in word) for word in words if len(word) in WORD_BYTES
    )
    path.write_text("".join(f'"{line}"\n' for line in sorted(lines)))
    return path


def write_launcher(path: Path, name: str, corpus: str) -> Path:
    """Write a program that libFuzzer can start: it minimises in processes of their own."""
    command = shlex.join([sys.executable, "-m", "campaigns.fuzz", name, corpus])
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    path.chmod(0o755)
    return path


def main() -> None:
    """Fuzz one target, or minimise its corpus, until libFuzzer ends."""
    import atheris

    name, corpus, *options = sys.argv[1:]
    with atheris.instrument_imports(include=[*MODULES], enable_loader_override=False):
        for example in seeds()[name]:
            TARGETS[name](example)
    folder = Path(corpus)
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        for index, example in enumerate([*seeds()[name], *kept_inputs(name)]):
            (folder / f"seed-{index}").write_bytes(example)
    with tempfile.TemporaryDirectory() as scratch:
        launcher = write_launcher(Path(scratch, "fuzz"), name, corpus)
        if options[:1] == ["--minimise"]:
            Path(options[1]).mkdir(parents=True)
            folders, options = [options[1], corpus], ["-set_cover_merge=1", *options[2:]]
        else:
            folders = [corpus]
            options.insert(0, f"-dict={write_dictionary(Path(scratch, 'words'))}")
        limits = [f"-max_len={MAX_BYTES}", f"-artifact_prefix={folder}-"]
        arguments = [str(launcher), *folders, *limits, *options]
        atheris.Setup(arguments, partial(check, name))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
