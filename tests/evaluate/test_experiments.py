"""Data sets and outputs as people have them, good and bad, from the folder to the results."""

import hashlib
import math
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from derain import inference
from derain.data.pairs.find import find_pairs
from derain.errors import DataError, DerainError
from derain.evaluate.experiments import experiments
from derain.evaluate.protocols import PROTOCOLS
from derain.evaluate.scoring import (
    UNTOUCHED,
    Sample,
    join_names,
    model_candidate,
    samples_of,
    score_candidates,
)


def run(**asked):
    (experiment,) = experiments(**asked)
    return experiment.run(list(PROTOCOLS))


def rows(evaluation):
    return {row.name: {result.sample: result for result in row.results} for row in evaluation.rows}


@pytest.fixture
def brighter_restorer(monkeypatch, tmp_path):
    """Stand in for `derain.Restorer`: a model that adds 2 levels."""
    onnx_path = tmp_path / "small.onnx"
    onnx_path.write_bytes(b"weights")

    class Brighter:
        def __init__(self, model, **options):
            if model == "nosuch":
                raise DerainError("nosuch: no such model")
            self.model = SimpleNamespace(card={"steps": 6327}, onnx_path=onnx_path)
            self.engine = SimpleNamespace(name="openvino", device=f"cpu, {options['precision']}")

        def __call__(self, image):
            return image + np.float32(2 / 255)

    monkeypatch.setattr(inference, "Restorer", Brighter)


def off_by(levels):
    return 20 * math.log10(255 / levels)


def test_every_pair_is_scored(pairs_folder, scenes):
    assert list(rows(run(data=[str(pairs_folder)]))[UNTOUCHED]) == list(scenes)


def test_the_untouched_input_is_the_first_row(pairs_folder, brighter_restorer):
    assert [row.name for row in run(data=[str(pairs_folder)], models=["small"]).rows] == [
        UNTOUCHED,
        "small",
    ]


def test_a_model_is_given_floats_so_that_its_output_is_not_rounded():
    seen = []
    model_candidate(lambda image: seen.append(image) or image)(
        Sample("a", lambda: None), np.full((12, 12, 3), 51, np.uint8)
    )
    np.testing.assert_allclose(seen[0], np.full((12, 12, 3), 0.2, np.float32))


def test_a_real_model_that_copies_its_input_scores_as_the_untouched_input(networks, pairs_folder):
    found = rows(run(models=[str(networks / "copying.onnx")], data=[str(pairs_folder)]))
    errors = {name: [result.mae for result in results.values()] for name, results in found.items()}
    assert errors["copying"] == errors[UNTOUCHED]


def test_a_model_is_known_by_its_steps_checksum_engine_and_precision(
    pairs_folder, brighter_restorer
):
    (experiment,) = experiments(models=["small"], data=[str(pairs_folder)])
    sha256 = hashlib.sha256(b"weights").hexdigest()
    assert [*map(str, experiment.models)] == [
        f"small: 6,327 steps, sha256 {sha256[:12]}, openvino on cpu, float32"
    ]


