"""Data sets and outputs of all kinds, good and bad, from the folder to the results."""

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
    pair_samples,
    score_candidates,
)


def run(**arguments):
    (experiment,) = experiments(**arguments)
    return experiment.run(list(PROTOCOLS))


def rows(evaluation):
    return {row.name: {result.sample: result for result in row.results} for row in evaluation.rows}


@pytest.fixture
def brighter_restorer(monkeypatch, tmp_path):
    """A model that adds 2 levels, in place of `derain.Restorer`."""
    onnx_path = tmp_path / "fast.onnx"
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


def test_the_untouched_input_comes_first(pairs_folder, brighter_restorer):
    assert [row.name for row in run(data=[str(pairs_folder)], models=["fast"]).rows] == [
        UNTOUCHED,
        "fast",
    ]


def test_models_receive_floats():
    seen = []
    model_candidate(lambda image: seen.append(image) or image)(
        Sample("a", lambda: None), np.full((12, 12, 3), 51, np.uint8)
    )
    np.testing.assert_allclose(seen[0], np.full((12, 12, 3), 0.2, np.float32))


def test_a_copying_model_scores_like_the_untouched_input(networks, pairs_folder):
    by_row = rows(run(models=[str(networks / "copying.onnx")], data=[str(pairs_folder)]))
    errors = {name: [result.mae for result in results.values()] for name, results in by_row.items()}
    assert errors["copying"] == errors[UNTOUCHED]


def test_provenance_of_a_model_as_text(pairs_folder, brighter_restorer):
    (experiment,) = experiments(models=["fast"], data=[str(pairs_folder)])
    sha256 = hashlib.sha256(b"weights").hexdigest()
    assert [*map(str, experiment.models)] == [
        f"fast: 6,327 steps, sha256 {sha256[:12]}, openvino on cpu, float32"
    ]


def test_provenance_of_a_real_model(networks, pairs_folder):
    path = networks / "copying.onnx"
    (model,) = experiments(models=[str(path)], data=[str(pairs_folder)])[0].models
    assert model.name == "copying"
    assert model.steps is None
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "float32" in model.device


