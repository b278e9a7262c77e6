"""Summaries and tables of known results."""

import math

import pytest

from derain.evaluate.protocols import Score
from derain.evaluate.scoring import UNTOUCHED, Evaluation, Result, Row
from derain.evaluate.summary import summarise
from derain.evaluate.tables import all_tables, detail_tables, differences, means


def photos(name, figures):
    return Row(name, [Result(f"p{i}", {}, math.nan, figure) for i, figure in enumerate(figures)])


def row(name, decibels, similarity=0.9):
    results = [
        Result(f"p{i}", {"rgb": Score(value, similarity)}, 5.0) for i, value in enumerate(decibels)
    ]
    return Row(name, results)


def summary_of(*rows):
    return summarise(Evaluation("set", ["rgb"], list(rows)))


def test_rows_are_ranked_after_the_untouched_input():
    summary = summary_of(
        row(UNTOUCHED, [10] * 5), row("worse", [20] * 5), row("none", []), row("better", [30] * 5)
    )
    assert [r.name for r in summary.rows] == [UNTOUCHED, "better", "worse", "none"]


def test_perfect_pictures_count_in_the_ranking():
    summary = summary_of(
        row(UNTOUCHED, [10] * 5), row("good", [30] * 5), row("perfect", [math.inf] * 4 + [29])
    )
    assert [r.name for r in summary.rows] == [UNTOUCHED, "perfect", "good"]
    line = next(line for line in differences(summary).rows if line[0] == "perfect - good")
    assert line[1] == "1 in PSNR, 5 in SSIM"


def test_psnr_is_the_mean_over_pictures():
    assert summary_of(row("a", [20, 30, 40])).rows[0].scores["rgb"].psnr.value == pytest.approx(30)


def test_ssim_interval_ends_at_1():
    results = [
        Result(f"p{i}", {"rgb": Score(20, similarity)}, 5.0)
        for i, similarity in enumerate((0.2, 0.99, 1.0))
    ]
    assert summary_of(Row("a", results)).rows[0].scores["rgb"].ssim.high == 1


def test_one_picture_has_no_interval_of_ssim():
    assert math.isnan(summary_of(row("a", [20])).rows[0].scores["rgb"].ssim.high)


def test_identical_pictures_are_counted():
    assert summary_of(row("a", [20, math.inf])).rows[0].scores["rgb"].identical == 1


def test_all_pairs_are_compared():
    summary = summary_of(*(row(name, [20, 21, 22, 23, 24]) for name in "abc"))
    pairs = {(d.comparison.first, d.comparison.second) for d in summary.differences}
    assert pairs == {("a", "b"), ("a", "c"), ("b", "c")}


def test_the_gain_is_a_difference():
    comparison = summary_of(row(UNTOUCHED, [40, 41]), row("a", [20, 22])).differences[0].comparison
    assert [comparison.first, comparison.second] == ["a", UNTOUCHED]
    assert comparison.difference.value == pytest.approx(-19.5)


def test_comparisons_use_shared_pictures():
    summary = summary_of(row("a", [30, 31, 32, 33]), row("b", [29, 30]))
    assert summary.differences[0].comparison.pictures == 2


def test_rows_over_different_pictures_get_a_note():
    assert any(
        "different pictures" in note
        for note in summary_of(row("a", [30, 31]), row("b", [29])).notes
    )


def test_rows_over_the_same_pictures_get_no_note():
    assert summary_of(row("a", [30, 31]), row("b", [29, 30])).notes == []


def test_p_is_corrected_for_the_number_of_pairs():
    scattered = [30, 31.5, 29.7, 31, 30.2, 30.9, 29.9]
    alone = summary_of(row("a", scattered), row("b", [30] * 7)).differences[0].comparison
    among_three = (
        summary_of(row("a", scattered), row("b", [30] * 7), row("c", [30] * 7))
        .differences[0]
        .comparison
    )
    assert [among_three.first, among_three.second] == ["a", "b"]
    assert among_three.p > alone.p


