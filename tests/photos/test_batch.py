"""Many photos: a failure does not stop the others, and Ctrl-C leaves complete files only."""

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
from derain.photos.jobs import JobList, find_jobs
from derain.photos.options import RestoreOptions
from derain.photos.summary import Summary
from derain.photos.worker import PhotoResult
from derain.pictures import Picture

SOAK_TEST = Path(__file__).parents[1] / "helpers" / "memory_soak.py"


@pytest.fixture
def unused(networks, monkeypatch) -> Restorer:
    """A restorer that must not be called."""
    restorer = Restorer(networks / "darkening.onnx", precision="float32")
    monkeypatch.setattr(restorer, "restore_picture", None)
    return restorer


def problem(summary: Summary) -> str:
    """Return the only problem."""
    ((_, text),) = summary.problems
    return text


def deny_links(monkeypatch) -> None:
    """Simulate a file system without hard links."""

    def link(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)


# restoring


@pytest.mark.parametrize("workers", [1, 3])
def test_all_photos_are_restored(workers, darken, photos):
    PhotoBatch(darken, workers=workers).run(find_jobs([photos]))
    results = [pictures.read(path) for path in photos.glob("*_derained.png")]
    assert [int(result.pixels.max()) for result in results] == [191] * 12


def test_summary_counts(darken, photos):
    summary = PhotoBatch(darken).run(find_jobs([photos]))
    assert summary.restored == 12
    assert summary.megapixels == pytest.approx(12 * 600 / 1e6)
    assert summary.failed == 0
    assert summary.remaining == 0


def test_results_are_passed_on(darken, photos):
    results: list[PhotoResult] = []
    PhotoBatch(darken, on_result=results.append).run(find_jobs([photos]))
    assert sorted(result.source.name for result in results) == [f"{n:02}.png" for n in range(12)]


def test_missing_folders_are_created(darken, photos):
    PhotoBatch(darken).run(find_jobs([photos / "00.png"], output=photos / "a" / "b"))
    assert (photos / "a" / "b" / "00.png").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permissions of groups and others")
@pytest.mark.parametrize("pages", [1, 2])
def test_private_photo_stays_private(pages, darken, tmp_path):
    page = Picture(np.full((20, 30, 3), 255, np.uint8), format="TIFF")
    pictures.write_frames([page] * pages, tmp_path / "a.tif")
    (tmp_path / "a.tif").chmod(0o600)
    PhotoBatch(darken).run(find_jobs([tmp_path / "a.tif"], output=tmp_path / "out", with_rain=True))
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()}
    assert modes == {0o600}


def test_compare_writes_both_halves(darken, photos):
    PhotoBatch(darken, RestoreOptions(compare=True)).run(find_jobs([photos / "00.png"]))
    pixels = pictures.read(photos / "00_derained.png").pixels
    assert pixels.shape == (20, 60, 3)
    assert pixels[:, :30].min() == 255
    assert pixels[:, 30:].max() == 191


def test_progress_adds_up_to_the_number_of_photos(darken, photos):
    (photos / "03.png").write_text("no picture")
    shares: list[float] = []
    PhotoBatch(darken, on_progress=shares.append).run(find_jobs([photos]))
    assert sum(shares) == pytest.approx(12)


@pytest.mark.parametrize(
    ("age_hours", "name", "remains"),
    [(25, "a" * 12, False), (1, "a" * 12, True), (25, "mine", True)],
)
def test_stale_temporaries_are_removed(age_hours, name, remains, darken, photos):
    temporary = photos / f".derain-{name}.part"
    temporary.touch()
    os.utime(temporary, (time.time() - age_hours * 3600,) * 2)
    PhotoBatch(darken).run(find_jobs([photos / "00.png"]))
    assert temporary.exists() == remains


def test_photos_are_written_without_hard_links(darken, photos, monkeypatch):
    deny_links(monkeypatch)
    assert PhotoBatch(darken).run(find_jobs([photos])).restored == 12
    assert not list(photos.glob(".derain-*"))


# failures


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PictureError("03.png: damaged"), "03.png: damaged"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: .* this is a bug in derain"),
        (MemoryError(), "not enough memory to restore it; use --jobs 1 or a smaller --limit-mib"),
    ],
)
def test_one_failure_does_not_stop_the_others(error, message, darken, photos, monkeypatch):
    read_frames = pictures.read_frames

    def read(path: Path):
        if path.name == "03.png":
            raise error
        return read_frames(path)

    monkeypatch.setattr(pictures, "read_frames", read)
    summary = PhotoBatch(darken).run(find_jobs([photos]))
    assert summary.restored == 11
    assert re.search(message, problem(summary))


def test_bad_file_is_reported_by_name(darken, photos):
    (photos / "03.png").write_text("no picture")
    summary = PhotoBatch(darken).run(find_jobs([photos]))
    assert [path.name for path, _ in summary.problems] == ["03.png"]


def test_transparency_is_rejected_for_jpeg_before_restoring(unused, tmp_path):
    clear = Picture(np.zeros((4, 4, 3), np.uint8), alpha=np.zeros((4, 4), np.uint8))
    pictures.write(clear, tmp_path / "in.png")
    jobs = find_jobs([tmp_path / "in.png"], output=tmp_path / "out.jpg")
    assert "transparen" in problem(PhotoBatch(unused).run(jobs))