def test_models_with_equal_names_are_named_by_path(networks, pairs_folder, tmp_path):
    paths = [tmp_path / run / "weights_exported.onnx" for run in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        shutil.copy(networks / "copying.onnx", path)
    (experiment,) = experiments(models=[str(path) for path in paths], data=[str(pairs_folder)])
    assert [*experiment.candidates] == [str(path) for path in paths]


def test_a_model_can_be_named(networks, pairs_folder):
    models = [f"{name}={networks / 'copying.onnx'}" for name in ("A", "B")]
    (experiment,) = experiments(models=models, data=[str(pairs_folder)])
    assert [model.name for model in experiment.models] == [*experiment.candidates] == ["A", "B"]


def test_a_model_cannot_be_named_untouched(networks, pairs_folder):
    with pytest.raises(
        DataError, match=r"the name untouched; choose another one with `--model NAME=MODEL`"
    ):
        experiments(models=[f"untouched={networks / 'copying.onnx'}"], data=[str(pairs_folder)])


def test_data_sets_are_reported_separately(pairs_folder):
    planned = experiments(data=[f"A={pairs_folder}", f"B={pairs_folder}"])
    assert [experiment.data for experiment in planned] == ["A", "B"]


@pytest.mark.parametrize("pattern", ["{}", "{}_derained", "norain-{}", "rain-{}", "PReNet_{}_x"])
def test_outputs_with_common_names_are_scored(pattern, write_outputs, pairs_folder):
    folder = write_outputs("written", off=5, pattern=pattern)
    results = rows(run(outputs=[f"A={folder}"], clean=pairs_folder / "clean"))["A"]
    assert [result.scores["rgb"].psnr for result in results.values()] == pytest.approx(
        [off_by(5)] * 6
    )


def test_outputs_are_scored_with_the_untouched_input(write_outputs, pairs_folder):
    folder = write_outputs("written", off=5)
    assert list(rows(run(outputs=[f"A={folder}"], data=[str(pairs_folder)]))) == [UNTOUCHED, "A"]


def test_only_selects_pictures(pairs_folder):
    assert list(rows(run(data=[str(pairs_folder)], only=["005", "2"]))[UNTOUCHED]) == ["002", "005"]


def test_only_rejects_unknown_names(pairs_folder):
    with pytest.raises(DataError, match="44 does not name exactly one picture"):
        run(data=[str(pairs_folder)], only=["005", "44"])


def test_only_ignores_repeated_names(pairs_folder):
    assert list(rows(run(data=[str(pairs_folder)], only=["001", "001"]))[UNTOUCHED]) == ["001"]


def test_problems_of_other_pictures_are_not_reported(pairs_folder):
    (pairs_folder / "rainy" / "002.png").write_bytes(b"broken")
    assert run(data=[str(pairs_folder)], only=["001"]).problems == []


@pytest.mark.parametrize("only", [["002"], ["001", "002"]])
def test_a_problem_of_a_selected_picture_is_reported_once(only, pairs_folder):
    (pairs_folder / "rainy" / "002.png").write_bytes(b"broken")
    evaluation = run(data=[str(pairs_folder)], only=only)
    (problem,) = evaluation.problems
    assert problem.startswith(f"{pairs_folder / 'rainy' / '002.png'}: ")
    assert sum(len(row.results) for row in evaluation.rows) == len(only) - 1


def test_both_problems_of_a_selected_name_are_reported(pairs_folder, write_png):
    for name in ("rainy/x.png", "clean/x.png", "clean/x.bmp"):
        write_png(f"set/{name}", np.zeros((20, 20, 3)))
    problems = run(data=[str(pairs_folder)], only=["001", "x"]).problems
    assert [problem.split()[1] for problem in problems] == ["matches", "no", "no"]


def test_outputs_inside_the_data_are_not_reported(write_outputs, pairs_folder):
    outputs = write_outputs("set/mine", off=3)
    assert run(data=[str(pairs_folder)], outputs=[str(outputs)]).problems == []


def test_problems_of_a_side_that_is_scored_as_outputs_stay(write_png, pairs_folder):
    write_png("set/rainy/alone.png", np.zeros((20, 20, 3)))
    outputs = [f"same={pairs_folder / 'rainy'}"]
    (problem,) = run(data=[str(pairs_folder)], outputs=outputs).problems
    assert "alone.png: no clean picture has its name" in problem


def test_copies_of_a_clean_picture_are_one_scene(scenes, write_png, tmp_path):
    for name, clean in list(scenes.items())[:2]:
        for part in "12":
            write_png(f"set/target/{name}_{part}.png", clean)
            write_png(f"set/input/{name}_{part}.png", clean + np.uint8(int(part)))
    (row,) = run(data=[str(tmp_path / "set")]).rows
    assert [result.scene == row.results[0].scene for result in row.results] == [1, 1, 0, 0]


def test_a_broken_file_is_one_problem(pairs_folder):
    (pairs_folder / "rainy" / "002.png").write_bytes(b"broken")
    assert len(run(data=[str(pairs_folder)]).problems) == 1


@pytest.mark.parametrize("where", ["loading", "restoring"])
def test_out_of_memory_skips_one_picture(where):
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
    assert "2: not enough memory to score it" in problem


def test_ctrl_c_keeps_scored_pictures():
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
    assert evaluation.problems == ["set: stopped after 2 pictures; the figures cover only these"]


@pytest.mark.parametrize("patterns", [("{}", "{}_100"), ("{}_2", "{}_2_x2"), ("{}_7", "{}_8")])
def test_outputs_with_different_names_are_compared(patterns, write_outputs, pairs_folder):
    folders = [
        write_outputs(name, off=off, pattern=p)
        for name, off, p in zip("AB", (3, 5), patterns, strict=True)
    ]
    evaluation = run(outputs=list(map(str, folders)), clean=pairs_folder / "clean")
    assert list(rows(evaluation)["A"]) == list(rows(evaluation)["B"])
    assert len(rows(evaluation)["A"]) == 6


def test_parts_are_compared_by_number(write_png, scenes, tmp_path):
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


def test_matches_are_noted(write_outputs, pairs_folder):
    folder = write_outputs("written", off=5)
    assert (
        "A: 6 pictures matched; the names are the same"
        in run(outputs=[f"A={folder}"], clean=pairs_folder / "clean").notes
    )


def test_outputs_without_clean_picture_are_noted(write_outputs, write_png, pairs_folder):
    folder = write_outputs("written", off=5)
    write_png("written/777.png", np.zeros((8, 8, 3)))
    assert (
        "A: no clean picture for 777"
        in run(outputs=[f"A={folder}"], clean=pairs_folder / "clean").notes
    )


def test_clean_pictures_without_output_are_noted(write_outputs, pairs_folder):
    folder = write_outputs("written", off=5)
    (folder / "003.png").unlink()
    assert (
        "A: no output for 003" in run(outputs=[f"A={folder}"], clean=pairs_folder / "clean").notes
    )


def test_long_lists_of_names_are_shortened():
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


def test_outputs_of_another_size_are_rejected(write_outputs, write_png, pairs_folder):
    folder = write_outputs("written", off=5)
    write_png("written/002.png", np.zeros((12, 16, 3)))
    evaluation = run(outputs=[f"A={folder}"], clean=pairs_folder / "clean")
    assert [problem.split(";")[0] for problem in evaluation.problems] == [
        "002: is 16x12, but its clean picture is 32x24"
    ]


def test_an_unreadable_output_skips_one_picture(write_outputs, pairs_folder):
    folder = write_outputs("written", off=5)
    (folder / "002.png").write_bytes(b"not a picture")
    evaluation = run(outputs=[f"A={folder}"], clean=pairs_folder / "clean")
    assert sorted(rows(evaluation)["A"]) == ["001", "003", "004", "005", "006"]


def test_an_unreadable_output_is_reported(write_outputs, pairs_folder):
    folder = write_outputs("written", off=5)
    (folder / "002.png").write_bytes(b"not a picture")
    (problem,) = run(outputs=[f"A={folder}"], clean=pairs_folder / "clean").problems
    assert str(folder / "002.png") in problem


def test_an_unreadable_pair_is_reported(pairs_folder):
    damaged = pairs_folder / "rainy" / "004.png"
    damaged.write_bytes(damaged.read_bytes()[:200])  # the header is whole, the pixels are not
    evaluation = run(data=[str(pairs_folder)])
    assert len(rows(evaluation)[UNTOUCHED]) == 5
    (problem,) = evaluation.problems
    assert "004.png" in problem


def test_grey_outputs_are_scored(write_png, tmp_path, rng):
    grey = rng.integers(0, 200, (24, 32), dtype=np.uint8)
    write_png("clean/1.png", np.stack([grey] * 3, axis=2))
    write_png("written/1.png", grey + 4)
    results = rows(run(outputs=[f"A={tmp_path / 'written'}"], clean=tmp_path / "clean"))["A"]
    assert results["1"].scores["rgb"].psnr == pytest.approx(off_by(4))


def test_uint16_outputs_keep_fractions_under_paper(write_png, tmp_path):
    write_png("clean/1.png", np.full((24, 32), 100))
    (tmp_path / "written").mkdir()
    Image.fromarray(np.full((24, 32), 100 * 257 + 64, np.uint16)).save(tmp_path / "written/1.png")
    results = rows(run(outputs=[f"A={tmp_path / 'written'}"], clean=tmp_path / "clean"))["A"]
    assert results["1"].scores["paper"].psnr == pytest.approx(20 * math.log10(65535 / 64), abs=1e-3)


def test_uint16_pairs_keep_fractions_under_paper(tmp_path):
    for side, value in (("rainy", 25_800), ("clean", 25_700)):  # 100.39 and 100 levels of 255
        (tmp_path / side).mkdir()
        Image.fromarray(np.full((24, 32), value, np.uint16)).save(tmp_path / side / "1.png")
    results = rows(run(data=[str(tmp_path)]))[UNTOUCHED]
    assert results["1"].scores["paper"].psnr == pytest.approx(
        20 * math.log10(65535 / 100), abs=1e-3
    )


def test_uint16_halves_keep_fractions_under_paper(tmp_path):
    both = np.hstack([np.full((24, 32), value, np.uint16) for value in (25_700, 25_800)])
    Image.fromarray(both).save(tmp_path / "1.png")
    results = rows(
        score_candidates("set", pair_samples(find_pairs(tmp_path, layout="clean-left")), {})
    )[UNTOUCHED]
    assert results["1"].scores["paper"].psnr == pytest.approx(
        20 * math.log10(65535 / 100), abs=1e-3
    )


def test_outputs_of_other_scenes_get_a_note(tmp_path, write_png, rng):
    """The program numbers from 1, but the clean pictures have other numbers."""
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


def test_opaque_alpha_is_ignored(write_png, write_outputs, scenes, pairs_folder):
    folder = write_outputs("written", off=5)
    write_png("written/002.png", np.dstack([scenes["002"] + 5, np.full((24, 32), 255)]))
    results = rows(run(outputs=[f"A={folder}"], clean=pairs_folder / "clean"))["A"]
    assert results["002"].scores["rgb"].psnr == pytest.approx(off_by(5))


def test_transparent_pixels_are_rejected(write_png, write_outputs, scenes, pairs_folder):
    folder = write_outputs("written", off=5)
    write_png("written/002.png", np.dstack([scenes["002"], np.full((24, 32), 128)]))
    (problem,) = run(outputs=[f"A={folder}"], clean=pairs_folder / "clean").problems
    assert "transparent" in problem


def test_pictures_below_the_ssim_window_are_rejected(write_png, tmp_path):
    for folder in ("clean", "written"):
        write_png(f"{folder}/1.png", np.zeros((8, 30, 3)))
    (problem,) = run(outputs=[f"A={tmp_path / 'written'}"], clean=tmp_path / "clean").problems
    assert "30x8, smaller than the 11x11 window" in problem


def test_nan_outputs_are_rejected():
    sample = Sample("a", lambda: (np.zeros((20, 20, 3), np.uint8),) * 2)
    (problem,) = score_candidates(
        "set", [sample], {"diverged": model_candidate(lambda image: image * np.nan)}
    ).problems
    assert problem.startswith("diverged, a: contains NaN or infinity")


def test_no_pairs_are_an_error(tmp_path):
    with pytest.raises(DataError):
        experiments(data=[str(tmp_path)])


def test_outputs_without_matches_are_an_error(write_png, tmp_path):
    write_png("clean/cat.png", np.zeros((20, 20, 3)))
    write_png("written/dog.png", np.zeros((20, 20, 3)))
    with pytest.raises(
        DataError,
        match=r"none of its 1 names \(dog\) matches any of the 1 names .* \(cat\)",
    ):
        experiments(outputs=[str(tmp_path / "written")], clean=tmp_path / "clean")


def test_mixed_inputs_and_outputs_suggest_a_pattern(write_outputs, pairs_folder):
    for pattern in ("{}_input", "{}_restored"):
        folder = write_outputs("mixed", off=5, pattern=pattern)
    with pytest.raises(
        DataError, match=r"001_input, 001_restored match 001\); .*NAME=DIR/\*_fake_B.png"
    ):
        experiments(outputs=[f"A={folder}"], clean=pairs_folder / "clean")


def test_a_pattern_selects_outputs(write_outputs, pairs_folder):
    for pattern, off in (("{}_input", 20), ("{}_restored", 5)):
        folder = write_outputs("mixed", off=off, pattern=pattern)
    results = rows(run(outputs=[f"A={folder}/*_restored.png"], clean=pairs_folder / "clean"))["A"]
    assert [result.mae for result in results.values()] == [5] * 6


def test_an_unknown_model_is_an_error(pairs_folder, brighter_restorer):
    with pytest.raises(DerainError, match="no such model"):
        experiments(models=["nosuch"], data=[str(pairs_folder)])


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        ({}, "nothing to evaluate on"),
        ({"models": ["fast"]}, "nothing to evaluate on"),
        ({"outputs": ["x"]}, "nothing to evaluate on"),
        ({"clean": "set/clean"}, "without outputs"),
        ({"clean": "set/clean", "models": ["fast"]}, "no rainy pictures"),
        (
            {"clean": "set/clean", "data": ["set"], "outputs": ["x"]},
            "pairs include their clean pictures",
        ),
        ({"clean": "set/clean", "photos": ["set"], "outputs": ["x"]}, "photos have none"),
        ({"rain_free": ["set"]}, "with nothing to score"),
        ({"data": ["set", "other"], "outputs": ["x"]}, "belong to one data set"),
        ({"data": ["set"], "photos": ["other"], "outputs": ["x"]}, "belong to one data set"),
    ],
)
def test_conflicting_arguments_are_rejected(arguments, fact):
    with pytest.raises(DataError, match=fact):
        experiments(**arguments)


