import io
import sys

import numpy as np
import pytest
from cyclopts import App
from PIL import Image

from derain import rain as rain_package
from derain.cli.main import main
from derain.cli.rain import rain
from derain.errors import DerainError, PictureError
from derain.rain import StreakMasks, render, render_style


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


def pixels(path):
    with Image.open(path) as image:
        return np.array(image)


def test_rainy_photo_is_written_next_to_the_clean_one(photo):
    run(photo)
    expected = render(pixels(photo), rain="moderate", seed=0)
    np.testing.assert_array_equal(pixels(photo.with_name("photo_rainy.png")), expected)


def test_preset_and_seed(photo, tmp_path):
    run(photo, "-o", tmp_path / "out.png", "--preset", "heavy", "--seed", 7)
    expected = render(pixels(photo), rain="heavy", seed=7)
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), expected)


def test_options_change_the_preset(photo, tmp_path):
    run(photo, "-o", tmp_path / "out.png", "--coverage", 0, "--mist", 0)
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), pixels(photo))


def test_random_rain_follows_the_seed(photo, tmp_path):
    for name in ("1.png", "2.png"):
        run(photo, "-o", tmp_path / name, "--preset", "random", "--seed", 3, "--angle", -20)
    np.testing.assert_array_equal(pixels(tmp_path / "1.png"), pixels(tmp_path / "2.png"))


def test_style(photo, tmp_path):
    run(photo, "-o", tmp_path / "out.png", "--style", "hq-rain", "--seed", 5)
    expected = render_style(pixels(photo), style="hq-rain", seed=5)
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), expected)


def test_style_with_streak_masks(photo, tmp_path):
    mask = np.zeros((90, 120), np.uint8)
    mask[10:70, ::9] = 200
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "1.png")
    run(photo, "-o", tmp_path / "out.png", "--style", "rain-mix", "--streaks", tmp_path / "masks")
    expected = render_style(pixels(photo), style="rain-mix", masks=StreakMasks([mask]))
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), expected)


def test_a_picture_is_no_folder_of_streaks(photo):
    with pytest.raises(DerainError, match=r"photo\.png: is not a folder; name the folder that"):
        run(photo, "--style", "rain-mix", "--streaks", photo)


@pytest.mark.parametrize("style", [(), ("--style", "hq-rain")])
def test_streak_masks_without_their_style_are_rejected(photo, style):
    with pytest.raises(DerainError, match="--streaks masks: is for the styles rain-streak-gen and"):
        run(photo, "--streaks", "masks", *style)


@pytest.mark.parametrize("option", [("--preset", "heavy"), ("--mist", "0.2")])
def test_style_excludes_the_options_of_presets(photo, option):
    with pytest.raises(DerainError, match="--style hq-rain: has its own parameters"):
        run(photo, "--style", "hq-rain", *option)


def test_output_with_a_slash_is_a_folder(photo, tmp_path):
    run(photo, "-o", f"{tmp_path}/heavy.rain/")
    assert (tmp_path / "heavy.rain" / "photo.png").exists()


def test_existing_file_is_not_overwritten(photo):
    run(photo)
    with pytest.raises(DerainError, match="--overwrite"):
        run(photo)


def test_file_that_appears_while_rain_is_rendered_is_kept(photo, monkeypatch):
    target = photo.with_name("photo_rainy.png")

    def render_slowly(clean, **_):
        target.write_bytes(b"of another program")
        return clean

    monkeypatch.setattr(rain_package, "render", render_slowly)
    with pytest.raises(PictureError, match="exists by now"):
        run(photo)
    assert target.read_bytes() == b"of another program"


def test_overwrite(photo):
    run(photo)
    run(photo, "--preset", "heavy", "--overwrite")
    expected = render(pixels(photo), rain="heavy", seed=0)
    np.testing.assert_array_equal(pixels(photo.with_name("photo_rainy.png")), expected)


def test_grey_photo_stays_grey(tmp_path):
    Image.new("L", (30, 20), 90).save(tmp_path / "grey.png")
    run(tmp_path / "grey.png")
    assert pixels(tmp_path / "grey_rainy.png").shape == (20, 30)


@pytest.mark.parametrize("output", ["existing", "new", "new/photo.png"])
def test_output_folder_is_created(output, photo, tmp_path):
    (tmp_path / "existing").mkdir()
    run(photo, "-o", tmp_path / output)
    assert (tmp_path / output.removesuffix("/photo.png") / "photo.png").is_file()


def test_lost_bit_depth_is_reported(tmp_path, capsys):
    Image.fromarray(np.full((20, 30), 30_000, np.uint16)).save(tmp_path / "deep.png")
    run(tmp_path / "deep.png", "-o", tmp_path / "out.jpg")
    message = capsys.readouterr().err
    assert "deep.png: " in message
    assert "16 bits" in message


def test_format_is_checked_before_rendering(tmp_path, monkeypatch):
    Image.new("RGBA", (30, 20)).save(tmp_path / "clear.png")
    monkeypatch.setattr(rain_package, "render", None)
    with pytest.raises(PictureError, match="transparency"):
        run(tmp_path / "clear.png", "-o", tmp_path / "out.jpg")


def test_value_out_of_range_is_an_error_with_the_range(photo):
    with pytest.raises(DerainError, match="from -70 to 70"):
        run(photo, "--angle", 80)


def test_unprintable_name_is_escaped(photo, tmp_path, monkeypatch):
    odd = tmp_path / "雨.png"
    photo.rename(odd)
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert main(["rain", str(odd)]) == 0
    stdout.flush()
    assert b"\\u96e8.png -> " in stdout.buffer.getvalue()
