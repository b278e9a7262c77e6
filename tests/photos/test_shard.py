"""Shards of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from derain.errors import DerainError
from derain.photos.jobs import find_jobs
from derain.photos.shard import Shard

NAMES = [Path("été") / f"{index}.jpg" for index in range(800)]


def test_each_file_is_in_one_shard():
    for name in NAMES:
        assert sum(Shard(index, 8).contains(name) for index in range(1, 9)) == 1


@pytest.mark.parametrize("index", range(1, 9))
def test_shards_are_about_equal(index):
    assert 70 < sum(Shard(index, 8).contains(name) for name in NAMES) < 130


@pytest.mark.parametrize(
    "pattern", ["IMG_{:04}.jpg", "img{}.png", "DSC{:05}.JPG", "frame_{:06}.png"]
)
def test_shards_of_numbered_names_are_about_equal(pattern):
    """A CRC would not do: it left 3 of 8 machines without any of 24 such names."""
    names = [Path(pattern.format(index)) for index in range(400)]
    for index in range(1, 9):
        assert 25 < sum(Shard(index, 8).contains(name) for name in names) < 80


@pytest.mark.parametrize("text", ["0/8", "9/8", "2", "a/b", "2/0", "-1/2", "1/" + "9" * 5000])
def test_invalid_shard_is_rejected(text):
    with pytest.raises(DerainError, match="expected INDEX/COUNT, for example 2/8"):
        Shard.parse(text)


def test_shards_cover_the_folder_despite_existing_results(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(40):
        (tmp_path / "in" / f"{number}.png").touch()
    done: list[str] = []
    for index in (1, 2, 3):
        jobs = find_jobs([tmp_path / "in"], shard=Shard(index, 3))
        for job in jobs.pending:
            job.target.touch()
        done += [job.source.name for job in jobs.pending]
        assert len(jobs.pending) + jobs.other_shards == 40
    assert len(done) == 40
    assert len(set(done)) == 40