def test_folders_with_equal_names_are_named_by_path(write_outputs, pairs_folder):
    first, second = write_outputs("a/results", off=1), write_outputs("b/results", off=2)
    by_row = rows(run(outputs=[str(first), str(second)], clean=pairs_folder / "clean"))
    assert list(by_row) == [str(first), str(second)]


def test_a_repeated_name_is_rejected(write_outputs, pairs_folder):
    folder = write_outputs("results", off=1)
    with pytest.raises(DataError, match="the name A is given twice"):
        experiments(outputs=[f"A={folder}", f"A={folder}"], clean=pairs_folder / "clean")


@pytest.mark.parametrize("against", ["clean", "data"])
def test_outputs_cannot_be_named_untouched(against, write_outputs, pairs_folder):
    arguments = (
        {"clean": pairs_folder / "clean"} if against == "clean" else {"data": [str(pairs_folder)]}
    )
    with pytest.raises(DataError, match="two rows of the table would have the name untouched"):
        experiments(outputs=[f"untouched={write_outputs('results', off=1)}"], **arguments)


def test_equal_names_of_model_and_folder_are_rejected(
    write_outputs, pairs_folder, brighter_restorer
):
    folder = write_outputs("results", off=1)
    with pytest.raises(DataError, match="two rows of the table would have the name fast"):
        experiments(models=["fast"], outputs=[f"fast={folder}"], data=[str(pairs_folder)])


