from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from skimage import data

from derain.data.alignment import misalignment
from derain.data.check import check
from derain.errors import DataError
from derain.rain import render

SHARED = Path(__file__).parents[3] / "shared" / "data" / "pairs"
PHOTOS = {name: getattr(data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")}


def plant(folder, backgrounds):
    """A set of two folders: `backgrounds` maps a file name to a clean picture."""
    for seed, (name, clean) in enumerate(backgrounds.items()):
        for side, image in (("rainy", render(clean, rain="light", seed=seed)), ("clean", clean)):
            (folder / side).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / side / name)
    return folder


@pytest.fixture
def train(tmp_path):
    return plant(tmp_path / "train", {"a.png": PHOTOS["astronaut"], "b.png": PHOTOS["chelsea"]})


def test_a_sound_set_has_no_problem(train):
    assert check([train], processes=1).is_sound


def test_layout_sizes_and_formats_are_counted(train):
    (one,) = check([train], processes=1).folders
    assert (one.found.layout, one.sizes, one.formats) == (
        "folders",
        {"512x512": 1, "451x300": 1},
        {"png": 2},
    )


def test_the_input_psnr_is_the_mean_over_pictures(train):
    from skimage.metrics import peak_signal_noise_ratio

    (one,) = check([train], processes=1).folders
    expected = [peak_signal_noise_ratio(pair.load()[1], pair.load()[0]) for pair in one.found.pairs]
    assert one.input_psnr_db == pytest.approx(np.mean(expected), abs=1e-3)


def test_no_more_pairs_are_measured_than_asked(train):
    assert check([train], measured=1, processes=1).folders[0].measured == 1


def test_a_background_in_two_folders_is_found(train, tmp_path):
    other = plant(
        tmp_path / "test",
        {"x.jpg": PHOTOS["coffee"], "y.jpg": np.ascontiguousarray(PHOTOS["chelsea"][:, ::-1])},
    )
    result = check([train, other], processes=1)
    assert result.shared == [[train / "clean" / "b.png", other / "clean" / "y.jpg"]]


def test_a_background_of_sixteen_bits_is_found(tmp_path):
    for folder, dtype, white in (("train", np.uint8, 1), ("test", np.uint16, 257)):
        for side, off in (("rainy", 20), ("clean", 0)):
            grey = PHOTOS["chelsea"][..., 1].astype(np.uint16) // 2 + off
            (tmp_path / folder / side).mkdir(parents=True)
            Image.fromarray((grey * white).astype(dtype)).save(tmp_path / folder / side / "a.png")
    assert len(check([tmp_path / "train", tmp_path / "test"], processes=1).shared) == 1


def test_each_folder_says_how_many_of_its_pictures_are_shared(train, tmp_path):
    turned = {f"{turn}.png": np.rot90(PHOTOS["chelsea"], turn).copy() for turn in range(3)}
    other = plant(tmp_path / "test", turned)
    assert [one.shared for one in check([train, other], processes=1).folders] == [1, 3]


def test_a_shared_background_makes_a_check_unsound(train, tmp_path):
    other = plant(tmp_path / "test", {"y.png": PHOTOS["chelsea"]})
    assert not check([train, other], processes=1).is_sound


def test_duplicates_inside_a_folder_are_found(tmp_path):
    clean = PHOTOS["rocket"]
    folder = plant(
        tmp_path,
        {
            "1.png": clean,
            "2.png": PHOTOS["coffee"],
            "3.jpg": np.asarray(ImageOps.flip(Image.fromarray(clean))),
        },
    )
    (one,) = check([folder], processes=1).folders
    assert (one.backgrounds, one.duplicates) == (
        2,
        [[folder / "clean" / "1.png", folder / "clean" / "3.jpg"]],
    )


def test_one_clean_file_for_many_rainy_ones_is_no_duplicate(tmp_path):
    Image.fromarray(PHOTOS["chelsea"]).save(tmp_path / "901.jpg")
    for index in range(3):
        Image.fromarray(render(PHOTOS["chelsea"], seed=index)).save(tmp_path / f"901_{index}.jpg")
    (one,) = check([tmp_path], processes=1).folders
    assert (len(one.found), one.backgrounds, one.duplicates) == (3, 1, [])


@pytest.mark.parametrize("side", ["rainy", "clean"])
@pytest.mark.parametrize("measured", [0, 10])
def test_a_file_that_is_cut_off_is_named(train, side, measured):
    path = train / side / "b.png"
    path.write_bytes(path.read_bytes()[:-3000])
    (one,) = check([train], measured=measured, processes=1).folders
    assert [problem.path for problem in one.problems] == [path]


def test_a_rainy_picture_without_rain_is_reported(train):
    path = train / "rainy" / "a.png"
    path.write_bytes((train / "clean" / "a.png").read_bytes())
    (one,) = check([train], processes=1).folders
    assert [str(problem) for problem in one.problems] == [
        f"{path}: is its clean picture, pixel for pixel"
    ]


def test_halves_in_one_file_are_checked(tmp_path):
    for name, clean in PHOTOS.items():
        Image.fromarray(np.hstack([render(clean, seed=0), clean])).save(tmp_path / f"{name}.png")
    (one,) = check([tmp_path], processes=1).folders
    assert (one.found.layout, one.backgrounds, one.problems) == ("clean-right", 4, [])


def test_several_processes_see_what_one_sees(train, tmp_path):
    other = plant(
        tmp_path / "test",
        {f"{index}.png": np.roll(PHOTOS["coffee"], 40 * index, axis=1) for index in range(7)},
    )
    assert check([train, other], processes=2) == check([train, other], processes=1)


def test_progress_counts_every_pair(train):
    calls = []
    check([train], processes=1, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 2), (2, 2)]


