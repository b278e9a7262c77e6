"""The fit of gain and offset before scoring."""

import numpy as np
import pytest

from derain.errors import DataError
from derain.evaluate.experiments import experiments
from derain.evaluate.light import NOTE, fit_light
from derain.evaluate.paper_table2 import measured_cells
from derain.evaluate.run import evaluate
from derain.evaluate.scoring import UNTOUCHED, Sample, score_candidates


@pytest.fixture
def clean(rng):
    return rng.integers(40, 200, (24, 32, 3), dtype=np.uint8)


def test_a_change_of_light_is_undone(clean):
    x = clean / 255 * [0.5, 0.8, 1.1] + [0.1, 0.0, -0.05]
    np.testing.assert_allclose(fit_light(x, clean), clean / 255, atol=1e-12)


def test_the_fit_equals_numpy_least_squares(clean, rng):
    x = np.clip(clean / 255 + rng.normal(0, 0.1, clean.shape), 0, 1)
    fitted = fit_light(x, clean)
    for c in range(3):
        columns = np.stack([x[..., c].ravel(), np.ones(x[..., c].size)], axis=1)
        solution = np.linalg.lstsq(columns, clean[..., c].ravel() / 255, rcond=None)[0]
        np.testing.assert_allclose(fitted[..., c].ravel(), columns @ solution, atol=1e-12)


def test_uint16_counts_over_its_whole_range(clean):
    wide = clean.astype(np.uint16) * 257
    np.testing.assert_allclose(fit_light(wide // 2, clean), clean / 255, atol=1e-4)


def test_a_flat_picture_gets_the_mean_of_the_clean_one(clean):
    fitted = fit_light(np.full(clean.shape, 7, np.uint8), clean)
    np.testing.assert_allclose(fitted, np.broadcast_to(clean.mean(axis=(0, 1)) / 255, clean.shape))


def test_grey_is_fitted(clean):
    grey = clean[..., 0]
    np.testing.assert_allclose(fit_light(grey // 2 * 2, grey // 2 * 2), grey // 2 * 2 / 255)


def score_darker(clean, **options):
    """Score a picture whose rainy side is the clean one at 60 % of its light."""
    dark = (clean * 0.6).round().astype(np.uint8)
    sample = Sample("p", lambda: (dark, clean))
    (row,) = score_candidates("set", [sample], {}, protocols=["paper"], **options).rows
    return row.results[0]


def test_scores_are_taken_after_the_fit(clean):
    assert score_darker(clean).scores["paper"].psnr < 20
    assert score_darker(clean, fits_light=True).scores["paper"].psnr > 45


def test_mae_is_taken_after_the_fit(clean):
    assert score_darker(clean, fits_light=True).mae < 1 < score_darker(clean).mae


def test_the_data_set_is_marked(pairs_folder):
    (experiment,) = experiments(data=[f"A={pairs_folder}"], fit_light=True)
    assert experiment.data == "A, light fitted"
    assert NOTE in experiment.notes


def test_the_untouched_input_is_fitted_too(pairs_folder):
    def psnr(**options):
        (experiment,) = experiments(data=[str(pairs_folder)], **options)
        row = experiment.run(["rgb"]).rows[0]
        assert row.name == UNTOUCHED
        return row.results[0].scores["rgb"].psnr

    assert psnr(fit_light=True) > psnr() + 3  # the rain raises the mean


def test_outputs_against_clean_pictures_are_fitted(write_outputs, pairs_folder):
    outputs = [f"A={write_outputs('written', off=5)}"]
    (experiment,) = experiments(outputs=outputs, clean=pairs_folder / "clean", fit_light=True)
    assert [result.mae for result in experiment.run(["rgb"]).rows[0].results] == [0] * 6


def test_photos_are_not_fitted(pairs_folder, write_png, rng, tmp_path):
    write_png("photos/a.png", rng.integers(0, 255, (200, 200, 3)))
    planned = experiments(
        data=[str(pairs_folder)], photos=[str(tmp_path / "photos")], fit_light=True
    )
    assert [experiment.fits_light for experiment in planned] == [True, False]


def test_table_2_ignores_fitted_figures(pairs_folder):
    run = evaluate(experiments(data=[f"Rain12={pairs_folder}"], fit_light=True), ["paper"])
    assert measured_cells(run.summaries) == {}


def test_the_fit_needs_clean_pictures(tmp_path):
    with pytest.raises(DataError, match="`--fit-light` was given without clean pictures"):
        experiments(photos=[str(tmp_path)], fit_light=True)
