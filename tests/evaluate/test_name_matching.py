"""Matching of names that other programs give to their outputs."""

import pytest
from helpers.unprivileged import run_unprivileged

from derain.errors import DataError
from derain.evaluate.name_matching import match, picture_files
from derain.suffixes import PICTURE_SUFFIXES

SCENES = ["norain-1", "norain-2", "norain-10"]


def partners(outputs, scenes, **options):
    return {item.output: item.scene for item in match(outputs, scenes, **options).matches}


@pytest.mark.parametrize(
    "pattern",
    [
        "norain-{}",
        "rain-{:03d}",
        "{:03d}_derained",
        "{:04d}",
        "{}",
        "norain-{}x2",
        "Derained-Rain100L-rain-{:03d}",
        "PReNet_{}_out",
        "results/{}",
        "IMG_{}.png",
        "RAIN-{}",
    ],
)
def test_common_output_names_match(pattern):
    outputs = [pattern.format(number) for number in (1, 2, 10)]
    assert partners(outputs, SCENES) == dict(zip(outputs, SCENES, strict=True))


def test_the_strictest_rule_wins():
    assert match(SCENES, SCENES).rule == "the same"


def test_names_that_differ_in_case_match_their_equals():
    assert partners(["a", "A"], ["A", "a"]) == {"a": "a", "A": "A"}


def test_accents_are_normalised():
    assert partners(["cafe\u0301"], ["caf\u00e9"]) == {"cafe\u0301": "caf\u00e9"}


def test_position_does_not_match():
    assert match(["a", "b"], ["c", "d"]).matches == []


def test_a_single_file_needs_a_matching_name():
    assert match(["cat"], ["dog"]).matches == []


def test_outputs_without_scene_are_listed():
    assert match(["1", "2", "77"], ["1", "2", "3"]).unmatched_outputs == ["77"]


def test_scenes_without_output_are_listed():
    assert match(["1", "2", "77"], ["1", "2", "3"]).unmatched_scenes == ["3"]


def test_two_outputs_of_one_scene_are_skipped():
    matching = match(["rain-1", "1_derained", "rain-2"], ["1", "2"])
    assert [item.output for item in matching.matches] == ["rain-2"]


def test_two_outputs_of_one_scene_are_reported():
    assert match(["rain-1", "1_derained", "rain-2"], ["1", "2"]).ambiguous == {
        "1": ["rain-1", "1_derained"]
    }


def test_two_scenes_of_one_output_are_skipped():
    assert partners(["rain-1", "rain-2"], ["1", "01", "2"]) == {"rain-2": "2"}


def test_one_to_many_matches_parts():
    assert partners(["901_1", "901_14", "902_1"], ["901", "902"], one_to_many=True) == {
        "901_1": "901",
        "901_14": "901",
        "902_1": "902",
    }


def test_parts_have_distinct_names():
    matching = match(["901_1_derained", "901_14_derained"], ["901"], one_to_many=True)
    assert [item.name for item in matching.matches] == ["901_1", "901_14"]


def test_parts_need_one_to_many():
    assert match(["901_1", "901_2"], ["901", "902"]).matches == []


@pytest.mark.parametrize(
    ("outputs", "scenes"),
    [
        (["Rain100L/1", "Test100/1"], ["test/Rain100L/1", "test/Test100/1"]),
        (["000_0", "001_0"], ["real_world/000/000_0", "real_world/001/001_0"]),
        (["a/Beach-R-1_derained", "a/Park-R-1_derained"], ["Beach/Beach-R-1", "Park/Park-R-1"]),
    ],
)
def test_outputs_may_be_in_other_folders(outputs, scenes):
    assert partners(outputs, scenes) == dict(zip(outputs, scenes, strict=True))


def test_folders_distinguish_scenes_of_one_name():
    assert match(["1", "2"], ["Heavy/1", "Heavy/2", "Light/1", "Light/2"]).matches == []


def test_other_folders_are_ignored_only_if_nothing_matches():
    assert partners(["Heavy/1", "Light/2"], ["Heavy/1", "Heavy/2"]) == {"Heavy/1": "Heavy/1"}


