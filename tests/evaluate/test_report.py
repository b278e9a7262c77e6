"""Files that are written: Markdown, JSON, CSV and the page."""

import csv
import io
import json
import os
import threading
import weakref
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from derain.environment import Environment
from derain.errors import DataError
from derain.evaluate.experiments import experiments
from derain.evaluate.html_report import (
    absolute_error,
    error_map,
    render_page,
    select_gallery,
    white_level,
)
from derain.evaluate.protocols import PROTOCOLS
from derain.evaluate.provenance import ModelProvenance, Provenance
from derain.evaluate.run import ReportPaths, evaluate
from derain.evaluate.tables import all_tables
from derain.files.atomic import write_text

MACHINE = Environment(
    "2026-11-23 02:00 UTC", "AMD EPYC", 2, {"derain": "0.1.0"}, "3.12", "Linux", "abcdef0-dirty"
)
SMALL = ModelProvenance(
    "small", 6327, "0123456789abcdef" * 4, "openvino", "cpu (AMD EPYC), float32"
)
PROVENANCE = Provenance("derain evaluate <typed>", MACHINE, [SMALL])
VOID = {"meta", "img", "br"}


@pytest.fixture
def session(pairs_folder, write_outputs):
    asked = [f"A={write_outputs('a', off=3)}", f"B={write_outputs('b', off=0)}"]
    found = experiments(data=[str(pairs_folder)], outputs=asked)
    return evaluate(found, list(PROTOCOLS), with_table2=False, console=Console(quiet=True))


@pytest.fixture
def written(session, tmp_path):
    """kind -> the text of the report."""
    paths = {kind: tmp_path / f"report.{kind}" for kind in ("markdown", "json", "csv", "html")}
    session.write(ReportPaths(**paths), PROVENANCE)
    return {kind: path.read_text(encoding="utf-8") for kind, path in paths.items()}


@pytest.mark.parametrize(
    "fact", ["2026-11-23 02:00 UTC", "AMD EPYC", "abcdef0-dirty", "0123456789ab", "float32"]
)
@pytest.mark.parametrize("kind", ["markdown", "json", "html"])
def test_a_report_says_where_its_figures_come_from(kind, fact, written):
    assert fact in written[kind]


def test_json_has_the_facts_of_a_model_by_name(written):
    (model,) = json.loads(written["json"])["provenance"]["models"]
    assert (model["name"], model["steps"], model["engine"]) == ("small", 6327, "openvino")


def test_the_terminal_names_what_each_model_was_run_with(session):
    console = Console(record=True, width=160, file=io.StringIO())
    replace(
        session, experiments=[replace(one, models=[SMALL]) for one in session.experiments]
    ).show(console)
    assert f"Models\n- {SMALL}\n" in console.export_text()


@pytest.mark.parametrize("name", ["untouched", "A", "B"])
def test_markdown_has_a_line_for_each_row(name, written):
    assert f"\n| {name} | 6 |" in written["markdown"]


def test_csv_has_a_line_for_each_picture_of_each_row(written):
    lines = list(csv.DictReader(io.StringIO(written["csv"])))
    assert len(lines) == 3 * 6


def test_csv_has_both_metrics_of_every_protocol(written):
    (header, *_) = csv.reader(io.StringIO(written["csv"]))
    assert header == [
        "data",
        "candidate",
        "picture",
        *(f"{p} {m}" for p in PROTOCOLS for m in ("PSNR", "SSIM")),
        "MAE",
        "NIQE",
    ]


def test_json_has_null_for_the_psnr_of_identical_pictures(written):
    report = json.loads(written["json"], parse_constant=pytest.fail)
    assert report["data"][0]["pictures"]["B"]["001"]["scores"]["rgb"]["psnr"] is None


def test_json_has_the_mean_that_the_tables_show(written):
    rows = {row["name"]: row for row in json.loads(written["json"])["data"][0]["rows"]}
    assert rows["A"]["scores"]["rgb"]["psnr"]["value"] == pytest.approx(20 * np.log10(255 / 3))


