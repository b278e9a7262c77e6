import os
import subprocess
import sys

import numpy as np
import pytest
from cyclopts import App
from PIL import Image

from derain import rain as rains
from derain.cli.rain import rain
from derain.errors import DerainError, PictureError
from derain.rain import render


def run(*arguments):
    app = App()
    app.command(rain)
    command, bound, *_ = app.parse_args(
        ["rain", *map(str, arguments)], print_error=False, exit_on_error=False
    )
    command(*bound.args, **bound.kwargs)


@pytest.fixture
def photo(tmp_path, rng):
    path = tmp_path / "photo.png"
    Image.fromarray(rng.integers(0, 200, (60, 80, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def rng():
    return np.random.default_rng(2024)


def pixels(path):
    with Image.open(path) as image:
        return np.array(image)


def test_the_rainy_photo_lies_beside_the_clean_one(photo):
    run(photo)
    np.testing.assert_array_equal(
        pixels(photo.with_name("photo_rainy.png")), render(pixels(photo), rain="moderate", seed=0)
    )


def test_preset_and_seed_choose_the_rain(photo, tmp_path):
    run(photo, "-o", tmp_path / "out.png", "--preset", "heavy", "--seed", 7)
    np.testing.assert_array_equal(
        pixels(tmp_path / "out.png"), render(pixels(photo), rain="heavy", seed=7)
    )


def test_an_option_changes_the_preset(photo, tmp_path):
    run(photo, "-o", tmp_path / "out.png", "--coverage", 0, "--mist", 0)
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), pixels(photo))


def test_random_rain_follows_the_seed(photo, tmp_path):
    for name in ("1.png", "2.png"):
        run(photo, "-o", tmp_path / name, "--preset", "random", "--seed", 3, "--angle", -20)
    np.testing.assert_array_equal(pixels(tmp_path / "1.png"), pixels(tmp_path / "2.png"))


def test_a_file_that_is_there_is_not_replaced(photo):
    run(photo)
    with pytest.raises(DerainError, match="--overwrite"):
        run(photo)


def test_a_file_that_is_there_is_replaced_when_told(photo):
    run(photo)
    run(photo, "--preset", "heavy", "--overwrite")
    np.testing.assert_array_equal(
        pixels(photo.with_name("photo_rainy.png")), render(pixels(photo), rain="heavy", seed=0)
    )


def test_a_grey_photo_stays_grey(tmp_path):
    Image.new("L", (30, 20), 90).save(tmp_path / "grey.png")
    run(tmp_path / "grey.png")
    assert pixels(tmp_path / "grey_rainy.png").shape == (20, 30)


@pytest.mark.parametrize("output", ["there", "new", "new/photo.png"])
def test_a_folder_takes_the_rainy_photo_and_is_made(output, photo, tmp_path):
    (tmp_path / "there").mkdir()
    run(photo, "-o", tmp_path / output)
    assert (tmp_path / output.removesuffix("/photo.png") / "photo.png").is_file()


def test_what_is_lost_is_told(tmp_path, capsys):
    Image.fromarray(np.full((20, 30), 30_000, np.uint16)).save(tmp_path / "deep.png")
    run(tmp_path / "deep.png", "-o", tmp_path / "out.jpg")
    assert (
        "deep.png: its 16 bits per sample are written as 8 in a .jpg" in capsys.readouterr().err
    )


def test_a_photo_that_does_not_fit_is_refused_before_the_rain(tmp_path, monkeypatch):
    Image.new("RGBA", (30, 20)).save(tmp_path / "clear.png")
    monkeypatch.setattr(rains, "render", None)
    with pytest.raises(PictureError, match="JPEG does not support transparency"):
        run(tmp_path / "clear.png", "-o", tmp_path / "out.jpg")


def test_a_value_out_of_range_is_an_error_with_the_range(photo):
    with pytest.raises(DerainError, match="from -70 to 70"):
        run(photo, "--angle", 80)


def test_a_name_that_the_output_cannot_show_is_no_error(photo, tmp_path):
    odd = tmp_path / "雨.png"
    photo.rename(odd)
    said = subprocess.run(
        [sys.executable, "-m", "derain.cli.main", "rain", str(odd)],
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        check=False,
    )
    assert (said.returncode, b"\\u96e8.png -> " in said.stdout) == (0, True)
