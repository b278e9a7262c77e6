"""Many files: one that fails does not stop the others, and Ctrl-C leaves nothing half done."""

from __future__ import annotations

import _thread
import errno
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from derain import Restorer, pictures
from derain.errors import PictureError
from derain.photos.batch import PhotoBatch
from derain.photos.jobs import find_jobs
from derain.photos.options import RestoreOptions
from derain.pictures import Picture


@pytest.fixture(scope="module")
def darken(networks) -> Restorer:
    return Restorer(networks / "darkening.onnx", precision="float32")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve photos, full of white."""
    for index in range(12):
        pictures.write(Picture(np.full((20, 30, 3), 255, np.uint8)), tmp_path / f"{index:02}.png")
    return tmp_path


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_photo_is_restored(jobs, darken, photos):
    PhotoBatch(darken, jobs=jobs).run(find_jobs([photos]).todo)
    assert [int(pictures.read(path).pixels.max()) for path in photos.glob("*_derained.png")] == [
        191
    ] * 12


def test_the_outcome_counts(darken, photos):
    outcome = PhotoBatch(darken).run(find_jobs([photos]).todo)
    assert (outcome.restored, round(outcome.megapixels, 6), outcome.problems) == (
        12,
        12 * 600 / 1e6,
        [],
    )


def test_a_bad_file_does_not_stop_the_others(darken, photos):
    (photos / "03.png").write_text("no picture")
    outcome = PhotoBatch(darken).run(find_jobs([photos]).todo)
    assert (outcome.restored, [path.name for path, _ in outcome.problems]) == (11, ["03.png"])


def test_a_bug_of_ours_does_not_stop_the_others(darken, photos, monkeypatch):
    read = pictures.read_frames
    monkeypatch.setattr(
        pictures, "read_frames", lambda path: 1 / 0 if path.name == "03.png" else read(path)
    )
    outcome = PhotoBatch(darken).run(find_jobs([photos]).todo)
    assert (outcome.restored, "this is a bug in derain" in outcome.problems[0][1]) == (11, True)


def test_want_of_memory_is_no_bug_and_does_not_stop_the_others(darken, photos, monkeypatch):
    def read(path: Path):
        if path.name == "03.png":
            raise MemoryError
        return read_frames(path)

    read_frames = pictures.read_frames
    monkeypatch.setattr(pictures, "read_frames", read)
    outcome = PhotoBatch(darken).run(find_jobs([photos]).todo)
    assert outcome.restored == 11
    assert outcome.problems[0][1].endswith(
        "not enough memory to restore it; give --jobs 1 or a smaller --limit-mib"
    )


def test_folders_are_made(darken, photos):
    PhotoBatch(darken).run(find_jobs([photos / "00.png"], output=photos / "a" / "b").todo)
    assert (photos / "a" / "b" / "00.png").exists()


@pytest.mark.parametrize(
    ("age_hours", "name", "stays"), [(25, "a" * 12, False), (1, "a" * 12, True), (25, "mine", True)]
)
def test_half_written_files_of_a_day_ago_are_removed(age_hours, name, stays, darken, photos):
    partial = photos / f".derain-{name}.part"
    partial.touch()
    os.utime(partial, (time.time() - age_hours * 3600,) * 2)
    PhotoBatch(darken).run(find_jobs([photos / "00.png"]).todo)
    assert partial.exists() == stays


def test_progress_adds_up_to_the_number_of_pictures(darken, photos):
    (photos / "03.png").write_text("no picture")
    shares: list[float] = []
    PhotoBatch(darken, on_progress=shares.append).run(find_jobs([photos]).todo)
    assert sum(shares) == pytest.approx(12)


@pytest.mark.parametrize(
    ("treatment", "name"),
    [(RestoreOptions(), "out.jpg"), (RestoreOptions(compares=True), "out.webp")],
)
def test_what_the_target_cannot_hold_is_refused_before_restoring(
    treatment, name, networks, tmp_path, monkeypatch
):
    restorer = Restorer(networks / "darkening.onnx", precision="float32")
    monkeypatch.setattr(restorer, "restore_picture", None)
    clear = Picture(np.zeros((1, 8192, 3), np.uint8), alpha=np.zeros((1, 8192), np.uint8))
    pictures.write(clear, tmp_path / "in.png")
    outcome = PhotoBatch(restorer, treatment).run(
        find_jobs([tmp_path / "in.png"], output=tmp_path / name).todo
    )
    assert re.search(
        r"JPEG holds no transparency|WEBP holds at most 16383 pixels a side", outcome.problems[0][1]
    )


def test_compare_writes_both_halves(darken, photos):
    PhotoBatch(darken, RestoreOptions(compares=True)).run(find_jobs([photos / "00.png"]).todo)
    pixels = pictures.read(photos / "00_derained.png").pixels
    assert (pixels.shape, int(pixels[0, 0, 0]), int(pixels[0, 30, 0])) == ((20, 60, 3), 255, 191)


@pytest.fixture
def interrupted(networks, photos):
    """The outcome of a batch that Ctrl-C ended in the middle of its fourth photo."""
    restorer, calls, lock = Restorer(networks / "copying.onnx", tile_px=168), [], threading.Lock()
    network = restorer.engine

    class Slow:
        bytes_px = 1000

        def __call__(self, rainy):
            with lock:
                calls.append(1)
                if len(calls) == 4:
                    _thread.interrupt_main()
                    threading.Event().wait(0.2)
            return network(rainy)

    restorer.engine = Slow()
    return PhotoBatch(restorer, jobs=2).run(find_jobs([photos], output=photos / "out").todo)


def test_ctrl_c_ends_a_batch_early(interrupted):
    assert interrupted.was_interrupted
    assert interrupted.restored < 12


def test_ctrl_c_leaves_whole_files_only(interrupted, photos):
    written = list((photos / "out").iterdir())
    assert len(written) == interrupted.restored
    assert all(pictures.read(path).pixels.shape == (20, 30, 3) for path in written)


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="needs Linux's own account of memory"
)
def test_ten_thousand_files_do_not_grow_memory(photos):
    script = Path(__file__).parents[1] / "helpers" / "memory_soak.py"
    run = subprocess.run(
        [sys.executable, script, photos], check=True, capture_output=True, text=True
    )
    warm, end = map(int, run.stdout.split())
    assert end - warm < 8 * 2**20


def test_what_appears_before_its_turn_is_there_already(darken, photos):
    errands = find_jobs([photos]).todo
    errands[3].target.write_text("of another run")
    outcome = PhotoBatch(darken).run(errands)
    assert (outcome.restored, outcome.already_there, outcome.problems) == (11, [errands[3]], [])
    assert errands[3].target.read_text() == "of another run"


@pytest.mark.parametrize("has_links", [True, False])
def test_what_appears_while_it_is_restored_is_not_replaced(has_links, darken, photos, monkeypatch):
    (errand,) = find_jobs([photos / "03.png"]).todo
    restore = Restorer.restore_picture

    def meanwhile(*given, **options):
        errand.target.write_text("of another run")
        return restore(*given, **options)

    def no_link(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Restorer, "restore_picture", meanwhile)
    if not has_links:
        monkeypatch.setattr(os, "link", no_link)
    ((_, text),) = PhotoBatch(darken).run([errand]).problems
    assert text.endswith(
        "03_derained.png: has appeared meanwhile; give --overwrite to replace it or write to another folder"
    )
    assert errand.target.read_text() == "of another run"
    assert not list(photos.glob(".derain-*"))


def test_files_appear_on_a_disk_without_links(darken, photos, monkeypatch):
    def no_link(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    assert PhotoBatch(darken).run(find_jobs([photos]).todo).restored == 12
    assert not list(photos.glob(".derain-*"))


@pytest.mark.parametrize("pages", [1, 2])
@pytest.mark.parametrize("was_there", [False, True])
def test_a_rain_layer_whose_result_cannot_be_written_is_taken_back(
    pages, was_there, darken, tmp_path, monkeypatch
):
    page = Picture(np.full((20, 30, 3), 255, np.uint8), format="TIFF")
    pictures.write_frames([page] * pages, tmp_path / "a.tif")
    rain = tmp_path / "out" / "a_rain.tif"
    if was_there:
        rain.parent.mkdir()
        rain.touch()
    write, write_frames = pictures.write, pictures.write_frames

    def failing(given, path, **options):
        (write if isinstance(given, Picture) else write_frames)(given, path, **options)
        if path != rain:
            raise PictureError(f"{path}: the disk is full")

    monkeypatch.setattr(pictures, "write", failing)
    monkeypatch.setattr(pictures, "write_frames", failing)
    found = find_jobs(
        [tmp_path / "a.tif"], output=tmp_path / "out", with_rain=True, overwrite=was_there
    )
    assert "the disk is full" in PhotoBatch(darken).run(found.todo).problems[0][1]
    assert rain.exists() == was_there


@pytest.mark.skipif(os.name == "nt", reason="Windows has other bounds")
def test_a_name_that_is_too_long_is_told_before_the_network_runs(networks, photos, monkeypatch):
    restorer = Restorer(networks / "darkening.onnx", precision="float32")
    monkeypatch.setattr(restorer, "restore_picture", None)
    long = photos / ("n" * 249 + ".png")
    (photos / "03.png").rename(long)
    ((_, text),) = PhotoBatch(restorer).run(find_jobs([long]).todo).problems
    assert "its name is too long for this disk" in text
