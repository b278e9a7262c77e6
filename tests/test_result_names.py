"""Names of results, and conflicts between them."""

from __future__ import annotations

from pathlib import Path

import pytest

from derain.errors import DerainError
from derain.result_names import ConflictCheck, check_suffix, is_repeated, possible_sources


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


def test_target_of_an_earlier_input_conflicts():
    conflicts = ConflictCheck()
    assert conflicts.conflicting_input(Path("a/x"), [Path("out/x")]) is None
    assert conflicts.conflicting_input(Path("b/x"), [Path("out/x")]) == Path("a/x")


def test_conflicting_input_reserves_its_free_targets():
    conflicts = ConflictCheck()
    conflicts.conflicting_input(Path("a"), [Path("1")])
    conflicts.conflicting_input(Path("b"), [Path("1"), Path("2")])
    assert conflicts.conflicting_input(Path("c"), [Path("2")]) == Path("b")


def test_links_in_folders_are_resolved(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    conflicts = ConflictCheck()
    conflicts.conflicting_input(Path("a"), [tmp_path / "real" / "x"])
    assert conflicts.conflicting_input(Path("b"), [tmp_path / "link" / "x"]) == Path("a")


def test_another_input_must_not_be_overwritten():
    conflicts = ConflictCheck([Path("a"), Path("b")])
    assert conflicts.overwritten_input(Path("a"), [Path("a")]) is None
    assert conflicts.overwritten_input(Path("a"), [Path("b")]) == Path("b")


def test_repeated_input(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to("a")
    assert is_repeated(Path("missing"), Path("missing"))
    assert is_repeated(tmp_path / "a", tmp_path / "link")
    assert not is_repeated(tmp_path / "a", tmp_path / "b")
