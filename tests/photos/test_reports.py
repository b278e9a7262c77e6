"""JSON and HTML reports of a batch."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from derain import pictures
from derain.cli.main import main
from derain.errors import DerainError
from derain.photos.jobs import Job
from derain.photos.preview import MAX_SIDE_PX, make_preview
from derain.photos.reports import html_report
from derain.photos.reports.html_report import HtmlReport
from derain.photos.reports.json_report import JsonReport
from derain.photos.reports.report_file import ReportFile
from derain.photos.summary import Summary
from derain.photos.worker import PhotoResult
from derain.pictures import Picture

NAME = 'a <b> "c" é.png'
"""A name that HTML and JSON must escape."""
ODD_NAME = os.fsdecode(b"\xff{0} \xe4.png")
"""A name that is not valid UTF-8."""

Run = Callable[..., int]


def create_photos(folder: Path) -> Path:
    """Create a white photo, and a broken one."""
    pictures.write(Picture(np.full((20, 30, 3), 255, np.uint8)), folder / NAME)
    (folder / "broken.png").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def model(networks) -> list[str]:
    return ["--model", str(networks / "darkening.onnx"), "--precision", "float32", "--quiet"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return create_photos(tmp_path)


@pytest.fixture
def run(model, photos) -> Run:
    """run(*options) restores the photos into `out` from the command line."""
    command = [str(photos), "-o", str(photos / "out"), *model]
    return lambda *options: main([*command, *map(str, options)])


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory) -> Path:
    """A folder with done.json and out.html of one run over the two photos."""
    folder = create_photos(tmp_path_factory.mktemp("reported"))
    reports = ["--json", str(folder / "done.json"), "--report", str(folder / "out.html")]
    assert main([str(folder), "-o", str(folder / "out"), *model, *reports]) == 1
    return folder


@pytest.fixture(scope="module")
def report(folder) -> dict[str, Any]:
    return json.loads((folder / "done.json").read_text())


@pytest.fixture(scope="module")
def page(folder) -> str:
    return (folder / "out.html").read_text()


def entries(report: dict[str, Any], status: str) -> list[dict[str, Any]]:
    return [entry for entry in report["pictures"] if entry["status"] == status]


def brightness(page: str) -> list[float]:
    """Return the mean brightness of each picture in the page: restored, rainy, restored, ..."""
    jpegs = re.findall(r"base64,([^\"]*)", page)
    images = [Image.open(io.BytesIO(base64.b64decode(jpeg))) for jpeg in jpegs]
    return [np.asarray(image).mean().round() for image in images]


# JSON


def test_no_report_is_left_if_another_cannot_be_opened(run, photos):
    (photos / "report.html").mkdir()
    before = {path.name for path in photos.iterdir()}
    assert run("--json", photos / "done.json", "--report", photos / "report.html") == 1
    assert {path.name for path in photos.iterdir()} <= before | {"out"}


def test_json_describes_restored_pictures(report, folder):
    (entry,) = entries(report, "restored")
    assert entry["source"] == str(folder / NAME)
    assert entry["target"] == str(folder / "out" / NAME)
    assert entry["width"] == 30
    assert entry["height"] == 20
    assert entry["frames"] == 1
    assert entry["omissions"] == []


def test_json_describes_failures(report):
    (entry,) = entries(report, "failed")
    assert "is not a picture" in entry["error"]


def test_json_measures_each_step(report):
    (entry,) = entries(report, "restored")
    assert set(entry["seconds"]) == {"read", "restore", "write"}
    assert sum(entry["seconds"].values()) <= report["summary"]["seconds"]


def test_json_has_a_header(report):
    assert list(report)[:4] == ["derain", "started", "command", "model"]
    assert report["model"].startswith("darkening on openvino")


def test_json_keys_of_the_summary(report):
    assert report["summary"] == {
        "restored": 1,
        "failed": 1,
        "already_there": 0,
        "without_rain": 0,
        "not_pictures": 0,
        "links_outside": 0,
        "of_other_shards": 0,
        "results": 0,
        "left": 0,
        "megapixels": 0.0006,
        "seconds": report["summary"]["seconds"],
        "interrupted": False,
    }


def test_json_keeps_names_that_are_not_unicode(run, photos):
    pictures.write(Picture(np.zeros((8, 8, 3), np.uint8)), photos / ODD_NAME)
    run("--json", photos / "done.json", "--report", photos / "out.html")
    report = json.loads((photos / "done.json").read_text())
    assert str(photos / ODD_NAME) in {entry["source"] for entry in report["pictures"]}
    assert "?{0} ?.png" in (photos / "out.html").read_text()


def test_json_is_complete_after_ctrl_c(tmp_path):
    report = JsonReport(tmp_path / "done.json", {"derain": "0"})
    with pytest.raises(KeyboardInterrupt), report:
        report.add_result(PhotoResult(Path("a.png"), Path("b.png")))
        report.finish(Summary(restored=1, was_interrupted=True))
        raise KeyboardInterrupt
    assert json.loads((tmp_path / "done.json").read_text())["summary"]["interrupted"] is True


def test_json_of_a_resumed_run_lists_existing_results(run, photos):
    run()
    run("--json", photos / "done.json")
    (entry,) = entries(json.loads((photos / "done.json").read_text()), "already_there")
    assert entry["target"] == str(photos / "out" / NAME)


def test_json_and_terminal_have_the_same_counts(networks, photos, capsys):
    inputs = [str(photos), str(photos / "missing.png"), "-o", str(photos / "out")]
    options = ["--model", str(networks / "copying.onnx"), "--json", str(photos / "done.json")]
    for _ in range(2):
        main([*inputs, *options])
        report = json.loads((photos / "done.json").read_text())
        assert report["summary"]["failed"] == 2
        assert len(entries(report, "failed")) == 2
        assert "2 failed" in capsys.readouterr().err.splitlines()[-1]


def test_json_without_pending_jobs(networks, tmp_path):
    source, target = tmp_path / "missing.png", tmp_path / "a.json"
    model = str(networks / "copying.onnx")
    assert main([str(source), "--json", str(target), "--model", model]) == 1
    assert "there is no such file" in json.loads(target.read_text())["pictures"][0]["error"]


# HTML


def test_page_needs_no_other_file(page):
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(links) == 2
    assert all(link.startswith("data:image/jpeg;base64,") for link in links)
    assert "http" not in page


def test_page_shows_before_and_after(page):
    assert brightness(page) == [191, 255]


def test_page_escapes_names(page):
    assert "a &lt;b&gt; &quot;c&quot; é.png" in page


def test_page_shows_failures(page):
    assert "is not a picture" in page


def test_page_ends_with_the_summary(page):
    assert re.search(r"<p>1 restored in .*, 1 failed.*</p>\n</body>", page)


def test_page_has_a_maximum_length(tmp_path, monkeypatch):
    monkeypatch.setattr(html_report, "MAX_PICTURES", 2)
    with HtmlReport(tmp_path / "out.html", "header") as report:
        for _ in range(5):
            report.add_failure(Path("a.png"), "broken")
    page = (tmp_path / "out.html").read_text()
    assert page.count("<section") == 2
    assert "3 more are not shown" in page


def test_page_of_a_resumed_run_shows_existing_results(run, photos):
    (photos / "broken.png").unlink()
    for name in ("b", "c"):
        pictures.write(Picture(np.full((20, 30, 3), 255, np.uint8)), photos / f"{name}.png")
    run()
    (photos / "out" / "b.png").unlink()
    for _ in range(2):  # the second run has no pending job
        run("--report", photos / "out.html")
        page = (photos / "out.html").read_text()
        assert page.count("<section") == 3
        assert brightness(page) == [191, 255] * 3


def test_page_shows_the_restored_half_of_existing_comparisons(run, photos):
    run("--compare")
    run("--compare", "--report", photos / "out.html")
    assert brightness((photos / "out.html").read_text()) == [191, 255]


def test_page_names_unreadable_results(run, photos):
    run()
    (photos / "out" / NAME).write_text("no picture")
    run("--report", photos / "out.html")
    page = (photos / "out.html").read_text()
    assert "existing result, not restored again; cannot be shown: " in page


def test_page_after_ctrl_c_has_no_previews_of_existing_results(run, photos):
    run()
    with HtmlReport(photos / "out.html", "header") as report:
        report.add_existing(Job(photos / NAME, photos / "out" / NAME))
        report.finish(Summary(was_interrupted=True))
    assert brightness((photos / "out.html").read_text()) == []


# previews


@pytest.mark.parametrize("size", [(30, 40), (1000, 20), (3000, 5000)])
def test_previews_have_a_maximum_size(size):
    photo = Picture(np.zeros((*size, 3), np.uint8))
    preview = make_preview(photo, photo)
    assert max(preview.width, preview.height) <= MAX_SIDE_PX
    assert Image.open(io.BytesIO(preview.rainy)).size == (preview.width, preview.height)


def test_transparency_is_white_in_previews():
    photo = Picture(np.zeros((8, 8, 3), np.uint8), alpha=np.zeros((8, 8), np.uint8))
    image = Image.open(io.BytesIO(make_preview(photo, photo).rainy))
    assert np.asarray(image).min() > 250


# files


def test_reports_may_be_in_a_new_output_folder(run, photos):
    run("--json", photos / "out" / "done.json", "--report", photos / "out" / "out.html")
    assert {path.suffix for path in (photos / "out").iterdir()} == {".png", ".json", ".html"}


def test_report_below_a_file_is_rejected(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DerainError, match=r"done\.json: a file has the name of its folder"):
        JsonReport(tmp_path / "file" / "done.json", {})


@pytest.mark.parametrize(
    ("option", "name", "suffix"),
    [
        ("--report", "a.jpg", ".html"),
        ("--json", "a.jpg", ".json"),
        ("--json", "page.html", ".json"),
        ("--report", "r", ".html"),
    ],
)
def test_report_must_have_its_suffix(option, name, suffix, run, photos, capsys):
    (photos / name).write_bytes(b"a photo")
    assert run(option, photos / name) == 1
    assert f"{name}: must end with {suffix}; " in capsys.readouterr().err
    assert (photos / name).read_bytes() == b"a photo"


def test_folder_as_report_is_rejected_before_restoring(run, photos, capsys):
    (photos / "r.html").mkdir()
    assert run("--report", photos / "r.html") == 1
    assert "r.html: is a folder; name a file in it" in capsys.readouterr().err
    assert not (photos / "out").exists()


def test_failing_report_does_not_stop_the_batch(run, photos, monkeypatch, capsys):
    def fail(report: ReportFile, text: str) -> None:
        raise DerainError(f"{report.path}: the disk is full")

    (photos / "done.json").write_text("of an earlier run")
    monkeypatch.setattr(ReportFile, "write", fail)
    assert run("--json", photos / "done.json") == 1
    assert (photos / "out" / NAME).exists()
    assert (photos / "done.json").read_text() == "of an earlier run"
    assert capsys.readouterr().err.count("done.json: the disk is full") == 1
    assert not list(photos.glob(".derain-*"))
