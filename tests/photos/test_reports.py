"""The JSON and the page that tell of a batch."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derain import pictures
from derain.cli.main import main
from derain.errors import DerainError
from derain.photos.batch import BatchResult
from derain.photos.jobs import JobList
from derain.photos.preview import SIDE_PX, preview
from derain.photos.reports import html_report
from derain.photos.reports.html_report import HtmlReport
from derain.photos.reports.json_report import JsonReport
from derain.photos.reports.report_file import ReportFile
from derain.photos.summary import summarise
from derain.photos.worker import PhotoResult
from derain.pictures import Picture


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos, one of them broken, with names that HTML and JSON must escape."""
    pictures.write(Picture(np.full((20, 30, 3), 255, np.uint8)), tmp_path / 'a <b> "c" é.png')
    (tmp_path / "broken.png").write_text("no picture")
    return tmp_path


@pytest.fixture
def run(networks, photos):
    """Runs the command line over the photos."""
    model = ["--model", str(networks / "darkening.onnx"), "--precision", "float32", "--quiet"]
    return lambda *options: main(
        [str(photos), "-o", str(photos / "out"), *model, *map(str, options)]
    )


def test_the_journal_tells_of_every_picture(run, photos):
    assert run("--json", photos / "done.json") == 1
    told = json.loads((photos / "done.json").read_text())
    good, bad = sorted(told["pictures"], key=lambda entry: "error" in entry)
    assert (Path(good["target"]).name, good["width"], good["height"]) == ('a <b> "c" é.png', 30, 20)
    assert good["omissions"] == []
    assert "is not a picture" in bad["error"]


def test_the_journal_tells_the_times(run, photos):
    run("--json", photos / "done.json")
    told = json.loads((photos / "done.json").read_text())
    (good,) = (entry for entry in told["pictures"] if "error" not in entry)
    assert sum(good["seconds"].values()) <= told["summary"]["seconds"]
    assert set(good["seconds"]) == {"read", "restore", "write"}


def test_names_that_are_no_text_are_told_whole(run, photos):
    odd = os.fsdecode(b"\xff{0} \xe4.png")
    pictures.write(Picture(np.zeros((8, 8, 3), np.uint8)), photos / odd)
    run("--json", photos / "done.json", "--report", photos / "out.html")
    told = json.loads((photos / "done.json").read_text())
    assert odd in {Path(entry["source"]).name for entry in told["pictures"]}
    assert "?{0} ?.png" in (photos / "out.html").read_text()
    assert (photos / "out" / odd).exists()


def test_the_journal_is_whole_after_ctrl_c(tmp_path):
    journal = JsonReport(tmp_path / "done.json", {"derain": "0"})
    with pytest.raises(KeyboardInterrupt), journal:
        journal.note(PhotoResult(Path("a.png"), Path("b.png")))
        journal.close(summarise(JobList(), BatchResult(restored=1, was_interrupted=True)))
        raise KeyboardInterrupt
    assert json.loads((tmp_path / "done.json").read_text())["summary"]["interrupted"] is True


def test_a_journal_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DerainError, match=r"done\.json: what should be its folder is a file"):
        JsonReport(tmp_path / "file" / "done.json", {})


def test_reports_may_lie_in_the_folder_of_the_results_that_is_not_there_yet(run, photos):
    run("--json", photos / "out" / "done.json", "--report", photos / "out" / "out.html")
    assert {path.suffix for path in (photos / "out").iterdir()} == {".png", ".json", ".html"}


def test_the_page_needs_no_other_file(run, photos):
    run("--report", photos / "out.html")
    text = (photos / "out.html").read_text()
    links = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert len(links) == 2
    assert all(link.startswith("data:image/jpeg;base64,") for link in links)
    assert "http" not in text


def test_the_page_shows_before_and_after(run, photos):
    run("--report", photos / "out.html")
    jpegs = re.findall(r"base64,([^\"]*)", (photos / "out.html").read_text())
    lights = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(jpeg)))).mean().round() for jpeg in jpegs
    ]
    assert lights == [191, 255]


def test_the_page_escapes_names_and_tells_of_failures(run, photos):
    run("--report", photos / "out.html")
    text = (photos / "out.html").read_text()
    assert "a &lt;b&gt; &quot;c&quot; é.png" in text
    assert "is not a picture" in text


def test_the_page_stops_at_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(html_report, "MOST_PICTURES", 2)
    with HtmlReport(tmp_path / "out.html", "about") as report:
        for _ in range(5):
            report.refuse(Path("a.png"), "broken")
    text = (tmp_path / "out.html").read_text()
    assert (text.count("<section"), "3 more are not shown" in text) == (2, True)


def told_by(run, photos: Path, *options: object) -> dict:
    run("--json", photos / "done.json", *options)
    return json.loads((photos / "done.json").read_text())


def test_the_journal_of_a_resumed_run_lists_what_was_there(run, photos):
    run()
    (there,) = (entry for entry in told_by(run, photos)["pictures"] if "error" not in entry)
    assert there["status"] == "already_there"
    assert Path(there["target"]).exists()