def test_wide_comparison_is_rejected_for_webp_before_restoring(unused, tmp_path):
    pictures.write(Picture(np.zeros((1, 8192, 3), np.uint8)), tmp_path / "in.png")
    jobs = find_jobs([tmp_path / "in.png"], output=tmp_path / "out.webp")
    assert "16383" in problem(PhotoBatch(unused, RestoreOptions(compare=True)).run(jobs))


@pytest.mark.skipif(os.name == "nt", reason="Windows has other limits")
def test_long_name_is_rejected_before_restoring(unused, photos):
    source = photos / ("n" * 249 + ".png")
    (photos / "03.png").rename(source)
    text = problem(PhotoBatch(unused).run(find_jobs([source])))
    assert "name is too long for this disk" in text


@pytest.mark.parametrize("pages", [1, 2])
@pytest.mark.parametrize("existed", [False, True])
def test_new_rain_layer_of_a_failed_result_is_removed(
    pages, existed, darken, tmp_path, monkeypatch
):
    page = Picture(np.full((20, 30, 3), 255, np.uint8), format="TIFF")
    pictures.write_frames([page] * pages, tmp_path / "a.tif")
    layer = tmp_path / "out" / "a_rain.tif"
    if existed:
        layer.parent.mkdir()
        layer.write_text("old")
    write, write_frames = pictures.write, pictures.write_frames

    def fail(picture, path, **options):
        (write if isinstance(picture, Picture) else write_frames)(picture, path, **options)
        if path != layer:
            raise PictureError(f"{path}: the disk is full")

    monkeypatch.setattr(pictures, "write", fail)
    monkeypatch.setattr(pictures, "write_frames", fail)
    jobs = find_jobs(
        [tmp_path / "a.tif"], output=tmp_path / "out", with_rain=True, overwrite=existed
    )
    assert "the disk is full" in problem(PhotoBatch(darken).run(jobs))
    assert layer.exists() == existed


# targets that appear during the batch


def write_while_restoring(monkeypatch, path, text):
    """Let a file appear between the reading of a photo and the writing of its result."""
    restore = Restorer.restore_picture

    def restore_late(*arguments, **options):
        path.write_text(text)
        return restore(*arguments, **options)

    monkeypatch.setattr(Restorer, "restore_picture", restore_late)


def test_target_that_appears_before_its_turn_is_skipped(darken, photos):
    jobs = find_jobs([photos])
    late = jobs.pending[3]
    late.target.write_text("of another run")
    skipped = []
    summary = PhotoBatch(darken, on_existing=skipped.append).run(jobs)
    assert skipped == [late]
    assert summary.restored == 11
    assert summary.existing == 1
    assert late.target.read_text() == "of another run"


@pytest.mark.parametrize("has_links", [True, False])
def test_target_that_appears_while_restoring_is_kept_and_skipped(
    has_links, darken, photos, monkeypatch
):
    jobs = find_jobs([photos / "03.png"])
    target = jobs.pending[0].target
    write_while_restoring(monkeypatch, target, "of another run")
    if not has_links:
        deny_links(monkeypatch)
    summary = PhotoBatch(darken).run(jobs)
    assert (summary.existing, summary.failed, summary.remaining) == (1, 0, 0)
    assert target.read_text() == "of another run"
    assert not list(photos.glob(".derain-*"))


def test_rain_layer_that_appears_without_its_target_is_a_problem(darken, photos, monkeypatch):
    jobs = find_jobs([photos / "03.png"], with_rain=True)
    layer = jobs.pending[0].rain_target
    write_while_restoring(monkeypatch, layer, "of another photo")
    assert f"{layer.name}: exists by now" in problem(PhotoBatch(darken).run(jobs))
    assert not jobs.pending[0].target.exists()


# Ctrl-C


@pytest.fixture
def interrupted(networks, photos) -> Summary:
    """The summary of a batch that Ctrl-C ended during its fourth photo."""
    restorer, calls, lock = Restorer(networks / "copying.onnx", tile_px=168), [], threading.Lock()
    engine = restorer.engine

    class InterruptingEngine:
        bytes_per_px = one_size_bytes_per_px = 1000

        def __call__(self, rainy, *, one_size):
            with lock:
                calls.append(1)
                if len(calls) == 4:
                    _thread.interrupt_main()
                    threading.Event().wait(0.2)
            return engine(rainy, one_size=one_size)

    restorer.engine = InterruptingEngine()
    return PhotoBatch(restorer, workers=2).run(find_jobs([photos], output=photos / "out"))


def test_ctrl_c_ends_a_batch_early(interrupted):
    assert interrupted.was_interrupted
    assert interrupted.remaining > 0


def test_ctrl_c_leaves_complete_files_only(interrupted, photos):
    results = list((photos / "out").iterdir())
    assert len(results) == interrupted.restored
    assert all(pictures.read(path).pixels.shape == (20, 30, 3) for path in results)


# memory


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory use from /proc")
def test_memory_does_not_grow_with_the_number_of_photos(photos):
    run = subprocess.run(
        [sys.executable, SOAK_TEST, photos], check=True, capture_output=True, text=True
    )
    warm, end = map(int, run.stdout.split())
    assert end - warm < 8 * 2**20


def test_empty_batch(darken):
    assert str(PhotoBatch(darken).run(JobList())) == "0 restored"
