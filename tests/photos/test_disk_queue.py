import errno

import numpy as np
import pytest

from derain.errors import PictureError
from derain.photos.disk_queue import disk_queue
from derain.pictures import Picture


def test_pictures_come_out_as_they_went_in_and_leave_nothing(tmp_path):
    with disk_queue(tmp_path) as waiting:
        for value in range(3):
            waiting.add(Picture(np.full((4, 5, 3), value, np.uint8)))
        assert [picture.pixels[0, 0, 0] for picture in waiting] == [0, 1, 2]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with (
        pytest.raises(PictureError, match="none: cannot be written to"),
        disk_queue(tmp_path / "none"),
    ):
        pass


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("derain.photos.disk_queue.pickle.dump", full)
    with (
        disk_queue(tmp_path) as waiting,
        pytest.raises(PictureError, match="has no room for a picture"),
    ):
        waiting.add(Picture(np.zeros((4, 5, 3), np.uint8)))