class Checker(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.sources, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.sources += [value for key, value in attrs if key in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def checked(written):
    checker = Checker()
    checker.feed(written["html"])
    return checker


def test_the_page_closes_every_element(checked):
    assert checked.open == []


def test_the_page_carries_all_that_it_shows(checked):
    assert checked.sources and all(
        source.startswith("data:image/jpeg;base64,") for source in checked.sources
    )


def test_the_page_shows_four_pictures_for_each_exhibit(checked):
    assert (
        len(checked.sources) == 2 * 6 * 4
    )  # A and B, three worst and three best, rainy, restored, clean and error


def test_the_page_escapes_what_was_typed(written):
    assert "evaluate &lt;typed&gt;" in written["html"]


def test_exhibits_are_the_worst_and_the_best(session, pairs_folder):
    experiment, evaluation = session.experiments[0], session.evaluations[0]
    by_psnr = sorted(evaluation.rows[1].results, key=lambda result: result.scores["paper"].psnr)
    shown = [
        e
        for e in select_gallery(experiment, evaluation, size=1)
        if e.candidate == evaluation.rows[1].name
    ]
    assert [(e.place, e.result) for e in shown] == [("worst", by_psnr[0]), ("best", by_psnr[-1])]


def test_no_picture_is_shown_twice_where_there_are_few(session):
    shown = [
        e
        for e in select_gallery(session.experiments[0], session.evaluations[0], size=50)
        if e.candidate == "A"
    ]
    assert ([e.place for e in shown], len({e.result.sample for e in shown})) == (
        ["worst"] * 3 + ["best"] * 3,
        6,
    )


@pytest.mark.parametrize(
    ("levels", "colour"),
    [(0, (0, 0, 0)), (32, (255, 128, 0)), (64, (255, 255, 255)), (255, (255, 255, 255))],
)
def test_the_error_map_goes_from_black_to_white(levels, colour):
    clean = np.zeros((2, 2, 3), np.uint8)
    assert (
        tuple(error_map(absolute_error(clean + np.uint8(levels), clean), white=64)[0, 0]) == colour
    )


@pytest.mark.parametrize(
    ("errors", "white"), [([], 8), ([3.0, 0.1], 8), ([3.0, 9.0], 16), ([200.0], 128)]
)
def test_small_errors_are_seen_where_there_are_no_large_ones(errors, white):
    assert white_level(errors) == white


def test_the_page_holds_the_pictures_of_one_exhibit_at_a_time(session):
    pictures, alive = [], []

    def watched():
        for exhibit in select_gallery(session.experiments[0], session.evaluations[0]):
            pictures.append(weakref.ref(exhibit.restored))
            alive.append(sum(picture() is not None for picture in pictures))
            yield exhibit

    render_page([(session.summaries[0], watched())], PROVENANCE)
    assert (
        len(alive) == 12 and max(alive) == 2
    )  # the one before is let go when the next one is there


def test_a_report_that_cannot_be_put_in_place_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(DataError, match="taken: is a folder; name a file in it"):
        write_text(tmp_path / "taken", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_file_name_that_is_not_unicode_does_not_spoil_a_report(tmp_path):
    write_text(tmp_path / "report.md", "caf\udce9.png")
    assert (tmp_path / "report.md").read_bytes() == b"caf\\udce9.png"


def test_the_folder_of_a_report_is_made(session, tmp_path):
    session.write(ReportPaths(csv=tmp_path / "new" / "folder" / "scores.csv"), PROVENANCE)
    assert (tmp_path / "new" / "folder" / "scores.csv").is_file()


@pytest.mark.parametrize(
    ("path", "fact"), [("taken/report.md", "its folder cannot be made"), ("", "is a folder")]
)
def test_a_report_that_cannot_be_written_is_refused_before_any_work(path, fact, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DataError, match=fact):
        ReportPaths(markdown=tmp_path / path)


@pytest.fixture
def written_of_photos(tmp_path, write_png, rng):
    """kind -> the text of the report on three photos without a clean side, and what a program made of them."""
    for name in ("a", "b", "c"):
        write_png(f"photos/{name}.png", rng.integers(0, 255, (200, 200, 3)))
        write_png(f"outputs/{name}.png", rng.integers(100, 155, (200, 200, 3)))
    found = experiments(photos=[str(tmp_path / "photos")], outputs=[f"A={tmp_path / 'outputs'}"])
    paths = {kind: tmp_path / f"report.{kind}" for kind in ("markdown", "json", "csv", "html")}
    evaluate(found, list(PROTOCOLS), with_table2=True, console=Console(quiet=True)).write(
        ReportPaths(**paths), PROVENANCE
    )
    return {kind: path.read_text(encoding="utf-8") for kind, path in paths.items()}


def test_markdown_on_photos_has_their_niqe(written_of_photos):
    assert (
        "| untouched | 3 |" in written_of_photos["markdown"]
        and "NIQE (lower is better)" in written_of_photos["markdown"]
    )


def test_csv_on_photos_has_no_protocol(written_of_photos):
    lines = list(csv.DictReader(io.StringIO(written_of_photos["csv"])))
    assert (list(lines[0]), lines[0]["MAE"], float(lines[0]["NIQE"]) > 0) == (
        ["data", "candidate", "picture", "MAE", "NIQE"],
        "",
        True,
    )


def test_json_on_photos_has_the_niqe_of_each(written_of_photos):
    pictures = json.loads(written_of_photos["json"], parse_constant=pytest.fail)["data"][0][
        "pictures"
    ]
    assert pictures["A"]["b"]["niqe"] > 0 and pictures["A"]["b"]["mae"] is None


def test_the_page_on_photos_shows_rainy_and_restored(written_of_photos):
    checker = Checker()
    checker.feed(written_of_photos["html"])
    assert (len(checker.sources), checker.open) == (3 * 2, [])


def test_captions_say_what_the_rainy_and_the_restored_picture_reached(checked):
    assert (
        "restored, 38.59 dB / " in checked.text and "rainy, " in checked.text
    )  # A is 3 levels off: 20 log10(255 / 3)


def test_two_reports_in_one_file_are_refused(tmp_path):
    with pytest.raises(DataError, match="two reports would be written there"):
        ReportPaths(csv=tmp_path / "same.txt", json=tmp_path / "new" / ".." / "same.txt")


def test_a_report_takes_no_picture_s_place(tmp_path):
    with pytest.raises(DataError, match="has the name of a picture"):
        ReportPaths(csv=tmp_path / "001.png")


def test_a_report_takes_the_place_of_nothing_that_is_read(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("rainy/1.png clean/1.png\n")
    with pytest.raises(DataError, match="is read, and would be replaced by a report"):
        ReportPaths(csv=path, inputs=[tmp_path / "." / "train.txt"])


def test_a_report_is_written_through_a_link(session, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "far" / "scores.csv")
    session.write(ReportPaths(csv=tmp_path / "link.csv"), PROVENANCE)
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "far" / "scores.csv").read_text().startswith("data,candidate")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_report_goes_into_a_pipe(session, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    session.write(ReportPaths(csv=pipe), PROVENANCE)
    reader.join(timeout=10)
    assert read[0].startswith("data,candidate")
    assert pipe.is_fifo()


def test_json_has_the_tables_that_are_of_no_one_data_set(tmp_path):
    session = evaluate([], ["paper"], with_table2=True, console=Console(file=io.StringIO()))
    session.write(ReportPaths(json=tmp_path / "a.json"), PROVENANCE)
    (table,) = json.loads((tmp_path / "a.json").read_text())["tables"]
    assert "PReNet" in [row[0] for row in table["rows"]]


def test_a_protocol_that_is_named_twice_is_one(pairs_folder):
    asked = experiments(data=[str(pairs_folder)])
    session = evaluate(asked, ["y", "y"], with_table2=False, console=Console(file=io.StringIO()))
    assert session.summaries[0].protocols == ["y"]


def test_ctrl_c_leaves_a_session_to_be_reported(pairs_folder, monkeypatch, tmp_path):
    first, second = (
        replace(one, data=name)
        for name in ("first", "second")
        for one in experiments(data=[str(pairs_folder)])
    )

    def stopped() -> tuple[None, None]:
        raise KeyboardInterrupt

    first.samples[2:] = [replace(first.samples[2], load=stopped)]
    session = evaluate(
        [first, second], ["rgb"], with_table2=False, console=Console(file=io.StringIO())
    )
    assert session.was_interrupted
    session.write(ReportPaths(csv=tmp_path / "a.csv", html=tmp_path / "a.html"), PROVENANCE)
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 1 + 2
    assert "stopped after 2 pictures" in (tmp_path / "a.html").read_text()


def test_a_folder_that_takes_no_report_is_refused_before_any_work(tmp_path):
    with pytest.raises(DataError, match=r"/proc/a\.csv: "):
        ReportPaths(csv=Path("/proc/a.csv"))
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_fails_in_the_end_takes_no_other_with_it(session, tmp_path):
    reports = ReportPaths(markdown=tmp_path / "gone" / "a.md", csv=tmp_path / "scores.csv")
    (tmp_path / "gone").rmdir()
    with pytest.raises(DataError, match=r"a\.md: "):
        session.write(reports, PROVENANCE)
    assert (tmp_path / "scores.csv").is_file()


@pytest.mark.parametrize("columns", [20, 80, 100])
def test_tables_of_a_narrow_terminal_leave_out_no_digit(session, columns):
    text = io.StringIO()
    session.show(Console(file=text, width=columns))
    assert "\N{HORIZONTAL ELLIPSIS}" not in text.getvalue()
    for table in (table for summary in session.summaries for table in all_tables(summary)):
        missing = [cell for row in table.rows for cell in row[1:] if cell not in text.getvalue()]
        assert missing == []
