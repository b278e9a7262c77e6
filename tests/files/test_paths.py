"""Questions about paths, and the walk through a folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from derain.errors import DerainError
from derain.files.paths import (
    check_target_name,
    create_folder,
    ignores_case,
    is_occupied,
    is_taken,
    looks_like_file,
    natural_key,
    same_file,
    walk,
)


def walked(root: Path) -> list[tuple[str, list[str]]]:
    errors: list[OSError] = []
    folders = [
        (folder.relative_to(root).as_posix(), names)
        for folder, names in walk(root, onerror=errors.append)
    ]
    assert errors == []
    return folders


def test_walk_is_sorted(tmp_path):
    for name in ["b/2.png", "b/1.png", "a/3.png"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert walked(tmp_path) == [(".", []), ("a", ["3.png"]), ("b", ["1.png", "2.png"])]


def test_walk_skips_hidden_folders(tmp_path):
    (tmp_path / ".hidden").mkdir()
    assert walked(tmp_path) == [(".", [])]


def test_walk_follows_links(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "1.png").touch()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "other")
    assert walked(tmp_path / "root") == [(".", []), ("link", ["1.png"])]


def test_walk_stops_at_a_link_to_a_parent(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert walked(tmp_path) == [(".", []), ("a", [])]


def test_walk_reports_a_missing_folder(tmp_path):
    errors: list[OSError] = []
    assert list(walk(tmp_path / "missing", onerror=errors.append)) == []
    assert [type(error) for error in errors] == [FileNotFoundError]


def test_dangling_link_is_occupied(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "missing")
    assert is_occupied(tmp_path / "link")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("out.png", True), ("out", False), ("26.11", False), ("out.png/", False), ("26.11/", False)],
)
def test_suffix_of_a_file(name, expected):
    assert looks_like_file(name) == expected


def test_empty_file_is_not_taken(tmp_path):
    (tmp_path / "empty").touch()
    assert not is_taken(tmp_path / "empty")


def test_missing_file_is_not_taken(tmp_path):
    assert not is_taken(tmp_path / "missing")


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_taken_names(kind, tmp_path):
    path = tmp_path / kind
    match kind:
        case "file":
            path.write_text("content")
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(tmp_path / "missing")
    assert is_taken(path)


def test_link_and_target_are_the_same_file(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    assert same_file(tmp_path / "file", tmp_path / "link")


def test_missing_files_are_not_the_same(tmp_path):
    assert not same_file(tmp_path / "missing", tmp_path / "missing")


@pytest.mark.parametrize("folder", [".", "new/folder"])
def test_case_is_ignored_where_two_cases_lead_to_one_file(folder, tmp_path):
    (tmp_path / "Img_1.jpg").touch()
    (tmp_path / "iMG_1.JPG").hardlink_to(tmp_path / "Img_1.jpg")
    assert ignores_case(tmp_path / folder)


@pytest.mark.skipif(sys.platform != "linux", reason="disks of Windows and macOS ignore case")
@pytest.mark.parametrize("names", [[], ["1"], ["IMG"], ["img", "IMG"]])
def test_case_is_not_ignored_where_it_makes_two_files(names, tmp_path):
    for name in names:
        (tmp_path / name).touch()
    assert not ignores_case(tmp_path / "new")


def test_create_folder_with_parents(tmp_path):
    create_folder(tmp_path / "a" / "b")
    create_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_create_folder_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DerainError, match=r"file/b: cannot be created \(Not a directory\)"):
        create_folder(tmp_path / "file" / "b")


def test_long_target_name_is_rejected(tmp_path):
    with pytest.raises(OSError, match="too long"):
        check_target_name(tmp_path / ("x" * 300))


def test_new_target_name_is_accepted(tmp_path):
    check_target_name(tmp_path / "out.png")


@pytest.mark.parametrize(
    "names", [["2.png", "10.png"], ["1", "a"], ["f2a", "f10a"], ["01.png", "1.png", "2.png"]]
)
def test_natural_order_does_not_depend_on_the_order_of_the_disk(names):
    assert sorted(reversed(names), key=natural_key) == names
