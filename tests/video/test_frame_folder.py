"""Folders of numbered frames."""

from __future__ import annotations

import errno
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from helpers.clips import halve, identity, names_in
from helpers.unprivileged import run_unprivileged

from derain import pictures
from derain.errors import PictureError, VideoError
from derain.pictures import Metadata, Picture
from derain.video.frame_folder import find_frames, restore_frame_folder
from derain.video.frames import FrameOptions, VideoResult

IN_ORDER = [f"f{index}.png" for index in range(1, 13)]


@pytest.fixture(scope="session")
def twelve_frames(tmp_path_factory) -> Path:
    """Twelve frames whose brightness is ten times their number, without leading zeros."""
    folder = tmp_path_factory.mktemp("frames")
    for index in range(1, 13):
        image = np.full((8, 9, 3), 10 * index, np.uint8)
        pictures.write(Picture(image), folder / f"f{index}.png")
    return folder


@pytest.fixture
def folder(tmp_path: Path, twelve_frames: Path) -> Path:
    return shutil.copytree(twelve_frames, tmp_path / "in")


def restore(folder: Path, **options: object) -> VideoResult:
    """Restore a folder into `out` beside it."""
    output = folder.with_name("out")
    return restore_frame_folder(folder, output, identity, FrameOptions(**options))


def found_names(folder: Path) -> list[str]:
    return [path.name for path in find_frames(folder)]


def test_natural_order(folder):
    assert found_names(folder) == IN_ORDER


def test_names_are_kept(folder, tmp_path):
    restore_frame_folder(folder, tmp_path / "out", halve)
    values = [int(pictures.read(tmp_path / "out" / name).pixels[0, 0, 0]) for name in IN_ORDER]
    assert values == [5 * index for index in range(1, 13)]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permissions of groups and others")
def test_private_frame_stays_private(folder):
    (folder / "f5.png").chmod(0o600)
    restore(folder)
    assert (folder.with_name("out") / "f5.png").stat().st_mode & 0o777 == 0o600
    assert (folder.with_name("out") / "f6.png").stat().st_mode & 0o077 != 0


@pytest.mark.parametrize("name", ["²1.png", "f².png", "³.png"])
def test_superscripts_are_not_numbers(name, folder):
    (folder / "f1.png").rename(folder / name)
    assert len(find_frames(folder)) == 12


@pytest.mark.parametrize(
    "name",
    ["f3_derained.png", "f3_derained.jpg", "f3_compared.png", "f3_derained_rain.png", "._f3.png"],
)
def test_results_and_apple_double_files_are_not_frames(name, folder):
    (folder / name).write_bytes((folder / "f3.png").read_bytes())
    assert found_names(folder) == IN_ORDER


def test_results_without_their_source_are_frames(folder):
    for path in find_frames(folder):
        path.rename(path.with_stem(f"{path.stem}_derained"))
    assert len(find_frames(folder)) == 12


def test_folder_that_cannot_be_listed(folder, tmp_path):
    folder.chmod(0o000)
    imports = "from pathlib import Path; from derain.video.frame_folder import find_frames"
    run = run_unprivileged(imports, f"find_frames(Path({str(folder)!r}))", tmp_path)
    folder.chmod(0o755)
    message = f"derain.errors.VideoError: {folder}: cannot be listed ("
    assert run.stderr.splitlines()[-1].startswith(message)


def test_existing_frames_are_skipped(folder, tmp_path):
    restore(folder)
    (tmp_path / "out" / "f3.png").unlink()
    result = restore(folder)
    assert result.frame_count == 1
    assert result.notes == ["11 of 12 frames skipped (result exists); --overwrite restores all"]


def test_frame_that_a_second_run_writes_meanwhile_is_kept_and_skipped(folder):
    late = folder.with_name("out") / "f3.png"

    def write_late() -> None:
        if not late.exists():  # a second time, it would be empty for a moment, and be replaced
            late.write_text("of another run")

    result = restore_frame_folder(folder, late.parent, identity, on_frame=write_late)
    assert late.read_text() == "of another run"
    assert result.problems == []
    assert result.notes == ["1 frames skipped (result appeared during the work)"]


def test_stale_temporaries_are_removed(folder):
    stale = folder.with_name("out") / ".derain-0123456789ab.part"
    stale.parent.mkdir()
    stale.touch()
    os.utime(stale, (0, 0))
    restore(folder)
    assert names_in(stale.parent) == sorted(IN_ORDER)


