"""Table 2 of the paper, and measured figures next to it."""

from dataclasses import replace

import pytest

from derain.evaluate.paper_table2 import DATA_SETS, METHODS, OURS, table
from derain.evaluate.protocols import Score
from derain.evaluate.scoring import Evaluation, Result, Row
from derain.evaluate.summary import summarise

PSNR_SUM = 2538.178
SSIM_SUM = 72.7040


def measured(data, row, pictures):
    results = [Result(str(i), {"paper": Score(28.5, 0.9)}, 3.0) for i in range(pictures)]
    return summarise(Evaluation(data, ["paper"], [Row(row, results)]))


def lines(summaries=()):
    printed = table(summaries)
    return {row[0]: dict(zip(printed.columns, row, strict=True)) for row in printed.rows}


def test_there_are_17_methods():
    assert len(METHODS) == 17


def test_every_cell_is_a_psnr_and_an_ssim():
    cells = [cell for method in METHODS for cell in method.cells.values()]
    assert all(14 < cell.psnr < 40 for cell in cells)
    assert all(0.4 < cell.ssim < 1 for cell in cells)


def test_empty_cells_are_those_of_the_paper():
    empty = {m.name: set(DATA_SETS) - set(m.cells) for m in METHODS if len(m.cells) < 5}
    assert empty == {
        "RadNet": {"Rain1200", "Rain1400", "Rain12"},
        "HCT-FFN": {"Rain1200", "Rain1400"},
    }


def test_only_radnet_has_no_parameter_count():
    assert [method.name for method in METHODS if method.parameters is None] == ["RadNet"]


@pytest.mark.parametrize("data", DATA_SETS)
@pytest.mark.parametrize("metric", ["psnr", "ssim"])
def test_the_paper_ranks_its_network_first(metric, data):
    best = max(
        (method for method in METHODS if data in method.cells),
        key=lambda method: getattr(method.cells[data], metric),
    )
    assert best.name == OURS


def test_the_sum_of_all_figures():
    """A single changed digit changes the sum."""
    cells = [cell for method in METHODS for cell in method.cells.values()]
    assert sum(cell.psnr for cell in cells) == pytest.approx(PSNR_SUM, abs=5e-4)
    assert sum(cell.ssim for cell in cells) == pytest.approx(SSIM_SUM, abs=5e-5)


def test_a_cell_as_printed():
    assert lines()[OURS]["Rain200H"].splitlines()[0] == "30.164 / 0.9227"


def test_unmeasured_cells_are_marked():
    assert lines()["PReNet"]["Rain200H"].splitlines()[1] == "not measured"


def test_empty_cells_have_a_dash():
    assert lines()["RadNet"]["Rain12"].splitlines()[0] == "–"


def test_measured_figures_are_below_printed_ones():
    cell = lines([measured("rain200h", "prenet", 200)])["PReNet"]["Rain200H"]
    assert cell.splitlines() == ["27.525 / 0.8663", "here 28.500 / 0.9000"]


def test_partial_test_sets_are_marked():
    assert lines([measured("Rain200H", "PReNet", 20)])["PReNet"]["Rain200H"].endswith(
        "20 of 200 pictures"
    )


def test_other_models_get_a_row():
    assert lines([measured("Rain12", "small", 12)])["small"]["Rain12"] == "here 28.500 / 0.9000"


def test_other_data_sets_are_ignored():
    assert "small" not in lines([measured("Rain100H", "small", 10)])


def test_a_note_counts_the_measured_cells():
    notes = table([measured("Rain200H", "PReNet", 200)]).notes
    assert any("1 of the 85 cells" in note for note in notes)


def test_a_note_lists_unmeasured_data_sets():
    notes = table([measured("Rain200H", "PReNet", 200)]).notes
    assert any(
        "Nothing was measured on Rain200L, Rain1200, Rain1400, Rain12" in note for note in notes
    )


def test_a_note_asks_for_the_paper_protocol():
    summary = replace(measured("Rain12", "small", 12), protocols=["y"])
    text = "\n".join(table([summary]).notes)
    assert "Rain12: not measured under `paper`; add `--protocol paper`." in text
    assert "Nothing was measured on Rain200H, Rain200L, Rain1200, Rain1400; give" in text


def test_a_note_says_that_figures_are_on_rgb():
    assert any("RGB, not luma" in note for note in table().notes)
