"""Pictures that wait on disk."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from derain.errors import PictureError
from derain.photos.disk_queue import disk_queue
from derain.pictures import Picture


def test_queue_returns_its_pictures_and_leaves_no_file(tmp_path):
    with disk_queue(tmp_path) as queue:
        for value in range(3):
            queue.add(Picture(np.full((4, 5, 3), value, np.uint8)))
        assert [picture.pixels[0, 0, 0] for picture in queue] == [0, 1, 2]
    assert not list(tmp_path.iterdir())


def test_missing_folder_is_reported(tmp_path):
    with (
        pytest.raises(PictureError, match="none: cannot be written to"),
        disk_queue(tmp_path / "none"),
    ):
        pass


def test_full_disk_is_reported(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("derain.photos.disk_queue.pickle.dump", fail)
    with (
        disk_queue(tmp_path) as queue,
        pytest.raises(PictureError, match=r"no room for a temporary picture \(No space left"),
    ):
        queue.add(Picture(np.zeros((4, 5, 3), np.uint8)))
