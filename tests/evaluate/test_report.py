"""Report files: Markdown, JSON, CSV and HTML."""

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
from PIL import Image

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
from derain.files.atomic import write_text

MACHINE = Environment(
    "2026-11-23 02:00 UTC", "AMD EPYC", 2, {"derain": "0.1.0"}, "3.12", "Linux", "abcdef0-dirty"
)
SMALL = ModelProvenance(
    "small", 6327, "0123456789abcdef" * 4, "openvino", "cpu (AMD EPYC), float32"
)
PROVENANCE = Provenance("derain evaluate <typed>", MACHINE, [SMALL])
VOID = {"meta", "img", "br"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The scores of six pairs and of two folders of outputs: A is 3 levels off, B is exact."""
    folder, rng = tmp_path_factory.mktemp("scored"), np.random.default_rng(2024)
    for name in ("001", "002", "003", "004", "005", "006"):
        clean = rng.integers(30, 220, (24, 32, 3), dtype=np.uint8)
        rainy = clean + rng.integers(0, 30, clean.shape, dtype=np.uint8)
        sides = {"set/rainy": rainy, "set/clean": clean, "a": clean + np.uint8(3), "b": clean}
        for side, image in sides.items():
            (folder / side).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / side / f"{name}.png")
    outputs = [f"A={folder / 'a'}", f"B={folder / 'b'}"]
    return evaluate(experiments(data=[str(folder / "set")], outputs=outputs), list(PROTOCOLS))


def write_reports(run, folder):
    """Return the text of each report by format."""
    paths = {kind: folder / f"report.{kind}" for kind in ("markdown", "json", "csv", "html")}
    run.write(ReportPaths(**paths), PROVENANCE)
    return {kind: path.read_text(encoding="utf-8") for kind, path in paths.items()}


@pytest.fixture(scope="module")
def written(run, tmp_path_factory):
    """The text of each report by format."""
    return write_reports(run, tmp_path_factory.mktemp("reports"))


@pytest.mark.parametrize(
    "fact", ["2026-11-23 02:00 UTC", "AMD EPYC", "abcdef0-dirty", "0123456789ab", "float32"]
)
@pytest.mark.parametrize("kind", ["markdown", "json", "html"])
def test_reports_include_the_provenance(kind, fact, written):
    assert fact in written[kind]


def test_json_has_the_models(written):
    (model,) = json.loads(written["json"])["provenance"]["models"]
    assert model["name"] == "small"
    assert model["steps"] == 6327
    assert model["engine"] == "openvino"


@pytest.mark.parametrize("name", ["untouched", "A", "B"])
def test_markdown_has_a_line_for_each_row(name, written):
    assert f"\n| {name} | 6 |" in written["markdown"]


def test_csv_has_a_line_per_picture(written):
    lines = list(csv.DictReader(io.StringIO(written["csv"])))
    assert len(lines) == 3 * 6


def test_csv_columns(written):
    (header, *_) = csv.reader(io.StringIO(written["csv"]))
    assert header == [
        "data",
        "candidate",
        "picture",
        *(f"{p} {m}" for p in PROTOCOLS for m in ("PSNR", "SSIM")),
        "MAE",
        "NIQE",
    ]


def test_json_has_null_for_infinite_psnr(written):
    report = json.loads(written["json"], parse_constant=pytest.fail)
    assert report["data"][0]["pictures"]["B"]["001"]["scores"]["rgb"]["psnr"] is None


def test_json_has_the_means(written):
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


def test_the_page_is_self_contained(checked):
    assert checked.sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in checked.sources)


def test_the_page_has_four_pictures_per_entry(checked):
    # A and B, three worst and three best, each rainy, restored, clean and error
    assert len(checked.sources) == 2 * 6 * 4


def test_the_page_escapes_the_command(written):
    assert "evaluate &lt;typed&gt;" in written["html"]


def test_the_gallery_has_the_worst_and_the_best(run):
    experiment, evaluation = run.experiments[0], run.evaluations[0]
    by_psnr = sorted(evaluation.rows[1].results, key=lambda result: result.scores["paper"].psnr)
    shown = [
        e
        for e in select_gallery(experiment, evaluation, size=1)
        if e.candidate == evaluation.rows[1].name
    ]
    assert [entry.place for entry in shown] == ["worst", "best"]
    assert [entry.result for entry in shown] == [by_psnr[0], by_psnr[-1]]


def test_few_pictures_are_shown_once(run):
    shown = [
        e
        for e in select_gallery(run.experiments[0], run.evaluations[0], size=50)
        if e.candidate == "A"
    ]
    assert [entry.place for entry in shown] == ["worst"] * 3 + ["best"] * 3
    assert len({entry.result.sample for entry in shown}) == 6


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
def test_white_level_follows_the_largest_error(errors, white):
    assert white_level(errors) == white


def test_the_page_keeps_one_entry_in_memory(run):
    pictures, alive = [], []

    def watched():
        for entry in select_gallery(run.experiments[0], run.evaluations[0]):
            pictures.append(weakref.ref(entry.restored))
            alive.append(sum(picture() is not None for picture in pictures))
            yield entry

    render_page([(run.summaries[0], watched())], PROVENANCE)
    assert len(alive) == 12
    assert max(alive) == 2  # an entry is released once the next one exists


def test_a_failed_report_leaves_no_file(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(DataError, match="taken: is a folder; name a file in it"):
        write_text(tmp_path / "taken", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_invalid_unicode_is_escaped(tmp_path):
    write_text(tmp_path / "report.md", "caf\udce9.png")
    assert (tmp_path / "report.md").read_bytes() == b"caf\\udce9.png"


def test_missing_folders_are_created(run, tmp_path):
    run.write(ReportPaths(csv=tmp_path / "new" / "folder" / "scores.csv"), PROVENANCE)
    assert (tmp_path / "new" / "folder" / "scores.csv").is_file()


@pytest.mark.parametrize(
    ("path", "fact"), [("taken/report.md", "its folder cannot be created"), ("", "is a folder")]
)
def test_unwritable_paths_are_rejected_at_once(path, fact, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DataError, match=fact):
        ReportPaths(markdown=tmp_path / path)


@pytest.fixture(scope="module")
def written_of_photos(tmp_path_factory):
    """The text of each report by format, for three photos without a clean side and outputs."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(2024)
    for side, low, high in (("photos", 0, 255), ("outputs", 100, 155)):
        (folder / side).mkdir()
        for name in ("a", "b", "c"):
            noise = rng.integers(low, high, (200, 200, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / side / f"{name}.png")
    planned = experiments(photos=[str(folder / "photos")], outputs=[f"A={folder / 'outputs'}"])
    return write_reports(evaluate(planned, list(PROTOCOLS), with_table2=True), folder)


def test_markdown_of_photos_has_niqe(written_of_photos):
    assert "| untouched | 3 |" in written_of_photos["markdown"]
    assert "NIQE (lower is better)" in written_of_photos["markdown"]


def test_csv_of_photos_has_no_protocol(written_of_photos):
    lines = list(csv.DictReader(io.StringIO(written_of_photos["csv"])))
    assert list(lines[0]) == ["data", "candidate", "picture", "MAE", "NIQE"]
    assert lines[0]["MAE"] == ""
    assert float(lines[0]["NIQE"]) > 0


def test_json_of_photos_has_niqe(written_of_photos):
    pictures = json.loads(written_of_photos["json"], parse_constant=pytest.fail)["data"][0][
        "pictures"
    ]
    assert pictures["A"]["b"]["niqe"] > 0
    assert pictures["A"]["b"]["mae"] is None


def test_the_page_of_photos_shows_rainy_and_restored(written_of_photos):
    checker = Checker()
    checker.feed(written_of_photos["html"])
    assert len(checker.sources) == 3 * 2
    assert checker.open == []


def test_captions_have_scores(checked):
    assert "rainy, " in checked.text
    assert "restored, 38.59 dB / " in checked.text  # A is 3 levels off: 20 log10(255 / 3)


def test_equal_report_paths_are_rejected(tmp_path):
    with pytest.raises(DataError, match="is given for two reports"):
        ReportPaths(csv=tmp_path / "same.txt", json=tmp_path / "new" / ".." / "same.txt")


def test_picture_names_are_rejected_for_reports(tmp_path):
    with pytest.raises(DataError, match="has the name of a picture"):
        ReportPaths(csv=tmp_path / "001.png")


def test_inputs_are_not_overwritten(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("rainy/1.png clean/1.png\n")
    with pytest.raises(DataError, match="is an input and would be overwritten"):
        ReportPaths(csv=path, inputs=[tmp_path / "." / "train.txt"])


def test_links_are_followed(run, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "far" / "scores.csv")
    run.write(ReportPaths(csv=tmp_path / "link.csv"), PROVENANCE)
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "far" / "scores.csv").read_text().startswith("data,candidate")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_report_is_written_to_a_pipe(run, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    run.write(ReportPaths(csv=pipe), PROVENANCE)
    reader.join(timeout=10)
    assert read[0].startswith("data,candidate")
    assert pipe.is_fifo()


def test_json_has_the_extra_tables(tmp_path):
    evaluate([], ["paper"], with_table2=True).write(
        ReportPaths(json=tmp_path / "a.json"), PROVENANCE
    )
    (table,) = json.loads((tmp_path / "a.json").read_text())["tables"]
    assert "PReNet" in [row[0] for row in table["rows"]]


def test_repeated_protocols_count_once(pairs_folder):
    run = evaluate(experiments(data=[str(pairs_folder)]), ["y", "y"])
    assert run.summaries[0].protocols == ["y"]


def test_a_run_can_be_reported_after_ctrl_c(pairs_folder, monkeypatch, tmp_path):
    first, second = (
        replace(experiment, data=name)
        for name in ("first", "second")
        for experiment in experiments(data=[str(pairs_folder)])
    )

    def stop():
        raise KeyboardInterrupt

    first.samples[2:] = [replace(first.samples[2], load=stop)]
    run = evaluate([first, second], ["rgb"])
    assert run.was_interrupted
    run.write(ReportPaths(csv=tmp_path / "a.csv", html=tmp_path / "a.html"), PROVENANCE)
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 1 + 2
    assert "stopped after 2 pictures" in (tmp_path / "a.html").read_text()


def test_unwritable_folders_are_rejected_at_once(tmp_path):
    with pytest.raises(DataError, match=r"/proc/a\.csv: "):
        ReportPaths(csv=Path("/proc/a.csv"))
    assert list(tmp_path.iterdir()) == []


def test_one_failed_report_does_not_stop_the_others(run, tmp_path):
    reports = ReportPaths(markdown=tmp_path / "gone" / "a.md", csv=tmp_path / "scores.csv")
    (tmp_path / "gone").rmdir()
    with pytest.raises(DataError, match=r"a\.md: "):
        run.write(reports, PROVENANCE)
    assert (tmp_path / "scores.csv").is_file()
