"""300 damaged files of all formats: each gives a clear message and no output, or a picture."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.corruption import MAX_SECONDS, corrupt_header, flip_bytes, truncate
from PIL import Image

from derain import Restorer, pictures
from derain.photos.batch import PhotoBatch
from derain.photos.jobs import Job, JobList
from derain.pictures import Picture

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")
SUFFIXES = [".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".avif", ".heic", ".apng", ".tiff"]
"""The last two are an animation and a TIFF of three pages."""


def intact_file(folder: Path, suffix: str, rng: np.random.Generator) -> bytes:
    """Return a valid file with metadata, and with alpha and several frames if possible."""
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    metadata = pictures.Metadata(
        exif=exif.tobytes().removeprefix(b"Exif\0\0"), xmp=b"<x:xmpmeta/>", dpi=(300, 300)
    )
    alpha = (
        rng.integers(0, 256, (40, 48), dtype=np.uint8)
        if suffix in {".png", ".webp", ".tif", ".avif"}
        else None
    )
    frames = [
        Picture(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8), alpha, metadata=metadata)
        for _ in range(3)
    ]
    path = folder / f"intact{suffix}"
    if suffix in {".gif", ".apng", ".tiff"}:
        pictures.write_frames(frames, path)
    else:
        pictures.write(frames[0], path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def restorer(networks) -> Restorer:
    return Restorer(networks / "copying.onnx", limit_mib=64)


@pytest.mark.parametrize("damage", [truncate, flip_bytes, corrupt_header])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_file(suffix, damage, restorer, rng, tmp_path):
    if suffix == ".heic":
        pytest.importorskip("pillow_heif")
    data = intact_file(tmp_path, suffix, rng)
    for index in range(10):
        source, target = tmp_path / f"{index}{suffix}", tmp_path / f"{index}_derained{suffix}"
        source.write_bytes(damage(data, rng))
        start = time.perf_counter()
        outcome = PhotoBatch(restorer, workers=1).run(JobList([Job(source, target)]))
        assert time.perf_counter() - start < MAX_SECONDS
        if outcome.problems:
            assert re.fullmatch(
                rf"{re.escape(str(source))}: [^\n]+; [^\n]+", outcome.problems[0][1]
            ), outcome.problems
            assert "bug" not in outcome.problems[0][1]
            assert not target.exists()
        else:
            assert all(frame.pixels.size for frame in pictures.read_frames(target))
    assert not list(tmp_path.glob(".derain-*"))
