"""Unreadable files and unwritable targets give a one-line message and leave nothing behind."""

from __future__ import annotations

import errno
import os
import re
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.unprivileged import run_unprivileged
from PIL import Image

from derain import pictures
from derain.errors import PictureError
from derain.pictures import Picture


@pytest.fixture
def rainy(rng) -> Picture:
    return Picture(rng.integers(0, 256, (320, 320, 3), dtype=np.uint8))


def read_error(path: Path) -> str:
    """Return the error of `read` without the path; check that it is one line."""
    with pytest.raises(PictureError, match=rf"^{re.escape(str(path))}: [^\n]+$") as error:
        pictures.read(path)
    return str(error.value).removeprefix(f"{path}: ")


def test_missing_file(tmp_path):
    assert read_error(tmp_path / "no.png").startswith("there is no such file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert read_error(tmp_path / "pipe.jpg").startswith(
        "is a pipe or a device, not a picture; save its output"
    )


@pytest.mark.parametrize("kind", ["dng", "nef", "cr2"])
def test_raw_photo(kind, rng, tmp_path):
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
    if kind == "cr2":  # its signature replaces the first directory
        data = (tmp_path / "shot.tif").read_bytes()
        directory = data[8 : 8 + 2 + 12 * int.from_bytes(data[8:10], "little") + 4]
        data = data[:4] + struct.pack("<I", len(data)) + b"CR" + data[10:] + directory
        (tmp_path / "shot.tif").write_bytes(data)
    assert read_error(tmp_path / "shot.tif").startswith(
        "is a raw photo, and only its preview could be read; develop it"
    )


def test_tiff_with_reduced_copies_is_read(rng, tmp_path):
    photo = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "photo.tif") as file:
        file.write(photo, subifds=1, metadata=None)
        file.write(photo[::2, ::2], subfiletype=1, metadata=None)
    np.testing.assert_array_equal(pictures.read(tmp_path / "photo.tif").pixels, photo)


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_link_to_itself(tmp_path):
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert read_error(tmp_path / "loop.png").startswith("is a symbolic link that leads back")


def test_picture_larger_than_the_memory(rainy, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise MemoryError

    pictures.write(rainy, tmp_path / "photo.png")
    monkeypatch.setattr(pictures.reader, "decode_8bit", fail)
    assert read_error(tmp_path / "photo.png").startswith("not enough memory to load it")


@pytest.mark.parametrize("text", ["could not create decoder object", "failed to read next frame"])
def test_webp_that_may_need_more_memory_is_not_only_called_damaged(
    text, rainy, tmp_path, monkeypatch
):
    def fail(*_: object) -> None:
        raise OSError(text)

    pictures.write(rainy, tmp_path / "photo.webp")
    monkeypatch.setattr(pictures.reader, "decode_8bit", fail)
    assert "or there is not enough memory" in read_error(tmp_path / "photo.webp")


def test_webp_encoder_without_memory(rainy, tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ValueError("encoding error 1")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(MemoryError):
        pictures.write(rainy, tmp_path / "photo.webp")


@pytest.mark.parametrize(
    ("number", "fact"),
    [
        (errno.EIO, "cannot be read (Input/output error); check its disk"),
        (errno.EMFILE, "too many files are open; raise the limit"),
    ],
)
def test_disk_error_is_not_called_damage(number, fact, rainy, tmp_path, monkeypatch):
    def fail(path):
        raise OSError(number, os.strerror(number))

    pictures.write(rainy, tmp_path / "in.png")
    monkeypatch.setattr(pictures.reader, "DiskReader", fail)
    assert read_error(tmp_path / "in.png").startswith(fact)


def test_empty_file(tmp_path):
    (tmp_path / "empty.jpg").touch()
    assert read_error(tmp_path / "empty.jpg").startswith("is empty (zero bytes)")


def test_text_file(tmp_path):
    (tmp_path / "text.jpg").write_text("not a photo at all")
    assert read_error(tmp_path / "text.jpg").startswith("is not a picture in a supported format")


def test_folder(tmp_path):
    assert read_error(tmp_path).startswith("is a folder")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp"])
@pytest.mark.parametrize("share", [0.2, 0.9])
def test_truncated_file(suffix, share, rainy, tmp_path):
    path = tmp_path / f"photo.{suffix}"
    pictures.write(rainy, path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert re.match(
        "is damaged or truncated|is not a picture|is a damaged or unsupported TIFF",
        read_error(path),
    )


def test_decompression_bomb(tmp_path):
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0))
    (tmp_path / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    assert "more than the 178 megapixels" in read_error(tmp_path / "bomb.png")
    with pytest.raises(PictureError, match="more than the 178 megapixels"):
        next(pictures.read_frames(tmp_path / "bomb.png"))


def test_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:])
    assert read_error(tmp_path / "moving.webp").startswith("contains 2 pictures")


