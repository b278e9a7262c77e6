"""Folders of numbered frames."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.unprivileged import as_nobody

from derain import pictures
from derain.errors import VideoError
from derain.pictures import Picture
from derain.video.frame_folder import find_frames, restore_frame_folder
from derain.video.frames import FrameOptions

from .conftest import copying


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve frames whose brightness is their number, without leading zeros."""
    (tmp_path / "in").mkdir()
    for index in range(1, 13):
        pictures.write(
            Picture(np.full((8, 9, 3), 10 * index, np.uint8)), tmp_path / "in" / f"f{index}.png"
        )
    return tmp_path / "in"


def test_numbers_are_in_order(folder):
    assert [path.name for path in find_frames(folder)] == [
        f"f{index}.png" for index in range(1, 13)
    ]


def test_frames_are_restored_under_their_names(folder, tmp_path):
    restore_frame_folder(folder, tmp_path / "out", lambda rainy: rainy // 2)
    lights = [int(pictures.read(path).pixels[0, 0, 0]) for path in find_frames(tmp_path / "out")]
    assert lights == [5 * index for index in range(1, 13)]


@pytest.mark.parametrize("name", ["²1.png", "f².png", "³.png"])
def test_a_raised_two_is_no_number(name, folder):
    (folder / "f1.png").rename(folder / name)
    assert len(find_frames(folder)) == 12


@pytest.mark.parametrize(
    "name",
    ["f3_derained.png", "f3_derained.jpg", "f3_compared.png", "f3_derained_rain.png", "._f3.png"],
)
def test_what_lies_beside_a_frame_is_no_frame(name, folder):
    (folder / name).write_bytes((folder / "f3.png").read_bytes())
    assert [path.name for path in find_frames(folder)] == [
        f"f{index}.png" for index in range(1, 13)
    ]


def test_results_without_their_frames_are_frames(folder):
    for path in find_frames(folder):
        path.rename(path.with_stem(f"{path.stem}_derained"))
    assert len(find_frames(folder)) == 12


def test_a_folder_that_may_not_be_listed_is_one_sentence(folder, tmp_path):
    folder.chmod(0o000)
    imports = "from pathlib import Path; from derain.video.frame_folder import numbered"
    run = as_nobody(imports, f"numbered(Path({str(folder)!r}))", tmp_path)
    folder.chmod(0o755)
    assert run.stderr.splitlines()[-1].startswith(
        f"derain.errors.VideoError: {folder}: cannot be searched ("
    )


def test_the_temporal_step_sees_them_in_order(folder, tmp_path):
    """Neighbours are ten levels apart: in the order of their names f1 and f10 would be."""
    tally = restore_frame_folder(folder, tmp_path / "out", copying, FrameOptions(temporal=True))
    assert tally.flicker[0] == pytest.approx(0, abs=1e-4)


def test_frames_that_are_there_are_left_alone(folder, tmp_path):
    restore_frame_folder(folder, tmp_path / "out", copying)
    (tmp_path / "out" / "f3.png").unlink()
    tally = restore_frame_folder(folder, tmp_path / "out", copying)
    assert (tally.frames, "frames were there already" in tally.notes[0]) == (1, True)


@pytest.mark.parametrize("gaps", [(6,), (1, 2), (3, 4, 12), (2, 8)])
def test_the_temporal_step_of_missing_frames_is_that_of_a_whole_run(gaps, folder, tmp_path, rng):
    for path in folder.iterdir():
        pictures.write(Picture(rng.integers(100, 106, (8, 9, 3), dtype=np.uint8)), path)
    restore_frame_folder(folder, tmp_path / "whole", copying, FrameOptions(temporal=True))
    shutil.copytree(tmp_path / "whole", tmp_path / "out")
    for index in gaps:
        (tmp_path / f"out/f{index}.png").unlink()
    restore_frame_folder(folder, tmp_path / "out", copying, FrameOptions(temporal=True))
    for path in (tmp_path / "whole").iterdir():
        np.testing.assert_array_equal(
            pictures.read(tmp_path / "out" / path.name).image, pictures.read(path).image
        )
    assert (
        pictures.read(tmp_path / "out/f6.png").image != pictures.read(folder / "f6.png").image
    ).any()


def test_a_bad_frame_is_told_and_passed_over(folder, tmp_path):
    (folder / "f5.png").write_text("no picture")
    tally = restore_frame_folder(folder, tmp_path / "out", copying)
    assert (tally.frames, len(tally.problems), "f5.png: is not a picture" in tally.problems[0]) == (
        11,
        1,
        True,
    )


def test_what_frames_lose_is_told_once(tmp_path):
    (tmp_path / "in").mkdir()
    for index in range(3):
        pictures.write(Picture(np.full((8, 9, 3), 10_000, np.uint16)), tmp_path / f"{index}.png")
        (tmp_path / f"{index}.png").rename(tmp_path / "in" / f"{index}.webp")
    tally = restore_frame_folder(tmp_path / "in", tmp_path / "out", copying)
    assert tally.notes == ["its 16 bits for a sample are written as 8 in a .webp"]


def test_a_frame_that_its_own_kind_cannot_hold_is_told_and_passed_over(folder, tmp_path):
    clear = Picture(np.zeros((8, 9, 3), np.uint8), alpha=np.zeros((8, 9), np.uint8))
    pictures.write(clear, folder / "f13.png")
    (folder / "f13.png").rename(folder / "f13.jpg")
    tally = restore_frame_folder(folder, tmp_path / "out", copying)
    assert (tally.frames, "f13.jpg: JPEG holds no transparency" in tally.problems[0]) == (12, True)


def test_frames_of_another_size_than_the_mask_are_told(folder, tmp_path):
    pictures.write(Picture(np.zeros((5, 5, 3), np.uint8)), folder / "f5.png")
    tally = restore_frame_folder(
        folder, tmp_path / "out", copying, FrameOptions(mask=np.zeros((8, 9), np.uint8))
    )
    assert (
        tally.frames,
        "f5.png: the mask has 9x8 pixels and the picture 5x5" in tally.problems[0],
    ) == (11, True)


def test_grey_and_transparent_frames_stay_so(rng, tmp_path):
    (tmp_path / "in").mkdir()
    samples = rng.integers(0, 256, (8, 9), dtype=np.uint8)
    for index in range(3):
        grey = Picture(pictures.picture.as_colour(samples), alpha=samples, grey=True)
        pictures.write(grey, tmp_path / "in" / f"{index}.png")
    restore_frame_folder(tmp_path / "in", tmp_path / "out", copying)
    after = pictures.read(tmp_path / "out" / "1.png")
    assert after.grey
    np.testing.assert_array_equal(after.alpha, samples)


def test_the_frames_are_not_written_over(folder):
    with pytest.raises(VideoError, match="is the folder of the frames"):
        restore_frame_folder(folder, folder, copying)


def test_a_folder_without_frames_is_refused(tmp_path):
    with pytest.raises(VideoError, match="holds no frames"):
        restore_frame_folder(tmp_path, tmp_path / "out", copying)