def test_home_is_expanded_after_a_name(pairs_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(pairs_folder.parent))
    monkeypatch.setenv("USERPROFILE", str(pairs_folder.parent))
    assert len(rows(run(data=["A=~/set"]))[UNTOUCHED]) == 6


def test_folders_may_contain_an_equals_sign(write_outputs, pairs_folder):
    folder = write_outputs("lr=2e-4", off=1)
    assert list(rows(run(outputs=[str(folder)], clean=pairs_folder / "clean"))) == ["lr=2e-4"]


@pytest.fixture
def photos(tmp_path, write_png, rng):
    """Three photos of noise without a clean side; those in `soft` have a fifth of the noise."""
    for name in ("a", "b", "c"):
        noise = rng.normal(0, 40, (200, 200, 3))
        write_png(f"photos/{name}.png", np.clip(128 + noise, 0, 255))
        write_png(f"soft/{name}.png", np.clip(128 + noise / 5, 0, 255))
    return tmp_path / "photos"


def test_photos_have_only_niqe(photos):
    (row,) = run(photos=[str(photos)]).rows
    assert len(row.results) == 3
    assert all(result.scores == {} for result in row.results)
    assert all(math.isnan(result.mae) for result in row.results)
    assert all(result.niqe > 0 for result in row.results)