def test_the_facts_of_a_real_model_are_asked_of_it(networks, pairs_folder):
    path = networks / "copying.onnx"
    (model,) = experiments(models=[str(path)], data=[str(pairs_folder)])[0].models
    assert (model.name, model.steps, model.sha256) == (
        "copying",
        None,
        hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    assert "float32" in model.device


def test_models_whose_files_share_a_name_are_known_by_their_paths(networks, pairs_folder, tmp_path):
    paths = [tmp_path / run / "weights_exported.onnx" for run in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        shutil.copy(networks / "copying.onnx", path)
    (experiment,) = experiments(models=[str(path) for path in paths], data=[str(pairs_folder)])
    assert [*experiment.candidates] == [str(path) for path in paths]


def test_a_model_may_be_given_a_name(networks, pairs_folder):
    asked = [f"{name}={networks / 'copying.onnx'}" for name in ("A", "B")]
    (experiment,) = experiments(models=asked, data=[str(pairs_folder)])
    assert [model.name for model in experiment.models] == [*experiment.candidates] == ["A", "B"]


def test_a_model_that_is_called_as_the_untouched_input_is_told_of_its_own_option(
    networks, pairs_folder
):
    with pytest.raises(
        DataError, match=r"would be called untouched: give another name, as in `--model NAME=MODEL`"
    ):
        experiments(models=[f"untouched={networks / 'copying.onnx'}"], data=[str(pairs_folder)])


def test_each_data_set_is_reported_by_itself(pairs_folder):
    found = experiments(data=[f"A={pairs_folder}", f"B={pairs_folder}"])
    assert [experiment.data for experiment in found] == ["A", "B"]


@pytest.mark.parametrize("pattern", ["{}", "{}_derained", "norain-{}", "rain-{}", "PReNet_{}_x"])
def test_outputs_are_scored_whatever_their_names(pattern, write_outputs, pairs_folder):
    folder = write_outputs("written", off=5, pattern=pattern)
    results = rows(run(outputs=[f"A={folder}"], clean=pairs_folder / "clean"))["A"]
    assert [result.scores["rgb"].psnr for result in results.values()] == pytest.approx(
        [off_by(5)] * 6
    )


def test_outputs_are_scored_beside_the_rainy_pictures_of_a_data_set(write_outputs, pairs_folder):
    folder = write_outputs("written", off=5)
    assert list(rows(run(outputs=[f"A={folder}"], data=[str(pairs_folder)]))) == [UNTOUCHED, "A"]


def test_only_the_pictures_that_were_named_are_scored(pairs_folder):
    assert list(rows(run(data=[str(pairs_folder)], only=["005", "2"]))[UNTOUCHED]) == ["002", "005"]


def test_a_picture_that_was_named_but_is_not_there_is_an_error(pairs_folder):
    with pytest.raises(DataError, match="no one picture is called 44"):
        run(data=[str(pairs_folder)], only=["005", "44"])


def test_a_name_that_is_given_twice_is_one_picture(pairs_folder):
    assert list(rows(run(data=[str(pairs_folder)], only=["001", "001"]))[UNTOUCHED]) == ["001"]


def test_what_is_wrong_with_pictures_that_were_not_asked_for_is_not_told(pairs_folder):
    (pairs_folder / "rainy" / "002.png").write_bytes(b"broken")
    assert run(data=[str(pairs_folder)], only=["001"]).problems == []


@pytest.mark.parametrize("only", [["002"], ["001", "002"]])
def test_what_is_wrong_with_a_picture_that_was_asked_for_is_told_once(only, pairs_folder):
    (pairs_folder / "rainy" / "002.png").write_bytes(b"broken")
    evaluation = run(data=[str(pairs_folder)], only=only)
    (problem,) = evaluation.problems
    assert problem.startswith(f"{pairs_folder / 'rainy' / '002.png'}: ")
    assert sum(len(row.results) for row in evaluation.rows) == len(only) - 1


def test_a_broken_file_is_one_problem(pairs_folder):
    (pairs_folder / "rainy" / "002.png").write_bytes(b"broken")
    assert len(run(data=[str(pairs_folder)]).problems) == 1


@pytest.mark.parametrize("where", ["loading", "restoring"])
def test_a_picture_too_large_for_the_memory_costs_no_other(where):
    def sample(name):
        def load():
            if where == "loading" and name == "2":
                raise MemoryError
            return np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20, 3), np.uint8)

        return Sample(name, load)

    def candidate(one, rainy):
        if where == "restoring" and one.name == "2":
            raise MemoryError
        return rainy

    evaluation = score_candidates(
        "set", map(sample, "123"), {"model": candidate}, protocols=["rgb"]
    )
    assert list(rows(evaluation)["model"]) == ["1", "3"]
    (problem,) = evaluation.problems
    assert "2: there is not enough memory to score it" in problem


def test_ctrl_c_keeps_what_was_scored():
    def load():
        return np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20, 3), np.uint8)

    def stopping(one, rainy):
        if one.name == "3":
            raise KeyboardInterrupt
        return rainy

    evaluation = score_candidates(
        "set", [Sample(name, load) for name in "1234"], {"model": stopping}, protocols=["rgb"]
    )
    assert {name: list(results) for name, results in rows(evaluation).items()} == {
        UNTOUCHED: ["1", "2"],
        "model": ["1", "2"],
    }
    assert evaluation.was_interrupted
    assert evaluation.problems == ["set: stopped after 2 pictures; the figures are of these alone"]