def test_pictures_are_found_in_natural_order(tmp_path):
    for name in ("10.png", "2.PNG", "sub/1.jpg", "notes.txt", ".hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(picture_files(tmp_path)) == ["2", "10", "sub/1"]


@pytest.mark.parametrize("suffix", sorted(PICTURE_SUFFIXES))
def test_every_readable_format_is_found(suffix, tmp_path):
    (tmp_path / f"1{suffix}").touch()
    assert list(picture_files(tmp_path)) == ["1"]


@pytest.mark.parametrize("names", [["²1", "21"], ["1²", "2"]])
def test_superscript_digits_are_not_numbers(names, tmp_path):
    for name in names:
        (tmp_path / f"{name}.png").touch()
    assert set(picture_files(tmp_path)) == set(names)


def test_suffixes_are_kept_where_stems_collide(tmp_path):
    for name in ("1.png", "1.jpg"):
        (tmp_path / name).touch()
    assert sorted(picture_files(tmp_path)) == ["1.jpg", "1.png"]


@pytest.mark.parametrize(
    "pattern",
    [
        "Rain200L/norain-{}x2_out",
        "{}-DRSformer-Rain200L-x1",
        "epoch_2_{}_restored",
        "10/{}",
        "test_1/{}_1",
    ],
)
def test_shared_numbers_do_not_hide_scenes(pattern):
    outputs = [pattern.format(number) for number in (1, 2, 10)]
    assert partners(outputs, SCENES, one_to_many=True) == dict(zip(outputs, SCENES, strict=True))


@pytest.mark.parametrize(
    "sides",
    [("{}_real_A", "{}_fake_B"), ("{}_input", "{}_restored"), ("{}_rainy", "{}_derained", "{}_gt")],
)
def test_mixed_inputs_and_outputs_do_not_match(sides):
    assert (
        partners(
            [side.format(number) for number in (1, 2, 10) for side in sides],
            SCENES,
            one_to_many=True,
        )
        == {}
    )


def test_parts_may_include_a_program_name():
    matching = match(["901_PReNet_1", "901_PReNet_14"], ["901", "902"], one_to_many=True)
    assert [item.name for item in matching.matches] == ["901_1", "901_14"]


def test_a_pattern_selects_files(tmp_path):
    for name in ("1_real_A.png", "1_fake_B.png", "2_fake_B.png"):
        (tmp_path / name).touch()
    assert list(picture_files(tmp_path / "*_fake_B.png")) == ["1_fake_B", "2_fake_B"]


def test_an_empty_pattern_is_rejected(tmp_path):
    with pytest.raises(DataError, match=r"contains no picture named \*_B.png"):
        picture_files(tmp_path / "*_B.png")


@pytest.mark.parametrize(
    ("folder", "fact"), [("nowhere", "no such folder"), ("", "contains no picture")]
)
def test_folders_without_pictures_are_rejected(folder, fact, tmp_path):
    with pytest.raises(DataError, match=fact):
        picture_files(tmp_path / folder)


def test_pictures_in_an_unsearchable_folder_are_listed(tmp_path):
    (tmp_path / "shut").mkdir()
    (tmp_path / "shut" / "1.png").touch()
    (tmp_path / "shut").chmod(0o444)
    imports = "from pathlib import Path; from derain.evaluate.name_matching import picture_files"
    run = run_unprivileged(imports, f"print([*picture_files(Path({str(tmp_path)!r}))])", tmp_path)
    (tmp_path / "shut").chmod(0o755)
    assert run.stderr == ""
    assert run.stdout == "['shut/1']\n"


def test_an_unlistable_subfolder_is_an_error(tmp_path):
    (tmp_path / "1.png").touch()
    (tmp_path / "shut").mkdir(mode=0o000)
    imports = "from pathlib import Path; from derain.evaluate.name_matching import picture_files"
    run = run_unprivileged(imports, f"picture_files(Path({str(tmp_path)!r}))", tmp_path)
    assert run.stderr.splitlines()[-1].startswith(
        f"derain.errors.DataError: {tmp_path / 'shut'}: cannot be listed ("
    )


@pytest.mark.parametrize("names", [["001", "🌧"], ["🌧", "❄"], ["!", "001"]])
def test_symbols_are_names(names):
    assert partners(names, names) == dict(zip(names, names, strict=True))


def test_parts_are_not_scenes_of_their_number():
    outputs = ["3_1", "3_2", "3_4"]
    assert partners(outputs, ["1", "2", "3", "4", "5"], one_to_many=True) == dict.fromkeys(
        outputs, "3"
    )


def test_typed_names_keep_shared_parts():
    assert partners(["night-3", "night-4"], ["day-3", "day-4"], whole_folders=False) == {}


def test_hidden_folders_are_skipped_and_links_followed(tmp_path, write_png):
    for name in ("photos/a", "photos/.thumbnails/a", "elsewhere/b"):
        write_png(f"{name}.png", [[[0, 0, 0]]])
    (tmp_path / "photos" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "photos")
    assert list(picture_files(tmp_path / "photos")) == ["a", "link/b"]