def test_float_samples(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tif")
    assert read_error(tmp_path / "float.tif").startswith("its pixels have the unsupported mode F")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_message_about_lab_asks_for_rgb(dtype, tmp_path):
    tifffile.imwrite(tmp_path / "lab.tif", np.zeros((4, 4, 3), dtype), photometric="cielab")
    assert "as RGB or grey" in read_error(tmp_path / "lab.tif")


def test_tiff_unknown_to_pillow(tmp_path):
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((4, 4, 3), np.float32), photometric="rgb")
    assert read_error(tmp_path / "float.tif").startswith(
        "is a damaged or unsupported TIFF; save it again"
    )


def unprivileged_error(statement: str, folder: Path) -> str:
    """Return the last line of stderr of a statement run by a user with few permissions."""
    run = run_unprivileged("from derain.pictures import read, write", statement, folder)
    return (run.stderr.strip().splitlines() or [""])[-1]


def test_unreadable_file(rainy, tmp_path):
    pictures.write(rainy, tmp_path / "secret.png")
    (tmp_path / "secret.png").chmod(0)
    error = unprivileged_error(f"read({str(tmp_path / 'secret.png')!r})", tmp_path)
    assert "secret.png: permission denied; make it readable" in error


def test_unwritable_folder(rainy, tmp_path):
    pictures.write(rainy, tmp_path / "photo.png")
    path = str(tmp_path / "photo.png")
    error = unprivileged_error(f"write(read({path!r}), {path!r})", tmp_path)
    assert "photo.png: permission denied; write to another folder" in error


def test_unknown_suffix(rainy, tmp_path):
    message = r"out\.psd: \.psd is not a picture format that derain writes; use \.png"
    with pytest.raises(PictureError, match=message):
        pictures.write(rainy, tmp_path / "out.psd")


def test_missing_folder(rainy, tmp_path):
    with pytest.raises(PictureError, match="its folder does not exist"):
        pictures.write(rainy, tmp_path / "no" / "out.png")


@pytest.fixture
def full_disk(tmp_path):
    """Return a file system of 64 KiB."""
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
def test_full_disk_is_reported(suffix, rainy, full_disk):
    with pytest.raises(PictureError, match="the disk is full"):
        pictures.write(rainy, full_disk / f"out.{suffix}")
    assert list(full_disk.iterdir()) == []


def test_failed_write_keeps_the_existing_file(rainy, full_disk):
    (full_disk / "out.bmp").write_bytes(b"before")
    with pytest.raises(PictureError):
        pictures.write(rainy, full_disk / "out.bmp")
    assert (full_disk / "out.bmp").read_bytes() == b"before"


def test_interrupted_write_leaves_nothing(rainy, tmp_path, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pictures.write(rainy, tmp_path / "out.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool])
def test_pixels_that_are_not_integers_of_a_file_are_not_written_as_black(dtype, tmp_path):
    picture = Picture(np.ones((4, 4, 3), dtype))
    with pytest.raises(PictureError, match=r"out\.png: pixels of \w+ cannot be written; scale"):
        pictures.write(picture, tmp_path / "out.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("head", [b"\0\0\0\x20ftypisom\0\0\2\0isomiso2", b"RIFF\x24\0\0\0AVI LIST"])
def test_clip_is_not_called_a_damaged_picture(head, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(head + bytes(100))
    assert read_error(path) == "is a clip, not a picture; restore it with `derain video`"