def test_outputs_for_photos_are_scored(photos):
    by_row = rows(run(photos=[str(photos)], outputs=[f"A={photos.parent / 'soft'}"]))
    assert list(by_row) == [UNTOUCHED, "A"]
    assert all(set(results) == {"a", "b", "c"} for results in by_row.values())


def test_a_model_restores_photos(photos, brighter_restorer):
    assert len(rows(run(photos=[str(photos)], models=["fast"]))["fast"]) == 3


@pytest.mark.parametrize("suffix", ["avif", "gif", "jfif", "ppm"])
def test_photos_of_all_formats_are_scored(suffix, photos):
    with Image.open(photos / "a.png") as image:
        image.save(photos / f"a.{suffix}", format="JPEG" if suffix == "jfif" else None)
    (photos / "a.png").unlink()
    (row,) = run(photos=[str(photos)]).rows
    assert sorted(result.sample for result in row.results) == ["a", "b", "c"]


def test_rain_free_pictures_are_their_own_clean_side(photos, brighter_restorer):
    (row,) = run(rain_free=[str(photos)], models=["fast"]).rows
    assert {result.sample: round(result.mae, 1) for result in row.results} == {
        "a": 2.0,
        "b": 2.0,
        "c": 2.0,
    }


def test_outputs_for_rain_free_pictures_are_scored(photos):
    (row,) = run(rain_free=[str(photos)], outputs=[f"A={photos.parent / 'soft'}"]).rows
    assert row.name == "A"
    assert row.results[0].mae > 0