@pytest.mark.parametrize("patterns", [("{}", "{}_100"), ("{}_2", "{}_2_x2"), ("{}_7", "{}_8")])
def test_outputs_that_are_named_in_two_ways_are_compared(patterns, write_outputs, pairs_folder):
    folders = [
        write_outputs(name, off=off, pattern=p)
        for name, off, p in zip("AB", (3, 5), patterns, strict=True)
    ]
    evaluation = run(outputs=list(map(str, folders)), clean=pairs_folder / "clean")
    assert list(rows(evaluation)["A"]) == list(rows(evaluation)["B"])
    assert len(rows(evaluation)["A"]) == 6


def test_rains_of_one_scene_are_compared_by_their_numbers_whatever_stands_behind(
    write_png, scenes, tmp_path
):
    for name, clean in scenes.items():
        write_png(f"clean/{name}.png", clean)
        for rain in (1, 2):
            write_png(f"A/{name}_{rain}.png", clean + np.uint8(rain))
            write_png(f"B/{name}_{rain}_100.png", clean + np.uint8(rain))
        write_png(f"C/{name}_2.png", clean)
    evaluation = run(outputs=[str(tmp_path / name) for name in "ABC"], clean=tmp_path / "clean")
    by_row = {name: set(results) for name, results in rows(evaluation).items()}
    assert by_row["A"] == by_row["B"]
    assert by_row["C"] == {f"{name}_2" for name in scenes}


def test_what_was_matched_is_said(write_outputs, pairs_folder):
    folder = write_outputs("written", off=5)
    assert (
        "A: 6 pictures matched; the names are the same"
        in run(outputs=[f"A={folder}"], clean=pairs_folder / "clean").notes
    )


def test_an_output_without_a_clean_picture_is_named(write_outputs, write_png, pairs_folder):
    folder = write_outputs("written", off=5)
    write_png("written/777.png", np.zeros((8, 8, 3)))
    assert (
        "A: no clean picture found for 777"
        in run(outputs=[f"A={folder}"], clean=pairs_folder / "clean").notes
    )


def test_a_clean_picture_without_an_output_is_named(write_outputs, pairs_folder):
    folder = write_outputs("written", off=5)
    (folder / "003.png").unlink()
    assert (
        "A: nothing found for the clean 003"
        in run(outputs=[f"A={folder}"], clean=pairs_folder / "clean").notes
    )


def test_of_many_names_the_first_are_listed():
    assert (
        join_names([str(number) for number in range(12)])
        == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    )


def test_one_clean_picture_serves_many_outputs(write_png, scenes, tmp_path):
    write_png("clean/901.png", scenes["001"])
    for part in (1, 2):
        write_png(f"written/901_{part}.png", scenes["001"] + np.uint8(part))
    results = rows(run(outputs=[f"A={tmp_path / 'written'}"], clean=tmp_path / "clean"))["A"]
    assert {name: result.mae for name, result in results.items()} == {"901_1": 1, "901_2": 2}


def test_outputs_of_another_size_are_reported_and_not_resized(
    write_outputs, write_png, pairs_folder
):
    folder = write_outputs("written", off=5)
    write_png("written/002.png", np.zeros((12, 16, 3)))
    evaluation = run(outputs=[f"A={folder}"], clean=pairs_folder / "clean")
    assert [problem.split(";")[0] for problem in evaluation.problems] == [
        "A, 002: is 16x12 but its clean picture is 32x24"
    ]


def test_one_unreadable_output_does_not_stop_the_rest(write_outputs, pairs_folder):
    folder = write_outputs("written", off=5)
    (folder / "002.png").write_bytes(b"not a picture")
    evaluation = run(outputs=[f"A={folder}"], clean=pairs_folder / "clean")
    assert "002" not in rows(evaluation)["A"] and len(rows(evaluation)["A"]) == 5


def test_an_unreadable_output_is_named(write_outputs, pairs_folder):
    folder = write_outputs("written", off=5)
    (folder / "002.png").write_bytes(b"not a picture")
    (problem,) = run(outputs=[f"A={folder}"], clean=pairs_folder / "clean").problems
    assert str(folder / "002.png") in problem


def test_one_unreadable_pair_is_named_and_does_not_stop_the_rest(pairs_folder):
    damaged = pairs_folder / "rainy" / "004.png"
    damaged.write_bytes(damaged.read_bytes()[:200])  # the header is whole, the pixels are not
    evaluation = run(data=[str(pairs_folder)])
    assert len(rows(evaluation)[UNTOUCHED]) == 5 and any(
        "004.png" in problem for problem in evaluation.problems
    )


