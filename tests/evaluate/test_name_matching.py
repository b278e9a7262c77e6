"""Names that other programs give to what they write."""

import pytest
from helpers.unprivileged import as_nobody

from derain.errors import DataError
from derain.evaluate.name_matching import match, picture_files
from derain.suffixes import PICTURE_SUFFIXES

SCENES = ["norain-1", "norain-2", "norain-10"]


def partners(outputs, scenes, **options):
    return {found.output: found.scene for found in match(outputs, scenes, **options).matches}


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
def test_an_output_finds_its_scene_by_any_usual_name(pattern):
    outputs = [pattern.format(number) for number in (1, 2, 10)]
    assert partners(outputs, SCENES) == dict(zip(outputs, SCENES, strict=True))


def test_the_strictest_rule_that_matches_all_is_taken():
    assert match(SCENES, SCENES).rule == "the same"


def test_accents_composed_and_decomposed_are_one_name():
    assert partners(["cafe\u0301"], ["caf\u00e9"]) == {"cafe\u0301": "caf\u00e9"}


def test_nothing_is_matched_by_position():
    assert match(["a", "b"], ["c", "d"]).matches == []


def test_one_file_is_not_matched_to_a_single_scene_of_another_name():
    assert match(["cat"], ["dog"]).matches == []


def test_an_output_without_a_scene_is_listed():
    assert match(["1", "2", "77"], ["1", "2", "3"]).left_outputs == ["77"]


def test_a_scene_without_an_output_is_listed():
    assert match(["1", "2", "77"], ["1", "2", "3"]).left_scenes == ["3"]


def test_two_outputs_that_fit_one_scene_are_both_left_out():
    found = match(["rain-1", "1_derained", "rain-2"], ["1", "2"])
    assert [matched.output for matched in found.matches] == ["rain-2"]


def test_two_outputs_that_fit_one_scene_are_named():
    assert match(["rain-1", "1_derained", "rain-2"], ["1", "2"]).ambiguous == {
        "1": ["rain-1", "1_derained"]
    }


def test_two_scenes_that_fit_one_output_are_both_left_out():
    assert partners(["rain-1", "rain-2"], ["1", "01", "2"]) == {"rain-2": "2"}


def test_many_outputs_belong_to_one_clean_picture_if_asked():
    assert partners(["901_1", "901_14", "902_1"], ["901", "902"], several=True) == {
        "901_1": "901",
        "901_14": "901",
        "902_1": "902",
    }


def test_many_outputs_of_one_scene_keep_names_of_their_own():
    found = match(["901_1_derained", "901_14_derained"], ["901"], several=True)
    assert [matched.name for matched in found.matches] == ["901_1", "901_14"]


def test_many_outputs_do_not_belong_to_one_clean_picture_unless_asked():
    assert match(["901_1", "901_2"], ["901", "902"]).matches == []


def test_pictures_below_the_folder_are_found_in_natural_order(tmp_path):
    for name in ("10.png", "2.PNG", "sub/1.jpg", "notes.txt", ".hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(picture_files(tmp_path)) == ["2", "10", "sub/1"]


@pytest.mark.parametrize("suffix", sorted(PICTURE_SUFFIXES))
def test_every_kind_of_picture_that_derain_reads_is_found(suffix, tmp_path):
    (tmp_path / f"1{suffix}").touch()
    assert list(picture_files(tmp_path)) == ["1"]


@pytest.mark.parametrize("names", [["²1", "21"], ["1²", "2"]])
def test_a_raised_two_is_no_number(names, tmp_path):
    for name in names:
        (tmp_path / f"{name}.png").touch()
    assert set(picture_files(tmp_path)) == set(names)


def test_pictures_that_differ_in_their_suffix_alone_keep_it(tmp_path):
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
def test_a_number_that_all_names_share_hides_no_scene_of_that_number(pattern):
    outputs = [pattern.format(number) for number in (1, 2, 10)]
    assert partners(outputs, SCENES, several=True) == dict(zip(outputs, SCENES, strict=True))


@pytest.mark.parametrize(
    "sides",
    [("{}_real_A", "{}_fake_B"), ("{}_input", "{}_restored"), ("{}_rainy", "{}_derained", "{}_gt")],
)
def test_inputs_and_outputs_in_one_folder_are_not_taken_for_outputs_of_one_scene(sides):
    assert (
        partners(
            [side.format(number) for number in (1, 2, 10) for side in sides], SCENES, several=True
        )
        == {}
    )


def test_many_outputs_of_one_scene_may_bear_the_name_of_the_program():
    found = match(["901_PReNet_1", "901_PReNet_14"], ["901", "902"], several=True)
    assert [matched.name for matched in found.matches] == ["901_1", "901_14"]


def test_a_folder_may_end_in_a_pattern(tmp_path):
    for name in ("1_real_A.png", "1_fake_B.png", "2_fake_B.png"):
        (tmp_path / name).touch()
    assert list(picture_files(tmp_path / "*_fake_B.png")) == ["1_fake_B", "2_fake_B"]


def test_a_pattern_that_fits_nothing_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no picture called \*_B.png in it"):
        picture_files(tmp_path / "*_B.png")


@pytest.mark.parametrize(
    ("folder", "fact"), [("nowhere", "no such folder"), ("", "no picture in it")]
)
def test_a_folder_without_pictures_is_refused(folder, fact, tmp_path):
    with pytest.raises(DataError, match=fact):
        picture_files(tmp_path / folder)


def test_pictures_in_a_folder_that_is_shut_are_found_and_not_left_out(tmp_path):
    (tmp_path / "shut").mkdir()
    (tmp_path / "shut" / "1.png").touch()
    (tmp_path / "shut").chmod(0o444)
    imports = "from pathlib import Path; from derain.evaluate.name_matching import picture_files"
    run = as_nobody(imports, f"print([*picture_files(Path({str(tmp_path)!r}))])", tmp_path)
    (tmp_path / "shut").chmod(0o755)
    assert (run.stdout, run.stderr) == ("['shut/1']\n", "")


def test_a_folder_below_that_may_not_be_listed_is_one_sentence(tmp_path):
    (tmp_path / "1.png").touch()
    (tmp_path / "shut").mkdir(mode=0o000)
    imports = "from pathlib import Path; from derain.evaluate.name_matching import picture_files"
    run = as_nobody(imports, f"picture_files(Path({str(tmp_path)!r}))", tmp_path)
    assert run.stderr.splitlines()[-1].startswith(
        f"derain.errors.DataError: {tmp_path / 'shut'}: cannot be searched ("
    )


@pytest.mark.parametrize("names", [["001", "🌧"], ["🌧", "❄"], ["!", "001"]])
def test_names_without_letters_or_digits_are_names(names):
    assert partners(names, names) == dict(zip(names, names, strict=True))


def test_rains_of_one_scene_are_not_taken_for_scenes_of_their_numbers():
    outputs = ["3_1", "3_2", "3_4"]
    assert partners(outputs, ["1", "2", "3", "4", "5"], several=True) == dict.fromkeys(outputs, "3")


def test_names_that_were_typed_are_not_reduced_to_what_they_do_not_share():
    assert partners(["night-3", "night-4"], ["day-3", "day-4"], folders=False) == {}


def test_hidden_folders_hold_no_pictures_and_linked_ones_do(tmp_path, write_png):
    for name in ("photos/a", "photos/.thumbnails/a", "elsewhere/b"):
        write_png(f"{name}.png", [[[0, 0, 0]]])
    (tmp_path / "photos" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "photos")
    assert list(picture_files(tmp_path / "photos")) == ["a", "link/b"]
