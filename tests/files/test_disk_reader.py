"""Errors of the disk reach the user, although decoders hide them."""

from __future__ import annotations

import errno
import io
from contextlib import suppress

import pytest
from PIL import Image

from derain import pictures
from derain.errors import PictureError
from derain.files import disk_reader
from derain.files.disk_reader import DiskReader


class FailingFile(io.FileIO):
    """A file with one read that fails, after `left` others; the next ones succeed."""

    left = 0

    def readinto(self, buffer):
        FailingFile.left -= 1
        if FailingFile.left == -1:
            raise OSError(errno.EIO, "Input/output error")
        return super().readinto(buffer)


@pytest.fixture
def failing_disk(monkeypatch):
    """Return a function that says which read fails."""
    kept = disk_reader._KeepingFile
    failing = type("FailingKeepingFile", (kept, FailingFile), {})
    monkeypatch.setattr(disk_reader, "_KeepingFile", failing)
    return lambda left: setattr(FailingFile, "left", left)


@pytest.fixture
def three_pages(tmp_path):
    """Return a TIFF whose pages are far from each other, so that each needs reads of its own."""
    path = tmp_path / "pages.tif"
    pages = [Image.effect_noise((160, 120), 50 + index) for index in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


@pytest.mark.filterwarnings("ignore:.*Input/output error")
def test_pages_are_complete_or_the_error_is_reported(three_pages, failing_disk):
    results = []
    for left in range(30):
        failing_disk(left)
        try:
            results.append(pictures.count_frames(three_pages))
        except PictureError as error:
            assert "cannot be read (Input/output error); check its disk" in str(error)
            results.append(0)
    assert set(results) == {0, 3}
    assert results.count(0) >= 3


@pytest.mark.parametrize("later", [None, ValueError("damaged")], ids=["caught", "replaced"])
def test_error_is_raised_whatever_a_decoder_makes_of_it(later, three_pages, failing_disk):
    failing_disk(0)
    with (
        DiskReader(three_pages) as file,
        pytest.raises(OSError, match="Input/output"),
        file.errors(),
    ):
        with suppress(OSError):
            file.read(10)
        if later is not None:
            raise later