def test_grey_outputs_are_scored_as_three_equal_channels(write_png, tmp_path, rng):
    grey = rng.integers(0, 200, (24, 32), dtype=np.uint8)
    write_png("clean/1.png", np.stack([grey] * 3, axis=2))
    write_png("written/1.png", grey + 4)
    results = rows(run(outputs=[f"A={tmp_path / 'written'}"], clean=tmp_path / "clean"))["A"]
    assert results["1"].scores["rgb"].psnr == pytest.approx(off_by(4))


def test_sixteen_bit_outputs_keep_their_fractions_under_paper(write_png, tmp_path):
    write_png("clean/1.png", np.full((24, 32), 100))
    (tmp_path / "written").mkdir()
    Image.fromarray(np.full((24, 32), 100 * 257 + 64, np.uint16)).save(tmp_path / "written/1.png")
    results = rows(run(outputs=[f"A={tmp_path / 'written'}"], clean=tmp_path / "clean"))["A"]
    assert results["1"].scores["paper"].psnr == pytest.approx(20 * math.log10(65535 / 64), abs=1e-3)


def test_sixteen_bit_pairs_keep_their_fractions_under_paper(tmp_path):
    for side, value in (("rainy", 25_800), ("clean", 25_700)):  # 100.39 and 100 levels of 255
        (tmp_path / side).mkdir()
        Image.fromarray(np.full((24, 32), value, np.uint16)).save(tmp_path / side / "1.png")
    results = rows(run(data=[str(tmp_path)]))[UNTOUCHED]
    assert results["1"].scores["paper"].psnr == pytest.approx(
        20 * math.log10(65535 / 100), abs=1e-3
    )


def test_sixteen_bit_halves_of_one_file_keep_their_fractions_under_paper(tmp_path):
    both = np.hstack([np.full((24, 32), value, np.uint16) for value in (25_700, 25_800)])
    Image.fromarray(both).save(tmp_path / "1.png")
    results = rows(
        score_candidates("set", samples_of(find_pairs(tmp_path, layout="clean-left")), {})
    )[UNTOUCHED]
    assert results["1"].scores["paper"].psnr == pytest.approx(
        20 * math.log10(65535 / 100), abs=1e-3
    )


def test_outputs_that_show_other_scenes_are_said_to(tmp_path, write_png, rng):
    """Numbered from 1 by their program, where the clean pictures have numbers of their own."""
    scenes = {
        name: np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((8, 8, 1)))
        for name in ("1", "2", "5")
    }
    for name, scene in scenes.items():
        write_png(f"clean/{name}.png", scene)
    for name, scene in (("1", scenes["1"]), ("2", scenes["5"])):
        write_png(f"written/{name}.png", scene)
    evaluation = run(outputs=[f"A={tmp_path / 'written'}"], clean=tmp_path / "clean")
    (note,) = [note for note in evaluation.notes if "look like" in note]
    assert note.startswith("A: 2 do not look like their clean pictures")


@pytest.mark.parametrize("suffix", [".ppm", ".PPM"])
def test_pairs_in_ppm_are_scored(suffix, pairs_folder):
    Image.open(pairs_folder / "rainy" / "003.png").save(pairs_folder / "rainy" / f"003{suffix}")
    (pairs_folder / "rainy" / "003.png").unlink()
    assert "003" in rows(run(data=[str(pairs_folder)]))[UNTOUCHED]


def test_an_opaque_alpha_channel_does_not_matter(write_png, write_outputs, scenes, pairs_folder):
    folder = write_outputs("written", off=5)
    write_png("written/002.png", np.dstack([scenes["002"] + 5, np.full((24, 32), 255)]))
    results = rows(run(outputs=[f"A={folder}"], clean=pairs_folder / "clean"))["A"]
    assert results["002"].scores["rgb"].psnr == pytest.approx(off_by(5))


def test_transparent_pixels_are_reported_and_not_scored(
    write_png, write_outputs, scenes, pairs_folder
):
    folder = write_outputs("written", off=5)
    write_png("written/002.png", np.dstack([scenes["002"], np.full((24, 32), 128)]))
    (problem,) = run(outputs=[f"A={folder}"], clean=pairs_folder / "clean").problems
    assert "transparent" in problem


def test_pictures_smaller_than_the_window_of_ssim_are_reported(write_png, tmp_path):
    for folder in ("clean", "written"):
        write_png(f"{folder}/1.png", np.zeros((8, 30, 3)))
    (problem,) = run(outputs=[f"A={tmp_path / 'written'}"], clean=tmp_path / "clean").problems
    assert "30x8, smaller than the 11x11 window" in problem


