"""300 damaged files of every kind: each one clear sentence and no output, or, where the damage is harmless, a whole picture."""

from __future__ import annotations

import re
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derain import Restorer, picture
from derain.picture import Picture
from derain.restore.batch import Batch
from derain.restore.errands import Errand

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")
SUFFIXES = [".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".avif", ".heic", ".apng", ".tiff"]
"""The last two are an animation and a TIFF of three pages."""
SECONDS = 10
"""No file is looked at for longer; most take a hundredth of a second."""


def whole(folder: Path, suffix: str, rng: np.random.Generator) -> bytes:
    """A sound file with metadata, alpha and several frames where the kind has them."""
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    metadata = picture.Metadata(exif=exif.tobytes().removeprefix(b"Exif\0\0"), xmp=b"<x:xmpmeta/>", dpi=(300, 300))
    alpha = rng.integers(0, 256, (40, 48), dtype=np.uint8) if suffix in {".png", ".webp", ".tif", ".avif"} else None
    frames = [Picture(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8), alpha, metadata=metadata) for _ in range(3)]
    path = folder / f"whole{suffix}"
    if suffix in {".gif", ".apng", ".tiff"}:
        picture.write_frames(frames, path)
    else:
        picture.write(frames[0], path)
    return path.read_bytes()


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(len(data) * rng.uniform(0, 0.98))]


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    damaged = np.frombuffer(data, np.uint8).copy()
    damaged[rng.integers(0, len(data), 8)] ^= rng.integers(1, 256, 8).astype(np.uint8)
    return damaged.tobytes()


def lying(data: bytes, rng: np.random.Generator) -> bytes:
    """The first hundred bytes, where sizes and counts are, hold numbers as large as can be; a PNG has its checksum mended."""
    damaged = bytearray(data)
    position = int(rng.integers(8, 96))
    damaged[position : position + 4] = rng.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\xff\xff"])
    if data.startswith(b"\x89PNG"):
        damaged[29:33] = struct.pack(">I", zlib.crc32(damaged[12:29]))
    return bytes(damaged)


@pytest.fixture(scope="module")
def restorer(networks) -> Restorer:
    return Restorer(networks / "copying.onnx", limit_mib=64)


@pytest.mark.parametrize("damage", [cut, flipped, lying])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_file(suffix, damage, restorer, rng, tmp_path):
    if suffix == ".heic":
        pytest.importorskip("pillow_heif")
    data = whole(tmp_path, suffix, rng)
    for index in range(10):
        source, target = tmp_path / f"{index}{suffix}", tmp_path / f"{index}_derained{suffix}"
        source.write_bytes(damage(data, rng))
        start = time.perf_counter()
        outcome = Batch(restorer, jobs=1).run([Errand(source, target)])
        assert time.perf_counter() - start < SECONDS
        if outcome.problems:
            assert re.fullmatch(rf"{re.escape(str(source))}: [^\n]+; [^\n]+", outcome.problems[0][1]), outcome.problems
            assert "bug" not in outcome.problems[0][1]
            assert not target.exists()
        else:
            assert all(frame.pixels.size for frame in picture.read_frames(target))
    assert not list(tmp_path.glob(".derain-*"))
