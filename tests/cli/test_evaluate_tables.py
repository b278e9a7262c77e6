"""The report of `derain evaluate` on the screen."""

import io

import pytest
from rich.console import Console

from derain.cli.evaluate_tables import HINT, MAX_PROBLEMS, show
from derain.evaluate.experiments import Experiment
from derain.evaluate.protocols import PROTOCOLS, Score
from derain.evaluate.provenance import ModelProvenance
from derain.evaluate.run import EvaluationRun
from derain.evaluate.scoring import UNTOUCHED, Evaluation, Result, Row
from derain.evaluate.summary import summarise
from derain.evaluate.tables import all_tables, main_table

SMALL = ModelProvenance("small", 6327, "0123456789abcdef" * 4, "openvino", "cpu, float32")


def row(name, decibels):
    results = [
        Result(f"p{i}", {p: Score(decibels + i, 0.8 + i / 70) for p in PROTOCOLS}, 5.0)
        for i in range(3)
    ]
    return Row(name, results)


def make_run(problems=()):
    rows = [row(UNTOUCHED, 20.03), row("small", 27.41), row("best", 28.77)]
    evaluation = Evaluation("set", list(PROTOCOLS), rows, list(problems), ["a note"])
    experiment = Experiment("set", [], {}, models=[SMALL])
    return EvaluationRun([experiment], [evaluation], [summarise(evaluation)], [])


def printed(run, *, width=160, **options):
    text = io.StringIO()
    show(run, Console(file=text, width=width), **options)
    return text.getvalue()


def test_the_table_of_means_comes_first():
    lines = printed(make_run()).splitlines()
    assert lines[0] == "set: PSNR in dB / SSIM"
    assert lines[2].startswith("untouched")


@pytest.mark.parametrize("title", ["intervals", "differences"])
def test_details_are_not_printed_by_default(title):
    assert f"set: {title}" not in printed(make_run()).replace("95 % ", "")


@pytest.mark.parametrize("title", ["intervals", "differences"])
def test_details_are_printed_on_demand(title):
    assert f"set: {title}" in printed(make_run(), details=True).replace("95 % ", "")


def test_a_hint_names_the_option():
    assert printed(make_run()).splitlines()[-1] == HINT


def test_details_need_no_hint():
    assert HINT not in printed(make_run(), details=True)


def test_the_legend_of_details_is_not_printed_by_default():
    assert "bootstrap" not in printed(make_run())


@pytest.mark.parametrize("details", [False, True])
def test_means_are_printed_once(details):
    words = printed(make_run(), details=details).split()
    means = [cell for line in main_table(make_run().summaries[0]).rows for cell in line[2:6]]
    for psnr in {cell.split()[0] for cell in means}:
        assert words.count(psnr) == 4  # once under each protocol


def test_problems_are_printed():
    assert "Not scored\n- p1: is 8x30\n" in printed(make_run(["p1: is 8x30"]))


def test_long_lists_of_problems_are_shortened():
    text = printed(make_run([f"p{i}: is 8x30" for i in range(MAX_PROBLEMS + 3)]))
    assert "- and 3 more, listed in the report files\n" in text
    assert text.count(": is 8x30") == MAX_PROBLEMS


def test_models_are_printed():
    assert f"Models\n- {SMALL}\n" in printed(make_run())


@pytest.mark.parametrize("width", [20, 80, 100])
def test_narrow_terminals_keep_all_digits(width):
    run = make_run()
    text = printed(run, width=width, details=True)
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    cells = [
        cell for table in all_tables(run.summaries[0]) for line in table.rows for cell in line[1:]
    ]
    assert [cell for cell in cells if cell not in text] == []