def test_a_network_that_returns_nan_is_reported():
    sample = Sample("a", lambda: (np.zeros((20, 20, 3), np.uint8),) * 2)
    (problem,) = score_candidates(
        "set", [sample], {"diverged": model_candidate(lambda image: image * np.nan)}
    ).problems
    assert problem.startswith("diverged, a: holds values that are not numbers")


def test_no_pairs_are_an_error(tmp_path):
    with pytest.raises(DataError):
        experiments(data=[str(tmp_path)])


def test_outputs_none_of_whose_names_fit_are_an_error(write_png, tmp_path):
    write_png("clean/cat.png", np.zeros((20, 20, 3)))
    write_png("written/dog.png", np.zeros((20, 20, 3)))
    with pytest.raises(
        DataError,
        match=r"none of its 1 names \(dog\) fits any of the 1 names of the clean pictures \(cat\)",
    ):
        experiments(outputs=[str(tmp_path / "written")], clean=tmp_path / "clean")


def test_inputs_among_the_outputs_are_an_error_that_says_how_to_name_the_outputs(
    write_outputs, pairs_folder
):
    for pattern in ("{}_input", "{}_restored"):
        folder = write_outputs("mixed", off=5, pattern=pattern)
    with pytest.raises(
        DataError, match=r"001_input, 001_restored fit 001\); .*NAME=DIR/\*_fake_B.png"
    ):
        experiments(outputs=[f"A={folder}"], clean=pairs_folder / "clean")


def test_outputs_among_inputs_are_named_by_a_pattern(write_outputs, pairs_folder):
    for pattern, off in (("{}_input", 20), ("{}_restored", 5)):
        folder = write_outputs("mixed", off=off, pattern=pattern)
    results = rows(run(outputs=[f"A={folder}/*_restored.png"], clean=pairs_folder / "clean"))["A"]
    assert [result.mae for result in results.values()] == [5] * 6


def test_an_unknown_model_is_an_error(pairs_folder, brighter_restorer):
    with pytest.raises(DerainError, match="no such model"):
        experiments(models=["nosuch"], data=[str(pairs_folder)])


@pytest.mark.parametrize(
    ("asked", "fact"),
    [
        ({}, "nothing to evaluate on"),
        ({"models": ["small"]}, "nothing to evaluate on"),
        ({"outputs": ["x"]}, "nothing to evaluate on"),
        ({"clean": "set/clean"}, "without outputs"),
        ({"clean": "set/clean", "models": ["small"]}, "no rainy pictures"),
        (
            {"clean": "set/clean", "data": ["set"], "outputs": ["x"]},
            "brings its own clean pictures",
        ),
        ({"clean": "set/clean", "photos": ["set"], "outputs": ["x"]}, "photos have none"),
        ({"rain_free": ["set"]}, "with nothing to score"),
        ({"data": ["set", "other"], "outputs": ["x"]}, "belong to one data set"),
        ({"data": ["set"], "photos": ["other"], "outputs": ["x"]}, "belong to one data set"),
    ],
)
def test_what_does_not_go_together_is_refused_before_any_work(asked, fact):
    with pytest.raises(DataError, match=fact):
        experiments(**asked)


def test_two_folders_of_one_name_go_by_their_paths(write_outputs, pairs_folder):
    first, second = write_outputs("a/results", off=1), write_outputs("b/results", off=2)
    found = rows(run(outputs=[str(first), str(second)], clean=pairs_folder / "clean"))
    assert list(found) == [str(first), str(second)]


def test_one_name_given_twice_is_refused(write_outputs, pairs_folder):
    folder = write_outputs("results", off=1)
    with pytest.raises(DataError, match="A is the name of another one too"):
        experiments(outputs=[f"A={folder}", f"A={folder}"], clean=pairs_folder / "clean")


@pytest.mark.parametrize("against", ["clean", "data"])
def test_the_name_of_the_untouched_input_is_taken(against, write_outputs, pairs_folder):
    given = (
        {"clean": pairs_folder / "clean"} if against == "clean" else {"data": [str(pairs_folder)]}
    )
    with pytest.raises(DataError, match="two rows of the table would be called untouched"):
        experiments(outputs=[f"untouched={write_outputs('results', off=1)}"], **given)


