"""The paper's Table 2: held to the text of the paper, and set beside what was measured."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from derain.evaluate.paper_table2 import DATA_SETS, METHODS, OURS, Printed, table
from derain.evaluate.protocols import Score
from derain.evaluate.scoring import Evaluation, Result, Row
from derain.evaluate.summary import summarise

PAPER = Path(__file__).parents[3] / "shared" / "seed" / "plnlin-mcddl.txt"


def measured(data, row, pictures):
    results = [Result(str(i), {"paper": Score(28.5, 0.9)}, 3.0) for i in range(pictures)]
    return summarise(Evaluation(data, ["paper"], [Row(row, results)]))


def lines(summaries=()):
    found = table(summaries)
    return {row[0]: dict(zip(found.columns, row, strict=True)) for row in found.rows}


def test_all_seventeen_methods_are_there():
    assert len(METHODS) == 17


@pytest.mark.skipif(not PAPER.is_file(), reason="the text of the paper is not here")
def test_every_figure_is_the_one_in_the_text():
    text = (
        PAPER.read_text(encoding="utf-8")
        .split("Table 2: Quantitative results")[1]
        .split("3.4 Loss Function")[0]
    )
    rows = [line.split("\t") for line in text.splitlines() if re.search(r"\t\d+\.\d{3}\t", line)]
    printed = [
        [float(cell) if re.fullmatch(r"[\d.]+", cell) else None for cell in row[1:11]]
        for row in rows
    ]
    nothing = Printed(None, None)
    cells = [[method.cells.get(data, nothing) for data in DATA_SETS] for method in METHODS]
    ours = [[figure for cell in row for figure in (cell.psnr, cell.ssim)] for row in cells]
    assert [row + [None] * (10 - len(row)) for row in printed] == ours


@pytest.mark.skipif(not PAPER.is_file(), reason="the text of the paper is not here")
def test_every_parameter_count_is_the_one_in_the_text():
    text = (
        PAPER.read_text(encoding="utf-8")
        .split("Table 2: Quantitative results")[1]
        .split("3.4 Loss Function")[0]
    )
    counts = [
        re.search(r"\t([\d.]+)M\s*$", line)
        for line in text.splitlines()
        if re.search(r"\t\d+\.\d{3}\t", line)
    ]
    assert [f"{count[1]} M" if count else None for count in counts] == [
        method.parameters for method in METHODS
    ]


def test_the_rows_are_as_printed():
    assert lines()[OURS]["Rain200H"].splitlines()[0] == "30.164 / 0.9227"


def test_a_cell_that_nobody_measured_says_so():
    assert lines()["PReNet"]["Rain200H"].splitlines()[1] == "not measured"


def test_a_cell_that_the_paper_leaves_empty_has_a_dash():
    assert lines()["RadNet"]["Rain12"].splitlines()[0] == "–"


def test_what_was_measured_stands_below_what_was_printed():
    cell = lines([measured("rain200h", "prenet", 200)])["PReNet"]["Rain200H"]
    assert cell.splitlines() == ["27.525 / 0.8663", "here 28.500 / 0.9000"]


def test_a_part_of_the_test_set_is_said_to_be_one():
    assert lines([measured("Rain200H", "PReNet", 20)])["PReNet"]["Rain200H"].endswith(
        "20 of 200 pictures"
    )


def test_a_model_that_the_paper_does_not_have_gets_a_row_of_its_own():
    assert lines([measured("Rain12", "small", 12)])["small"]["Rain12"] == "here 28.500 / 0.9000"


def test_figures_on_other_data_are_not_put_into_the_table():
    assert "small" not in lines([measured("Rain100H", "small", 10)])


def test_the_note_counts_the_measured_cells():
    notes = table([measured("Rain200H", "PReNet", 200)]).notes
    assert any("1 of the 85 cells" in note for note in notes)


def test_the_note_names_the_sets_on_which_nothing_was_measured():
    notes = table([measured("Rain200H", "PReNet", 200)]).notes
    assert any(
        "Nothing at all was measured on Rain200L, Rain1200, Rain1400, Rain12" in note
        for note in notes
    )


def test_a_set_that_was_measured_under_another_protocol_is_said_to_be():
    summary = replace(measured("Rain12", "small", 12), protocols=["y"])
    text = "\n".join(table([summary]).notes)
    assert "Rain12: measured, but not under `paper`: add `--protocol paper`." in text
    assert "Nothing at all was measured on Rain200H, Rain200L, Rain1200, Rain1400: name" in text


def test_the_note_says_that_the_printed_figures_are_on_rgb():
    assert any("RGB, not luma" in note for note in table().notes)
