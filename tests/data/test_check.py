import os
import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers.pairs import plant
from PIL import Image, ImageOps

from derain.data import inspection
from derain.data.check import check
from derain.errors import DataError
from derain.rain import render


@pytest.fixture(scope="module")
def photos(photos):
    """The photos in half the size, of which a set is checked in a quarter of the time."""
    return {name: np.asarray(Image.fromarray(photo).reduce(2)) for name, photo in photos.items()}


@pytest.fixture(scope="module")
def planted(tmp_path_factory, photos):
    backgrounds = {"a.png": photos["astronaut"], "b.png": photos["chelsea"]}
    return plant(tmp_path_factory.mktemp("planted"), backgrounds)


@pytest.fixture
def train(planted, tmp_path):
    """Two pairs in two folders: a.png and b.png."""
    return Path(shutil.copytree(planted, tmp_path / "train"))


def kill_this_process(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def check_one(folder, **options):
    (result,) = check([folder], processes=1, **options).folders
    return result


def test_sound_set_has_no_problem(train):
    assert check([train], processes=1).is_sound


def test_contents_are_counted(train):
    result = check_one(train)
    assert result.pair_set.layout == "folders"
    assert result.sizes == {"256x256": 1, "226x150": 1}
    assert result.formats == {"png": 2}


def test_input_psnr_is_the_mean_over_pictures(train):
    result = check_one(train)
    errors = [np.subtract(*pair.load(), dtype=float) / 255 for pair in result.pair_set.pairs]
    psnrs_db = [-10 * np.log10(np.mean(error**2)) for error in errors]
    assert result.input_psnr_db == pytest.approx(np.mean(psnrs_db), abs=1e-3)


def test_measured_limits_the_pairs(train):
    assert check_one(train, measured=1).measured == 1


def test_shared_background_is_found(train, tmp_path, photos):
    mirrored = np.ascontiguousarray(photos["chelsea"][:, ::-1])
    other = plant(tmp_path / "test", {"x.jpg": photos["coffee"], "y.jpg": mirrored})
    result = check([train, other], processes=1)
    assert result.shared == [[train / "clean" / "b.png", other / "clean" / "y.jpg"]]
    assert not result.is_sound


def test_background_without_a_rainy_side_is_found_in_a_set_of_pairs(train, tmp_path, photos):
    (tmp_path / "backgrounds").mkdir()
    for name in ("chelsea", "coffee"):
        Image.fromarray(photos[name]).save(tmp_path / "backgrounds" / f"{name}.png")
    result = check([train], rain_free=[tmp_path / "backgrounds"], processes=1)
    shared = [train / "clean" / "b.png", tmp_path / "backgrounds" / "chelsea.png"]
    assert result.shared == [shared]
    assert result.folders[1].backgrounds == 2


def test_rain_free_pictures_are_not_pairs_of_equal_pictures(tmp_path, photos):
    Image.fromarray(photos["chelsea"]).save(tmp_path / "a.png")
    assert check([], rain_free=[tmp_path], processes=1).is_sound


def test_damaged_rain_free_picture_is_a_problem(tmp_path, photos):
    Image.fromarray(photos["chelsea"]).save(tmp_path / "a.png")
    for name, damage in (("header.png", slice(9)), ("body.png", slice(20_000))):
        (tmp_path / name).write_bytes((tmp_path / "a.png").read_bytes()[damage])
    (folder,) = check([], rain_free=[tmp_path], processes=1).folders
    assert {problem.path.name for problem in folder.problems} == {"header.png", "body.png"}


def test_shared_background_of_16_bits_is_found(tmp_path, photos):
    for folder, dtype, white in (("train", np.uint8, 1), ("test", np.uint16, 257)):
        for side, offset in (("rainy", 20), ("clean", 0)):
            grey = photos["chelsea"][..., 1].astype(np.uint16) // 2 + offset
            (tmp_path / folder / side).mkdir(parents=True)
            Image.fromarray((grey * white).astype(dtype)).save(tmp_path / folder / side / "a.png")
    assert len(check([tmp_path / "train", tmp_path / "test"], processes=1).shared) == 1


def test_shared_pictures_are_counted_for_each_folder(train, tmp_path, photos):
    rotated = {f"{turns}.png": np.rot90(photos["chelsea"], turns).copy() for turns in range(3)}
    other = plant(tmp_path / "test", rotated)
    result = check([train, other], processes=1)
    assert [folder.shared for folder in result.folders] == [1, 3]


def test_shared_background_is_found_despite_a_damaged_rainy_file(train, tmp_path, photos):
    many = tmp_path / "many"
    for side in ("rainy", "clean"):
        (many / side).mkdir(parents=True)
    Image.fromarray(photos["chelsea"]).save(many / "clean" / "901.png")
    for number in (1, 2):
        rainy = render(photos["chelsea"], rain="light", seed=number)
        Image.fromarray(rainy).save(many / "rainy" / f"901_{number}.png")
    damaged = many / "rainy" / "901_1.png"
    damaged.write_bytes(damaged.read_bytes()[:20_000])
    for measured in (0, 100):
        result = check([train, many], measured=measured, processes=1)
        assert result.shared == [[train / "clean" / "b.png", many / "clean" / "901.png"]]
        assert [problem.path for problem in result.folders[1].problems] == [damaged]


def test_duplicates_in_a_folder_are_found(tmp_path, photos):
    rocket = photos["rocket"]
    flipped = np.asarray(ImageOps.flip(Image.fromarray(rocket)))
    plant(tmp_path, {"1.png": rocket, "2.png": photos["coffee"], "3.jpg": flipped})
    result = check_one(tmp_path)
    assert result.backgrounds == 2
    assert result.duplicates == [[tmp_path / "clean" / "1.png", tmp_path / "clean" / "3.jpg"]]


def test_several_duplicates_are_grouped(tmp_path, photos):
    """Like Rain100L, whose pictures 006 = 025, 007 = 036 and so on show the same backgrounds."""
    first = {f"{index:03}.webp": photo for index, photo in enumerate(photos.values())}
    repeated = {
        "010.webp": np.ascontiguousarray(photos["coffee"][:, ::-1]),
        "011.webp": np.ascontiguousarray(photos["astronaut"][:, ::-1]),
    }
    plant(tmp_path, first | repeated)
    duplicates = check_one(tmp_path, measured=0).duplicates
    assert [[path.stem for path in group] for group in duplicates] == [
        ["000", "011"],
        ["002", "010"],
    ]


def test_clean_file_of_many_rainy_ones_is_not_a_duplicate(tmp_path, photos):
    Image.fromarray(photos["chelsea"]).save(tmp_path / "901.jpg")
    for index in range(3):
        rainy = render(photos["chelsea"], seed=index)
        Image.fromarray(rainy).save(tmp_path / f"901_{index}.jpg")
    result = check_one(tmp_path)
    assert len(result.pair_set) == 3
    assert result.backgrounds == 1
    assert result.duplicates == []


@pytest.mark.parametrize("side", ["rainy", "clean"])
@pytest.mark.parametrize("measured", [0, 10])
def test_truncated_file_is_named(train, side, measured):
    path = train / side / "b.png"
    path.write_bytes(path.read_bytes()[:-3000])
    problems = check_one(train, measured=measured).problems
    assert [problem.path for problem in problems] == [path]


def test_pair_without_rain_is_reported(train):
    path = train / "rainy" / "a.png"
    path.write_bytes((train / "clean" / "a.png").read_bytes())
    problems = check_one(train).problems
    assert list(map(str, problems)) == [f"{path}: equals its clean picture, pixel for pixel"]


def test_side_by_side_pairs_are_checked(tmp_path, photos):
    for name, clean in photos.items():
        Image.fromarray(np.hstack([render(clean, seed=0), clean])).save(tmp_path / f"{name}.png")
    result = check_one(tmp_path)
    assert result.pair_set.layout == "clean-right"
    assert result.backgrounds == 4
    assert result.problems == []


def test_multi_page_file_is_reported_without_measuring(train):
    path = (train / "rainy" / "b.png").with_suffix(".tiff")
    with Image.open(train / "rainy" / "b.png") as image:
        page = Image.new("RGB", image.size, (90, 90, 90))
    (train / "rainy" / "b.png").unlink()
    page.save(path, save_all=True, append_images=[page])
    (problem,) = check_one(train, measured=0).problems
    assert problem.path == path
    assert "2 pictures" in problem.reason


def test_two_lists_in_one_folder_are_two_sets(train):
    for name in ("a", "b"):
        (train / f"{name}.txt").write_text(f"rainy/{name}.png clean/{name}.png\n")
    result = check([train / "a.txt", train / "b.txt"], processes=1)
    names = [[pair.rainy_path.name for pair in one.pair_set.pairs] for one in result.folders]
    assert names == [["a.png"], ["b.png"]]
    assert result.shared == []


def test_several_processes_agree_with_one(train, tmp_path, photos):
    small = photos["coffee"][::2, ::2]
    shifted = {f"{index}.png": np.roll(small, 10 * index, axis=1) for index in range(7)}
    other = plant(tmp_path / "test", shifted)
    assert check([train, other], processes=2) == check([train, other], processes=1)


@pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info >= (3, 14), reason="needs processes made by fork"
)
def test_killed_process_is_reported(train, monkeypatch):
    monkeypatch.setattr(inspection, "CHUNK", 1)
    monkeypatch.setattr(inspection, "_inspect", kill_this_process)
    with pytest.raises(DataError, match="was killed, as by a full memory; use fewer --jobs"):
        check([train], processes=2)


def test_processes_are_no_more_than_windows_allows(monkeypatch):
    used = []

    class Threads(ThreadPoolExecutor):
        def __init__(self, count):
            used.append(count)
            super().__init__(1)

    monkeypatch.setattr(inspection, "CHUNK", 1)
    monkeypatch.setattr(inspection, "_inspect", lambda task: task)
    monkeypatch.setattr(inspection, "ProcessPoolExecutor", Threads)
    assert inspection.inspect_pairs(range(100), processes=96) == list(range(100))
    assert used == [61]


def test_progress_counts_every_pair(train):
    calls = []
    check([train], processes=1, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 2), (2, 2)]


def test_folder_given_twice_is_an_error(train):
    with pytest.raises(DataError, match="given twice"):
        check([train, train / ".." / "train"])
