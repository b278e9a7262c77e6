"""Files that are no pictures, and places that take none: one sentence each, and nothing left behind."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.unprivileged import as_nobody
from PIL import Image

from derain import pictures
from derain.errors import PictureError
from derain.pictures import Picture


@pytest.fixture
def rainy(rng) -> Picture:
    return Picture(rng.integers(0, 256, (320, 320, 3), dtype=np.uint8))


def refusal(path: Path) -> str:
    """What `read` says about a file, checked to be one line that begins with its name."""
    with pytest.raises(PictureError, match=rf"^{re.escape(str(path))}: [^\n]+$") as caught:
        pictures.read(path)
    return str(caught.value).removeprefix(f"{path}: ")


def test_a_missing_file(tmp_path):
    assert refusal(tmp_path / "no.png").startswith("there is no such file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert refusal(tmp_path / "pipe.jpg").startswith(
        "is a pipe or a device, not a picture; save what comes out of it"
    )


@pytest.mark.parametrize("kind", ["dng", "nef", "cr2"])
def test_a_raw_photo_is_not_taken_for_its_preview(kind, rng, tmp_path):
    preview, photo = (
        rng.integers(0, 256, (48, 64, 3), dtype=np.uint8),
        rng.integers(0, 4096, (300, 400), dtype=np.uint16),
    )
    tags = [(50706, "B", 4, (1, 4, 0, 0), True)] if kind == "dng" else []
    with tifffile.TiffWriter(tmp_path / "shot.tif") as file:
        file.write(
            preview,
            subfiletype=int(kind != "cr2"),
            subifds=0 if kind == "cr2" else 1,
            extratags=tags,
            metadata=None,
        )
        if kind != "cr2":
            file.write(photo, subfiletype=0, metadata=None)
    if kind == "cr2":  # whose mark stands where other files have their first directory
        data = (tmp_path / "shot.tif").read_bytes()
        directory = data[8 : 8 + 2 + 12 * int.from_bytes(data[8:10], "little") + 4]
        data = data[:4] + struct.pack("<I", len(data)) + b"CR" + data[10:] + directory
        (tmp_path / "shot.tif").write_bytes(data)
    assert refusal(tmp_path / "shot.tif").startswith(
        "is a raw photo, of which only a preview could be read; develop it"
    )


def test_a_tiff_with_smaller_copies_behind_it_is_no_raw_photo(rng, tmp_path):
    photo = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "photo.tif") as file:
        file.write(photo, subifds=1, metadata=None)
        file.write(photo[::2, ::2], subfiletype=1, metadata=None)
    np.testing.assert_array_equal(pictures.read(tmp_path / "photo.tif").pixels, photo)


def test_an_empty_file(tmp_path):
    (tmp_path / "empty.jpg").touch()
    assert refusal(tmp_path / "empty.jpg").startswith("the file is empty")


def test_a_text_that_is_called_a_photo(tmp_path):
    (tmp_path / "text.jpg").write_text("not a photo at all")
    assert refusal(tmp_path / "text.jpg").startswith("is not a picture that derain reads")


def test_a_folder(tmp_path):
    assert refusal(tmp_path).startswith("is a folder")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp"])
@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_file_that_is_cut_short(suffix, share, rainy, tmp_path):
    whole, short = tmp_path / f"whole.{suffix}", tmp_path / f"short.{suffix}"
    pictures.write(rainy, whole)
    short.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    assert re.match(
        "is damaged or cut short|is not a picture|is a TIFF that is damaged", refusal(short)
    )


def test_a_decompression_bomb(tmp_path):
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0))
    (tmp_path / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    assert "more pixels than the 178 megapixels" in refusal(tmp_path / "bomb.png")
    with pytest.raises(PictureError, match="more pixels than the 178 megapixels"):
        next(pictures.read_frames(tmp_path / "bomb.png"))


def test_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:])
    assert refusal(tmp_path / "moving.webp").startswith("it holds 2 pictures")


def test_samples_of_thirty_two_bits(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tif")
    assert refusal(tmp_path / "float.tif").startswith("its pixels are of the kind F")


def test_a_tiff_of_a_kind_that_pillow_does_not_know(tmp_path):
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((4, 4, 3), np.float32), photometric="rgb")
    assert refusal(tmp_path / "float.tif").startswith(
        "is a TIFF that is damaged or of an unusual kind; save it again"
    )


def said_to_nobody(statement: str, folder: Path) -> str:
    """The last line of stderr of a statement that nobody runs."""
    run = as_nobody("from derain.pictures import read, write", statement, folder)
    return (run.stderr.strip().splitlines() or [""])[-1]


def test_a_file_that_may_not_be_read(rainy, tmp_path):
    pictures.write(rainy, tmp_path / "secret.png")
    (tmp_path / "secret.png").chmod(0)
    assert "may not be read by this user" in said_to_nobody(
        f"read({str(tmp_path / 'secret.png')!r})", tmp_path
    )


def test_a_folder_that_may_not_be_written(rainy, tmp_path):
    pictures.write(rainy, tmp_path / "photo.png")
    path = str(tmp_path / "photo.png")
    assert "may not be written by this user" in said_to_nobody(
        f"write(read({path!r}), {path!r})", tmp_path
    )


def test_an_unknown_suffix(rainy, tmp_path):
    with pytest.raises(
        PictureError,
        match=r"out\.psd: \.psd is not a kind of picture that derain writes; use \.png",
    ):
        pictures.write(rainy, tmp_path / "out.psd")


def test_a_folder_that_does_not_exist(rainy, tmp_path):
    with pytest.raises(PictureError, match="its folder does not exist"):
        pictures.write(rainy, tmp_path / "no" / "out.png")


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 64 KiB."""
    folder = tmp_path / "full"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
        capture_output=True,
        check=False,
    ).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp"])
def test_a_full_disk_is_said_and_nothing_is_left(suffix, rainy, full_disk):
    with pytest.raises(PictureError, match="the disk is full"):
        pictures.write(rainy, full_disk / f"out.{suffix}")
    assert list(full_disk.iterdir()) == []


def test_a_failed_write_keeps_the_file_that_was_there(rainy, full_disk):
    (full_disk / "out.bmp").write_bytes(b"before")
    with pytest.raises(PictureError):
        pictures.write(rainy, full_disk / "out.bmp")
    assert (full_disk / "out.bmp").read_bytes() == b"before"


def test_ctrl_c_while_writing_leaves_nothing(rainy, tmp_path, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pictures.write(rainy, tmp_path / "out.png")
    assert list(tmp_path.iterdir()) == []