def test_a_clear_difference_names_the_better_one():
    line = differences(
        summary_of(row("a", [30, 31, 32, 33, 34, 35]), row("b", [29, 30.1, 30.9, 32.2, 33, 34.1]))
    ).rows[0]
    assert line[5] == "a"


def test_a_doubtful_difference_is_noise():
    line = differences(summary_of(row("a", [30, 31, 32, 33]), row("b", [31, 30, 33.1, 32]))).rows[0]
    assert line[5] == "noise?"


def test_means_have_psnr_and_ssim():
    table = means(summary_of(row("a", [20, 30])))
    assert table.rows == [["a", "2", "25.00 / 0.9000", "5.00", "–"]]


def test_a_candidate_without_pictures_has_dashes():
    assert means(summary_of(row("a", []))).rows == [["a", "0", "– / –", "–", "–"]]


def test_identical_candidates_are_labelled():
    table = means(summary_of(row("a", [math.inf, math.inf], 1.0)))
    assert table.rows[0][2] == "identical / 1.0000"


def test_no_figure_of_the_means_is_repeated():
    results = [Result(f"p{i}", {"rgb": Score(20 + 3.1 * i, 0.7 + i / 11)}, 5.0) for i in range(3)]
    summary = summary_of(Row("a", results), row(UNTOUCHED, [21.0, 33.0, 42.2]))
    details = " ".join(" ".join(line) for table in detail_tables(summary) for line in table.rows)
    figures = means(summary).rows[1][2].split(" / ")
    assert set(figures).isdisjoint(details.split())


def test_markdown_escapes_bars():
    assert "| a\\|b | 1 |" in means(summary_of(row("a|b", [20]))).markdown()


@pytest.fixture
def of_photos():
    """Summary of eight photos; `a` has the lower NIQE on each."""
    lower, higher = (
        [3.0, 3.5, 4.0, 4.5, 3.2, 3.8, 4.1, 3.9],
        [4.0, 4.4, 5.1, 5.5, 4.3, 4.7, 5.0, 5.0],
    )
    return summarise(
        Evaluation(
            "set", [], [photos(UNTOUCHED, [9.0] * 8), photos("b", higher), photos("a", lower)]
        )
    )


def test_photos_are_ranked_by_niqe(of_photos):
    assert [row.name for row in of_photos.rows] == [UNTOUCHED, "a", "b"]


def test_niqe_interval_is_over_scenes():
    def rows(scene):
        return Row(
            "a", [Result(f"p{i}", {}, math.nan, float(i // 4), scene=scene(i)) for i in range(40)]
        )

    by_scene, by_picture = (
        summarise(Evaluation("set", [], [rows(scene)])).rows[0].niqe
        for scene in (lambda i: f"s{i // 4}", str)
    )
    assert by_scene.value == by_picture.value
    assert by_scene.high - by_scene.low > 1.5 * (by_picture.high - by_picture.low)


def test_lower_niqe_is_better(of_photos):
    assert [d.comparison.better for d in of_photos.differences] == ["a", "a", "b"]


def test_photos_have_niqe_tables_only(of_photos):
    assert [table.columns[2] for table in all_tables(of_photos)] == ["NIQE", "NIQE"]


def test_means_have_niqe():
    small_one = Result("small", {"rgb": Score(20, 0.9)}, 5.0)
    results = [Result("p", {"rgb": Score(20, 0.9)}, 5.0, niqe) for niqe in (3.0, 4.0)]
    assert means(summary_of(Row("a", [*results, small_one]))).rows[0][-1] == "3.50"


def test_shared_scenes_get_a_note():
    results = [
        Result(f"{i}", {"rgb": Score(20 + i, 0.9)}, 5.0, scene=str(i // 2)) for i in range(6)
    ]
    summary = summarise(Evaluation("set", ["rgb"], [Row("a", results)]))
    assert summary.notes == ["The 6 pictures show 3 scenes; intervals and p are over scenes."]
