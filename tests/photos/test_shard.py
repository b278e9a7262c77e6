"""Shares of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from derain.errors import DerainError
from derain.photos.jobs import find_jobs
from derain.photos.shard import Shard

NAMES = [Path("été") / f"{index}.jpg" for index in range(800)]


def test_every_file_is_in_one_share():
    assert all(sum(Shard(index, 8).holds(name) for index in range(1, 9)) == 1 for name in NAMES)


def test_shares_are_about_equal():
    assert all(
        70 < sum(Shard(index, 8).holds(name) for name in NAMES) < 130 for index in range(1, 9)
    )


@pytest.mark.parametrize("text", ["0/8", "9/8", "2", "a/b", "2/0", "-1/2", "1/" + "9" * 5000])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(DerainError, match="write 2/8 for the second of eight"):
        Shard.parse(text)


def test_shares_of_a_folder_make_up_the_whole_whatever_is_done_already(tmp_path):
    (tmp_path / "in").mkdir()
    for index in range(40):
        (tmp_path / "in" / f"{index}.png").touch()
    done: list[str] = []
    for index in (1, 2, 3):
        found = find_jobs([tmp_path / "in"], shard=Shard(index, 3))
        for errand in found.todo:
            errand.target.touch()
        done += [errand.source.name for errand in found.todo]
        assert len(found.todo) + found.of_other_shards == 40
    assert (len(done), len(set(done))) == (40, 40)


@pytest.mark.parametrize(
    "pattern", ["IMG_{:04}.jpg", "img{}.png", "DSC{:05}.JPG", "frame_{:06}.png"]
)
def test_shares_of_numbered_names_are_about_equal(pattern):
    """A checksum is no hash: that of CRC gave 3 of 8 machines nothing of 24 such names."""
    names = [Path(pattern.format(index)) for index in range(400)]
    assert all(
        25 < sum(Shard(index, 8).holds(name) for name in names) < 80 for index in range(1, 9)
    )
