"""List files, given instead of a folder or found in one."""

import pytest
from helpers.pairs import put

from derain.data.pairs.find import find_pairs
from derain.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """Three pictures without sides in their names."""
    for name in "abc":
        put(tmp_path / f"{name}.png")
    return tmp_path


def names_of(pair_set):
    return [(pair.rainy_path.name, pair.clean_path.name) for pair in pair_set.pairs]


@pytest.mark.parametrize("rainy", ["/real_world/", "./real_world/", "real_world/"])
def test_list_names_the_pairs(tmp_path, rainy):
    put(tmp_path / "real_world" / "a.png")
    put(tmp_path / "real_world_gt" / "b.png")
    (tmp_path / "real_world.txt").write_bytes(f"{rainy}a.png /real_world_gt/b.png\r\n\r\n".encode())
    pair_set = find_pairs(tmp_path)
    assert pair_set.layout == "list"
    assert names_of(pair_set) == [("a.png", "b.png")]


def test_list_can_replace_its_folder(folder):
    (folder / "some.txt").write_text("a.png b.png\n")
    pair_set = find_pairs(folder / "some.txt")
    assert names_of(pair_set) == [("a.png", "b.png")]
    assert pair_set.origin == folder / "some.txt"


def test_unlisted_picture_is_ignored(folder):
    (folder / "list.txt").write_text("a.png b.png\n")
    assert find_pairs(folder).ignored == [folder / "c.png"]


def test_missing_file_is_reported_with_its_line(folder):
    (folder / "list.txt").write_text("a.png b.png\nd.png b.png\n")
    assert list(map(str, find_pairs(folder).problems)) == [
        f"{folder / 'd.png'}: does not exist, but line 2 of list.txt names it"
    ]


def test_malformed_line_is_an_error(folder):
    (folder / "list.txt").write_text("a.png a.png\nonly-one.png\n")
    with pytest.raises(DataError, match=r"list\.txt: line 2"):
        find_pairs(folder)


def test_zero_byte_is_an_error(folder):
    (folder / "list.txt").write_text("a.png b.png\nc\0.png b.png\n")
    with pytest.raises(DataError, match=r"list\.txt: line 2 contains a zero byte"):
        find_pairs(folder)


def test_repeated_line_is_one_pair_and_reported(tmp_path):
    for name in ("1", "2"):
        put(tmp_path / "real" / f"{name}.png")
        put(tmp_path / "gt" / f"{name}.png")
    path = tmp_path / "train.txt"
    path.write_text("real/1.png gt/1.png\nreal/2.png gt/2.png\nreal/1.png gt/1.png\n")
    pair_set = find_pairs(path)
    assert [pair.name for pair in pair_set.pairs] == ["real/1", "real/2"]
    assert list(map(str, pair_set.problems)) == [
        f"{path}: its line 3 repeats line 1 of train.txt; remove one"
    ]


def test_list_covers_only_the_folders_it_names(tmp_path):
    for folder in ("A", "B"):
        for side in ("rainy", "clean"):
            put(tmp_path / folder / side / "1.png")
    unlisted = put(tmp_path / "A" / "rainy" / "2.png")
    (tmp_path / "A" / "list.txt").write_text("rainy/1.png clean/1.png\n")
    pair_set = find_pairs(tmp_path)
    assert [pair.name for pair in pair_set.pairs] == ["A/rainy/1", "B/1"]
    assert pair_set.layout == "list, folders"
    assert pair_set.ignored == [unlisted]
    assert pair_set.problems == []