def test_photos_too_small_for_niqe_are_rejected(photos, write_png):
    write_png("photos/d.png", np.zeros((100, 300, 3)))
    (problem,) = run(photos=[str(photos)]).problems
    assert problem.startswith("d: is 300x100, smaller than the 192x192 that NIQE needs")


def test_an_unreadable_photo_skips_one_picture(photos):
    (photos / "b.png").write_bytes(b"no picture")
    evaluation = run(photos=[str(photos)])
    assert len(evaluation.rows[0].results) == 2
    (problem,) = evaluation.problems
    assert str(photos / "b.png") in problem


def test_pairs_too_small_for_niqe_are_scored(pairs_folder):
    results = rows(run(data=[str(pairs_folder)]))[UNTOUCHED].values()
    assert len(results) == 6
    assert all(math.isnan(result.niqe) for result in results)
    assert all(result.scores for result in results)


def test_a_failure_of_several_candidates_is_one_problem():
    clean = np.zeros((20, 20, 3), np.uint8)
    candidates = dict.fromkeys(["one", "two"], lambda sample, rainy: rainy[:, :16])
    sample = Sample("p", lambda: (clean, clean))
    (problem,) = score_candidates("set", [sample], candidates).problems
    assert problem.startswith("one, two, p: is 16x20, but its clean picture is 20x20")


def test_a_failure_of_all_candidates_names_only_the_picture(write_png, tmp_path):
    for folder in ("clean", "A", "B"):
        write_png(f"{folder}/1.png", np.zeros((8, 30, 3)))
    outputs = [str(tmp_path / name) for name in "AB"]
    (problem,) = run(outputs=outputs, clean=tmp_path / "clean").problems
    assert problem.startswith("1: is 30x8")


def test_different_failures_are_different_problems():
    clean = np.zeros((20, 20, 3), np.uint8)
    candidates = {
        "cropping": lambda sample, rainy: rainy[:, :16],
        "diverged": lambda sample, rainy: rainy * np.nan,
    }
    evaluation = score_candidates("set", [Sample("p", lambda: (clean, clean))], candidates)
    assert [problem.partition(",")[0] for problem in evaluation.problems] == list(candidates)


def test_pairs_and_photos_can_be_combined(pairs_folder, photos):
    planned = experiments(data=[str(pairs_folder)], photos=[f"real={photos}"])
    assert [experiment.data for experiment in planned] == ["set", "real"]
    assert [experiment.has_clean for experiment in planned] == [True, False]