def test_a_model_and_a_folder_of_one_name_are_refused(
    write_outputs, pairs_folder, brighter_restorer
):
    folder = write_outputs("results", off=1)
    with pytest.raises(DataError, match="two rows of the table would be called small"):
        experiments(models=["small"], outputs=[f"small={folder}"], data=[str(pairs_folder)])


def test_home_is_understood_behind_a_name(pairs_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(pairs_folder.parent))
    monkeypatch.setenv("USERPROFILE", str(pairs_folder.parent))
    assert len(rows(run(data=["A=~/set"]))[UNTOUCHED]) == 6


def test_a_folder_with_an_equals_sign_in_its_name_is_a_folder(write_outputs, pairs_folder):
    folder = write_outputs("lr=2e-4", off=1)
    assert list(rows(run(outputs=[str(folder)], clean=pairs_folder / "clean"))) == ["lr=2e-4"]


@pytest.fixture
def photos(tmp_path, write_png, rng):
    """Three photos of noise without a clean side; `soft` has the same names, its noise five times weaker."""
    for name in ("a", "b", "c"):
        noise = rng.normal(0, 40, (200, 200, 3))
        write_png(f"photos/{name}.png", np.clip(128 + noise, 0, 255))
        write_png(f"soft/{name}.png", np.clip(128 + noise / 5, 0, 255))
    return tmp_path / "photos"


def test_photos_without_clean_pictures_have_niqe_and_nothing_else(photos):
    (row,) = run(photos=[str(photos)]).rows
    assert [(result.scores, math.isnan(result.mae), result.niqe > 0) for result in row.results] == [
        ({}, True, True)
    ] * 3


def test_photos_are_scored_beside_what_programs_made_of_them(photos):
    found = rows(run(photos=[str(photos)], outputs=[f"A={photos.parent / 'soft'}"]))
    assert [set(results) for results in found.values()] == [{"a", "b", "c"}] * 2 and list(
        found
    ) == [UNTOUCHED, "A"]


def test_a_model_restores_photos(photos, brighter_restorer):
    assert len(rows(run(photos=[str(photos)], models=["small"]))["small"]) == 3


@pytest.mark.parametrize("suffix", ["avif", "gif", "jfif", "ppm"])
def test_photos_of_every_kind_are_scored(suffix, photos):
    with Image.open(photos / "a.png") as image:
        image.save(photos / f"a.{suffix}", format="JPEG" if suffix == "jfif" else None)
    (photos / "a.png").unlink()
    (row,) = run(photos=[str(photos)]).rows
    assert sorted(result.sample for result in row.results) == ["a", "b", "c"]


def test_rain_free_pictures_are_compared_with_themselves(photos, brighter_restorer):
    (row,) = run(rain_free=[str(photos)], models=["small"]).rows
    assert {result.sample: round(result.mae, 1) for result in row.results} == {
        "a": 2.0,
        "b": 2.0,
        "c": 2.0,
    }


def test_rain_free_pictures_are_compared_with_what_programs_made_of_them(photos):
    (row,) = run(rain_free=[str(photos)], outputs=[f"A={photos.parent / 'soft'}"]).rows
    assert row.name == "A" and row.results[0].mae > 0


def test_a_photo_too_small_for_niqe_is_reported(photos, write_png):
    write_png("photos/d.png", np.zeros((100, 300, 3)))
    (problem,) = run(photos=[str(photos)]).problems
    assert problem.startswith("untouched, d: is 300x100, smaller than the 192x192 of NIQE")


def test_an_unreadable_photo_does_not_stop_the_rest(photos):
    (photos / "b.png").write_bytes(b"no picture")
    evaluation = run(photos=[str(photos)])
    assert (
        [str(photos / "b.png") in problem for problem in evaluation.problems],
        len(evaluation.rows[0].results),
    ) == ([True], 2)


def test_pairs_too_small_for_niqe_are_scored_all_the_same(pairs_folder):
    assert all(
        math.isnan(result.niqe) and result.scores
        for result in rows(run(data=[str(pairs_folder)]))[UNTOUCHED].values()
    )


def test_pairs_and_photos_can_be_asked_for_together(pairs_folder, photos):
    found = experiments(data=[str(pairs_folder)], photos=[f"real={photos}"])
    assert [(experiment.data, experiment.has_clean) for experiment in found] == [
        ("set", True),
        ("real", False),
    ]