def test_the_journal_counts_what_the_terminal_counts(networks, photos, capsys):
    inputs = [str(photos), str(photos / "none.png"), "-o", str(photos / "out")]
    for _ in range(2):
        main(
            [
                *inputs,
                "--model",
                str(networks / "copying.onnx"),
                "--json",
                str(photos / "done.json"),
            ]
        )
        told = json.loads((photos / "done.json").read_text())
        failed = sum(entry["status"] == "failed" for entry in told["pictures"])
        assert (told["summary"]["failed"], failed) == (2, 2)
        assert "2 failed" in capsys.readouterr().err.splitlines()[-1]


def test_the_page_of_a_resumed_run_shows_what_was_there(run, photos):
    (photos / "broken.png").unlink()
    for name in ("b", "c"):
        pictures.write(Picture(np.full((20, 30, 3), 255, np.uint8)), photos / f"{name}.png")
    run("--report", photos / "out.html")
    (photos / "out" / "b.png").unlink()
    for _ in range(2):  # the second time there is nothing to do
        run("--report", photos / "out.html")
        text = (photos / "out.html").read_text()
        jpegs = re.findall(r"base64,([^\"]*)", text)
        lights = [
            np.asarray(Image.open(io.BytesIO(base64.b64decode(jpeg)))).mean().round()
            for jpeg in jpegs
        ]
        assert (text.count("<section"), lights) == (3, [191, 255] * 3)


def test_of_two_halves_that_were_there_the_page_shows_the_restored_one(run, photos):
    for _ in range(2):
        run("--compare", "--report", photos / "out.html")
    jpegs = re.findall(r"base64,([^\"]*)", (photos / "out.html").read_text())
    assert [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(jpeg)))).mean().round() for jpeg in jpegs
    ] == [191, 255]


def test_a_result_that_is_there_and_cannot_be_read_is_named_on_the_page(run, photos):
    run()
    next((photos / "out").iterdir()).write_text("no picture")
    run("--report", photos / "out.html")
    assert (
        "already there, not restored again; not shown, because "
        in (photos / "out.html").read_text()
    )


def test_the_page_ends_with_the_summary(run, photos):
    run("--report", photos / "out.html")
    assert re.search(
        r"<p>1 restored in .*, 1 failed.*</p>\n</body>", (photos / "out.html").read_text()
    )


@pytest.mark.parametrize("size", [(30, 40), (1000, 20), (3000, 5000)])
def test_previews_have_a_bounded_size(size):
    photo = Picture(np.zeros((*size, 3), np.uint8))
    small = preview(photo, photo)
    assert max(small.width, small.height) <= SIDE_PX
    assert Image.open(io.BytesIO(small.rainy)).size == (small.width, small.height)


def test_transparency_is_white_in_a_preview():
    photo = Picture(np.zeros((8, 8, 3), np.uint8), alpha=np.zeros((8, 8), np.uint8))
    assert np.asarray(Image.open(io.BytesIO(preview(photo, photo).rainy))).min() > 250


def test_a_batch_of_failures_alone_still_tells(networks, tmp_path):
    assert (
        main(
            [
                str(tmp_path / "none.png"),
                "--json",
                str(tmp_path / "a.json"),
                "--model",
                str(networks / "copying.onnx"),
            ]
        )
        == 1
    )
    assert (
        "there is no such file"
        in json.loads((tmp_path / "a.json").read_text())["pictures"][0]["error"]
    )


@pytest.mark.parametrize(
    ("option", "name"),
    [("--report", "a.jpg"), ("--json", "a.jpg"), ("--json", "page.html"), ("--report", "r")],
)
def test_a_report_is_called_like_one_or_it_might_replace_a_photo(option, name, run, photos, capsys):
    (photos / name).write_bytes(b"what I had")
    assert run(option, photos / name) == 1
    assert re.fullmatch(
        rf"derain: {option} \S+: replaces what is there, and is no name of a report; .+\n",
        capsys.readouterr().err,
    )
    assert (photos / name).read_bytes() == b"what I had"


def test_a_report_that_is_a_folder_is_told_of_before_the_work(run, photos, capsys):
    (photos / "r.html").mkdir()
    assert run("--report", photos / "r.html") == 1
    assert "r.html: is a folder; name a file in it" in capsys.readouterr().err
    assert not (photos / "out").exists()


def test_a_report_that_the_disk_does_not_take_costs_no_photo(run, photos, monkeypatch, capsys):
    def failing(report: ReportFile, text: str) -> None:
        raise DerainError(f"{report.path}: the disk is full")

    (photos / "done.json").write_text("of an earlier run")
    monkeypatch.setattr(ReportFile, "write", failing)
    assert run("--json", photos / "done.json") == 1
    assert (photos / "out" / 'a <b> "c" é.png').exists()
    assert (photos / "done.json").read_text() == "of an earlier run"
    assert capsys.readouterr().err.count("done.json: the disk is full") == 1
    assert not list(photos.glob(".derain-*"))
