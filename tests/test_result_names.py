"""Names of results, and conflicts between them."""

from __future__ import annotations

from pathlib import Path

import pytest

from derain import result_names
from derain.errors import DerainError
from derain.result_names import Conflict, ConflictCheck, check_suffix, possible_sources


@pytest.mark.parametrize(
    ("name", "suffix", "sources"),
    [
        ("a_derained.png", "_derained", {"a"}),
        ("a_compared.png", "_derained", {"a"}),
        ("a_clean.png", "_clean", {"a"}),
        ("a_derained_rain.png", "_derained", {"a"}),
        ("a_rain.png", "_derained", set()),
        ("a_no_rain.png", "_no_rain", {"a"}),
        ("a_no_rain_rain.png", "_no_rain", {"a"}),
        ("a_rain.png", "_rain", {"a"}),
        ("a.png", "_derained", set()),
        ("_derained.png", "_derained", set()),
        ("a_derained.png", "", {"a"}),
    ],
)
def test_possible_sources(name, suffix, sources):
    assert possible_sources(Path("in") / name, suffix) == {Path("in") / stem for stem in sources}


@pytest.mark.parametrize("suffix", ["a/b", "a\\b"])
def test_suffix_with_a_folder_is_rejected(suffix):
    with pytest.raises(DerainError, match="must not contain a folder"):
        check_suffix(suffix)


def problem(conflicts: ConflictCheck, source: Path | str, *targets: Path | str) -> str:
    """Return what forbids a job, or an empty text."""
    conflict = conflicts.reserve(Path(source), [Path(target) for target in targets])
    return "" if conflict is None or conflict.problem is None else conflict.problem


def test_target_of_an_earlier_input_conflicts():
    conflicts = ConflictCheck()
    assert problem(conflicts, "a/x", "out/x") == ""
    assert problem(conflicts, "b/x", "out/x").startswith("b/x: would overwrite the result of a/x; ")


def test_conflicting_input_reserves_its_free_targets():
    conflicts = ConflictCheck()
    problem(conflicts, "a", "1")
    problem(conflicts, "b", "1", "2")
    assert "the result of b" in problem(conflicts, "c", "2")


def test_names_of_one_file_on_the_disk_conflict(monkeypatch):
    """As on Windows, macOS and memory cards: case, and there also the encoding of accents."""
    monkeypatch.setattr(result_names, "ignores_case", lambda folder: True)
    conflicts = ConflictCheck()
    problem(conflicts, "a/IMG_1.JPG", "out/IMG_1.JPG")
    problem(conflicts, "a/caf\u00e9.jpg", "out/caf\u00e9.jpg")
    assert "the result of a/IMG_1.JPG" in problem(conflicts, "b/img_1.jpg", "out/img_1.jpg")
    assert "the result of a/IMG_1.JPG" in problem(conflicts, "c/img_1.jpg", "OUT/img_1.jpg")
    assert "the result of a/caf" in problem(conflicts, "b/cafe\u0301.jpg", "out/cafe\u0301.jpg")


def test_names_in_two_cases_do_not_conflict_elsewhere(monkeypatch):
    monkeypatch.setattr(result_names, "ignores_case", lambda folder: False)
    conflicts = ConflictCheck()
    problem(conflicts, "a/IMG.JPG", "out/IMG.JPG")
    assert problem(conflicts, "b/img.jpg", "out/img.jpg") == ""


def test_links_in_folders_are_resolved(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    conflicts = ConflictCheck()
    problem(conflicts, "a", tmp_path / "real" / "x")
    assert "the result of a" in problem(conflicts, "b", tmp_path / "link" / "x")


def test_another_input_must_not_be_overwritten():
    conflicts = ConflictCheck([Path("a"), Path("b")])
    assert problem(conflicts, "a", "a") == ""
    assert problem(conflicts, "a", "b").startswith("a: would overwrite b, another input; ")


@pytest.mark.parametrize("again", ["a", "link"])
def test_repeated_input_does_not_conflict(again, tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to("a")
    conflicts = ConflictCheck()
    conflicts.reserve(tmp_path / "a", [tmp_path / "out"])
    assert conflicts.reserve(tmp_path / again, [tmp_path / "out"]) == Conflict(None)