def test_empty_frame_does_not_count_as_a_result(folder, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    (output / "f3.png").touch()
    restore_frame_folder(folder, output, identity)
    assert (output / "f3.png").stat().st_size > 0


def test_invalid_frame_is_reported_and_skipped(folder):
    (folder / "f5.png").write_text("no picture")
    result = restore(folder)
    (problem,) = result.problems
    assert "f5.png: is not a picture" in problem
    assert result.frame_count == 11


def test_omissions_are_reported_once(tmp_path):
    (tmp_path / "in").mkdir()
    for index in range(3):
        pictures.write(Picture(np.full((8, 9, 3), 10_000, np.uint16)), tmp_path / f"{index}.png")
        (tmp_path / f"{index}.png").rename(tmp_path / "in" / f"{index}.webp")
    (note,) = restore(tmp_path / "in").notes
    assert "16 bits" in note


def test_frame_that_its_format_cannot_store_is_reported_and_skipped(folder):
    clear = Picture(np.zeros((8, 9, 3), np.uint8), alpha=np.zeros((8, 9), np.uint8))
    pictures.write(clear, folder / "f13.png")
    (folder / "f13.png").rename(folder / "f13.jpg")
    result = restore(folder)
    (problem,) = result.problems
    assert "f13.jpg: " in problem
    assert "transparency" in problem
    assert result.frame_count == 12


@pytest.fixture
def refuse_f5(monkeypatch):
    """`refuse_f5(error, cause)`: f5.png cannot be written."""

    def refuse(error: Exception, cause: Exception | None = None) -> None:
        def write(picture: Picture, path: Path, write=pictures.write, **options: Path) -> None:
            if path.name == "f5.png":
                raise error from cause
            write(picture, path, **options)

        monkeypatch.setattr(pictures, "write", write)

    return refuse


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (PictureError("out/f5.png: cannot be written"), ValueError()),
        (PictureError("out/f5.png: cannot be written"), OSError("encoder error -2")),
        (IndexError("out of range"), None),
        (MemoryError(), None),
    ],
)
def test_frame_that_cannot_be_written_is_reported_and_skipped(error, cause, folder, refuse_f5):
    refuse_f5(error, cause)
    result = restore(folder)
    (problem,) = result.problems
    assert "out/f5.png: " in problem
    assert names_in(folder.with_name("out")) == sorted({*IN_ORDER} - {"f5.png"})


def test_full_disk_ends_the_run(folder, refuse_f5):
    refuse_f5(PictureError("the disk is full"), OSError(errno.ENOSPC, "No space left"))
    with pytest.raises(PictureError, match="the disk is full"):
        restore(folder)


def test_frame_that_fails_unexpectedly_is_reported_and_skipped(folder, monkeypatch):
    def read(path: Path, read=pictures.read) -> Picture:
        if path.name == "f5.png":
            raise IndexError("out of range")
        return read(path)

    monkeypatch.setattr(pictures, "read", read)
    result = restore(folder)
    (problem,) = result.problems
    assert "f5.png: IndexError: out of range; this is a bug in derain" in problem
    assert result.frame_count == 11


def test_frame_of_another_size_than_the_mask_is_reported(folder):
    pictures.write(Picture(np.zeros((5, 5, 3), np.uint8)), folder / "f5.png")
    result = restore(folder, mask=np.zeros((8, 9), np.uint8))
    (problem,) = result.problems
    assert "f5.png: the mask has 9x8 pixels" in problem
    assert result.frame_count == 11


def test_grey_and_transparency_are_kept(rng, tmp_path):
    (tmp_path / "in").mkdir()
    values = rng.integers(0, 256, (8, 9), dtype=np.uint8)
    for index in range(3):
        grey = Picture(pictures.picture.as_colour(values), alpha=values, grey=True)
        pictures.write(grey, tmp_path / "in" / f"{index}.png")
    restore(tmp_path / "in")
    after = pictures.read(tmp_path / "out" / "1.png")
    assert after.grey
    np.testing.assert_array_equal(after.alpha, values)


@pytest.fixture(params=["grey", "colour"])
def half_transparent(request, tmp_path) -> Picture:
    """A white frame, also in a folder; its left half is transparent and has the value 8."""
    pixels = np.full((96, 64, 3), 255, np.uint8)
    pixels[:, :32] = 8
    alpha = np.full((96, 64), 255, np.uint8)
    alpha[:, :32] = 0
    frame = Picture(pixels, alpha=alpha, grey=request.param == "grey")
    (tmp_path / "in").mkdir()
    pictures.write(frame, tmp_path / "in" / "1.png")
    return frame


def test_hidden_colours_are_kept(half_transparent, tmp_path):
    restore_frame_folder(tmp_path / "in", tmp_path / "out", halve)
    restored = pictures.read(tmp_path / "out" / "1.png")
    assert np.unique(restored.pixels[:, :32]).tolist() == [8]
    assert np.unique(restored.pixels[:, 32:]).tolist() == [127]
    np.testing.assert_array_equal(restored.alpha, half_transparent.alpha)


@pytest.mark.usefixtures("half_transparent")
def test_network_does_not_see_hidden_colours(tmp_path):
    seen = []
    restore_frame_folder(tmp_path / "in", tmp_path / "out", lambda x: seen.append(x) or x)
    assert np.unique(seen[0]).tolist() == [255]


@pytest.mark.parametrize(("dtype", "tolerance"), [("uint8", 0), ("uint16", 2)])
def test_linear_light_is_encoded_for_the_network_and_linear_again(dtype, tolerance, rng, tmp_path):
    seen = []

    def look(image: np.ndarray) -> np.ndarray:
        seen.append(image)
        return image

    white = np.iinfo(dtype).max
    pixels = rng.integers(0, white, (8, 9, 3), dtype=dtype, endpoint=True)
    pixels[0] = round(0.2140411 * white)
    linear = Metadata(png_chunks=((b"gAMA", struct.pack(">I", 100_000)),))
    (tmp_path / "in").mkdir()
    pictures.write(Picture(pixels, metadata=linear), tmp_path / "in/1.png")
    restore_frame_folder(tmp_path / "in", tmp_path / "out", look)
    assert seen[0][0, 0, 0] / 65535 == pytest.approx(0.5, abs=0.003)
    restored = pictures.read(tmp_path / "out/1.png").pixels
    np.testing.assert_allclose(restored.astype(int), pixels, atol=tolerance)


def test_source_folder_is_not_overwritten(folder):
    with pytest.raises(VideoError, match="contains the frames themselves; use --overwrite"):
        restore_frame_folder(folder, folder, identity)


def test_folder_without_frames(tmp_path):
    with pytest.raises(VideoError, match="contains no frames that derain can read"):
        restore(tmp_path)
    assert names_in(tmp_path) == []
