import shutil

import numpy as np
import pytest
from helpers.pairs import plant
from PIL import Image
from skimage import data

from derain.cli.data import check
from derain.cli.main import main
from derain.errors import DataError


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A training set of two pairs, and a test set that shares one background with it."""
    root = tmp_path_factory.mktemp("sets")
    coffee, rocket = data.coffee()[::2, ::2], data.rocket()[::2, ::2]
    plant(root / "train", {"coffee.png": coffee, "rocket.png": rocket})
    plant(root / "test", {"rocket.png": rocket})
    return root


@pytest.fixture
def train(planted, tmp_path):
    """A copy of the training set, to be modified."""
    return shutil.copytree(planted / "train", tmp_path / "train")


def test_sound_set_returns_0(planted):
    assert check(planted / "train", jobs=1) == 0


def test_shared_background_is_printed_and_returns_1(planted, capsys):
    train, test = planted / "train", planted / "test"
    assert check(train, test, jobs=1) == 1
    shared = f"{train / 'clean' / 'rocket.png'} = {test / 'clean' / 'rocket.png'}"
    assert shared in capsys.readouterr().out


def test_rain_free_folders_are_compared_with_sets(planted, capsys):
    backgrounds = planted / "test" / "clean"
    options = ["--rain-free", str(backgrounds), "--jobs", "1"]
    assert main(["data", "check", str(planted / "train"), *options]) == 1
    report = capsys.readouterr().out
    assert f"rocket.png = {backgrounds / 'rocket.png'}" in report
    assert "pictures     1" in report


def test_report_describes_the_set(planted, capsys):
    check(planted / "train", jobs=1)
    words = capsys.readouterr().out.split()
    assert {"folders", "2", "300x200", "320x214", "png", "dB"} - set(words) == set()


def test_long_lists_are_cut_without_all(train, capsys):
    for index in range(15):
        unpaired = Image.fromarray(np.zeros((9, 9, 3), np.uint8))
        unpaired.save(train / "rainy" / f"alone{index}.png")
    check(train, jobs=1)
    cut = capsys.readouterr().out
    assert "... and 5 more" in cut
    assert "alone14.png" not in cut
    check(train, jobs=1, print_all=True)
    assert "alone14.png" in capsys.readouterr().out


def test_long_groups_are_cut(train, capsys):
    for index in range(14):
        for side in ("rainy", "clean"):
            shutil.copy(train / side / "rocket.png", train / side / f"rocket{index}.png")
    check(train, jobs=1)
    assert "rocket9.png and 5 more" in capsys.readouterr().out


def test_duplicates_in_several_folders_are_named_with_them(planted, tmp_path, capsys):
    for part in ("A", "B"):
        shutil.copytree(planted / "test", tmp_path / part)
    check(tmp_path, jobs=1)
    assert "A/clean/rocket.png = B/clean/rocket.png" in capsys.readouterr().out


@pytest.mark.parametrize("option", [("--jobs", "-1"), ("--jobs", "0"), ("--measured", "-1")])
def test_invalid_count_is_a_usage_error(option, planted, capsys):
    with pytest.raises(SystemExit):
        main(["data", "check", str(planted / "train"), *option])
    assert "Must be >=" in capsys.readouterr().err


def test_measuring_can_be_skipped(planted, capsys):
    options = ["--measured", "0", "--jobs", "1"]
    assert main(["data", "check", str(planted / "train"), *options]) == 0
    assert "input PSNR" not in capsys.readouterr().out


def test_no_folder_is_an_error():
    with pytest.raises(DataError, match="no folder given"):
        check()


def test_empty_name_is_an_error(capsys):
    assert main(["data", "check", ""]) == 1
    assert "empty" in capsys.readouterr().err