def test_pairs_that_are_not_measured_are_refused_as_others_read_them(train):
    path = train / "rainy" / "b.png"
    pages = [Image.new("RGB", Image.open(path).size, (90, 90, 90))] * 2
    path.unlink()
    pages[0].save(path.with_suffix(".tiff"), save_all=True, append_images=pages[1:])
    (one,) = check([train], measured=0, processes=1).folders
    assert [problem.path for problem in one.problems] == [path.with_suffix(".tiff")]
    assert "contains 2 pictures" in one.problems[0].fact


def test_two_lists_of_one_folder_are_two_data_sets(train):
    for name, line in (
        ("train.txt", "rainy/a.png clean/a.png"),
        ("test.txt", "rainy/b.png clean/b.png"),
    ):
        (train / name).write_text(line + "\n")
    found = check([train / "train.txt", train / "test.txt"], processes=1)
    assert [[pair.rainy_path.name for pair in one.found.pairs] for one in found.folders] == [
        ["a.png"],
        ["b.png"],
    ]
    assert not found.shared


def test_a_folder_given_twice_is_an_error(train):
    with pytest.raises(DataError, match="given twice"):
        check([train, train / ".." / "train"])


def test_an_aligned_pair_is_accepted_in_any_rain():
    clean = PHOTOS["coffee"]
    assert [
        misalignment(render(clean, rain=rain, seed=1), clean)
        for rain in ("light", "moderate", "heavy")
    ] == [None] * 3


@pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 1), (-3, 2), (8, -5)])
def test_a_shifted_pair_is_reported_with_its_shift(right, down):
    clean = PHOTOS["chelsea"]
    rainy = np.roll(render(clean, rain="moderate", seed=1), (down, right), axis=(0, 1))
    assert (
        misalignment(rainy, clean)
        == f"is shifted against its clean picture by {right} pixels to the right and {down} down"
    )


def test_another_scene_is_reported():
    assert "another scene" in misalignment(PHOTOS["rocket"][:300, :451], PHOTOS["chelsea"])


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (16, 16)])
def test_tiny_pairs_are_looked_at_without_failing(size):
    image = np.zeros((*size, 3), np.uint8)
    assert misalignment(image, image) is None


@pytest.mark.skipif(not SHARED.is_dir(), reason="the research data are not here")
def test_rain100_is_found_to_repeat_five_backgrounds():
    """They were seen with the eye: 006 = 025, 007 = 036, 009 = 058, 011 = 080, 012 = 091."""
    (one,) = check([SHARED / "rain100L"], measured=0, processes=2).folders
    assert [[path.stem for path in group] for group in one.duplicates] == [
        ["006", "025"],
        ["007", "036"],
        ["009", "058"],
        ["011", "080"],
        ["012", "091"],
    ]


def test_a_shared_background_is_found_where_the_first_of_its_rains_is_broken(train, tmp_path):
    many = tmp_path / "many"
    for number in (1, 2):
        (many / "rainy").mkdir(parents=True, exist_ok=True)
        Image.fromarray(render(PHOTOS["chelsea"], rain="light", seed=number)).save(
            many / "rainy" / f"901_{number}.png"
        )
    (many / "clean").mkdir()
    Image.fromarray(PHOTOS["chelsea"]).save(many / "clean" / "901.png")
    first = many / "rainy" / "901_1.png"
    first.write_bytes(first.read_bytes()[:20_000])
    for measured in (0, 100):
        result = check([train, many], measured=measured, processes=1)
        assert result.shared == [[train / "clean" / "b.png", many / "clean" / "901.png"]]
        assert [problem.path for one in result.folders for problem in one.problems] == [first]


@pytest.mark.parametrize(
    ("rainy", "clean", "alike"), [(255, 0, True), (None, 0, False), (255, None, False)]
)
def test_a_plain_picture_is_no_other_picture(rainy, clean, alike):
    pair = [
        PHOTOS["coffee"] if value is None else np.full_like(PHOTOS["coffee"], value)
        for value in (rainy, clean)
    ]
    assert (misalignment(*pair) is None) == alike
