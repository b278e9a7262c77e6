import shutil

import numpy as np
import pytest
from PIL import Image
from skimage import data

from derain.cli.data import check
from derain.cli.main import main
from derain.errors import DataError
from derain.rain import render


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A training set of two pairs and a test set that shares one background with it."""
    root = tmp_path_factory.mktemp("sets")
    for split, names in {"train": ("coffee", "rocket"), "test": ("rocket",)}.items():
        for side in ("rainy", "clean"):
            (root / split / side).mkdir(parents=True)
            for name in names:
                clean = getattr(data, name)()
                Image.fromarray(clean if side == "clean" else render(clean, seed=0)).save(
                    root / split / side / f"{name}.png"
                )
    return root


@pytest.fixture
def folders(planted, tmp_path):
    shutil.copytree(planted, tmp_path, dirs_exist_ok=True)
    return tmp_path / "train", tmp_path / "test"


def test_a_sound_set_returns_zero(folders):
    assert check(folders[0], jobs=1) == 0


def test_a_shared_background_returns_one(folders):
    assert check(*folders, jobs=1) == 1


def test_the_report_names_the_shared_pictures(folders, capsys):
    check(*folders, jobs=1)
    train, test = folders
    assert (
        f"{train / 'clean' / 'rocket.png'} = {test / 'clean' / 'rocket.png'}"
        in capsys.readouterr().out
    )


def test_the_report_says_what_is_there(folders, capsys):
    check(folders[0], jobs=1)
    words = capsys.readouterr().out.split()
    assert {"folders", "2", "600x400", "640x427", "png", "dB"} <= set(words)


def test_a_long_list_is_cut_short_unless_all_is_asked_for(folders, capsys):
    for index in range(15):
        Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(
            folders[0] / "rainy" / f"alone{index}.png"
        )
    check(folders[0], jobs=1)
    short = capsys.readouterr().out
    check(folders[0], jobs=1, every=True)
    assert (
        "... and 5 more" in short
        and "alone14.png" not in short
        and "alone14.png" in capsys.readouterr().out
    )


def test_a_background_that_many_share_is_cut_short_too(folders, capsys):
    for index in range(14):
        for side in ("rainy", "clean"):
            shutil.copy(folders[0] / side / "rocket.png", folders[0] / side / f"rocket{index}.png")
    check(folders[0], jobs=1)
    assert "rocket9.png and 5 more" in capsys.readouterr().out


@pytest.mark.parametrize("typed", [("--jobs", "-1"), ("--jobs", "0"), ("--measured", "-1")])
def test_a_count_that_makes_no_sense_is_refused(typed, folders, capsys):
    with pytest.raises(SystemExit):
        main(["data", "check", str(folders[0]), *typed])
    assert "Must be >=" in capsys.readouterr().err


def test_nothing_need_be_measured(folders, capsys):
    assert main(["data", "check", str(folders[0]), "--measured", "0", "--jobs", "1"]) == 0
    assert "input PSNR" not in capsys.readouterr().out


def test_no_folder_at_all_is_an_error():
    with pytest.raises(DataError, match="no folder is given"):
        check()


def test_an_empty_name_is_not_the_current_folder(capsys):
    assert main(["data", "check", ""]) == 1
    assert "an input: is empty; name a file or a folder" in capsys.readouterr().err
