from pathlib import Path

import numpy as np
import pytest
from helpers.unprivileged import as_nobody
from PIL import Image

from derain.data.pairs.find import LAYOUTS, find_pairs, sample
from derain.errors import DataError
from derain.evaluate.protocols import eight_bit

SHARED = Path(__file__).parents[3] / "shared" / "data" / "pairs"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the research data are not here")


def put(path, *, size=(40, 30), value=100, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path, **options)
    return path


def scene(rng, *, size=(64, 48)):
    """A smooth picture and the same with bright lines in it."""
    width, height = size
    coarse = Image.fromarray(rng.integers(0, 200, (4, 5, 3), dtype=np.uint8))
    clean = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    rainy = clean.copy()
    rainy[:, ::7] = np.minimum(rainy[:, ::7].astype(int) + 60, 255)
    return rainy, clean


def names_of(found):
    return [(pair.rainy_path.name, pair.clean_path.name) for pair in found.pairs]


PUBLISHED = {
    "two folders": (["rainy/1.png", "clean/1.png"], "folders"),
    "Rain13K": (["input/1.jpg", "target/1.jpg"], "folders"),
    "Rain200": (["rain/X2/norain-1x2.png", "norain/norain-1.png"], "folders"),
    "Rain200 renamed": (["rain_X2/norain-1x2.png", "norain/norain-1.png"], "folders"),
    "Rain100": (["rain/rain-001.png", "norain/norain-001.png"], "folders"),
    "O and B": (["O/1.png", "B/1.png"], "folders"),
    "any case": (["Rainy_Image/1.png", "Ground_Truth/1.png"], "folders"),
    "another suffix": (["input/1.png", "target/1.jpg"], "folders"),
    "other leading zeros": (["rain/rain-001.png", "norain/norain-1.png"], "folders"),
    "one folder": (["rain-001.png", "norain-001.png"], "names"),
    "one folder, 1x2": (["norain-1x2.png", "norain-1.png"], "names"),
    "one folder, rain-1x2": (["rain-1x2.png", "norain-1.png"], "names"),
    "suffixes": (["001_in.png", "001_GT.png"], "names"),
    "clean ones beside a folder of rainy ones": (["rainy/rain-001.png", "norain-001.png"], "names"),
    "unnamed clean ones beside a folder of rainy ones": (["rainy/001.png", "001.png"], "names"),
    "frames": (["Scene-R-000.png", "Scene-C-000.png"], "names"),
    "SPA-Data, test": (["rain/001.png", "gt/001gt.png"], "folders"),
    "accents of macOS": (["rain/rue\u0301.png", "clean/ru\u00e9.png"], "folders"),
    "inside a folder called data": (["data/set/rain/1.png", "data/set/gt/1.png"], "folders"),
    "sides above the splits": (["input/train/1.png", "target/train/1.png"], "folders"),
}


@pytest.mark.parametrize(("files", "layout"), PUBLISHED.values(), ids=PUBLISHED.keys())
def test_a_published_layout_gives_its_pair(tmp_path, files, layout):
    rainy, clean = (put(tmp_path / file) for file in files)
    found = find_pairs(tmp_path)
    assert (found.layout, [(pair.rainy_path, pair.clean_path) for pair in found.pairs]) == (
        layout,
        [(rainy, clean)],
    )


@pytest.mark.parametrize(
    "folders", [("rainy_image/", "ground_truth/"), ("", "")], ids=["two folders", "one folder"]
)
def test_fourteen_rainy_pictures_share_one_clean_picture(tmp_path, folders):
    put(tmp_path / folders[1] / "901.jpg")
    for index in range(1, 15):
        put(tmp_path / folders[0] / f"901_{index}.jpg")
    found = find_pairs(tmp_path)
    assert (found.layout, names_of(found)) == (
        "one-to-many",
        [(f"901_{index}.jpg", "901.jpg") for index in range(1, 15)],
    )


def test_a_clean_name_may_be_several_words_shorter(tmp_path):
    put(tmp_path / "gt" / "im_0001.png")
    put(tmp_path / "in" / "im_0001_s80_a04.png")
    assert names_of(find_pairs(tmp_path)) == [("im_0001_s80_a04.png", "im_0001.png")]


def test_all_frames_of_a_scene_share_its_one_clean_frame(tmp_path):
    put(tmp_path / "Scene_0-0" / "Scene_0-0-Webcam-C-000.png")
    for index in range(3):
        put(tmp_path / "Scene_0-0" / f"Scene_0-0-Webcam-R-{index:03}.png")
    found = find_pairs(tmp_path)
    assert {pair.clean_path.name for pair in found.pairs} == {"Scene_0-0-Webcam-C-000.png"} and len(
        found
    ) == 3


@pytest.mark.parametrize("clean_side", ["left", "right"])
def test_the_clean_half_is_recognised(tmp_path, rng, clean_side):
    for index in range(4):
        rainy, clean = scene(rng)
        Image.fromarray(np.hstack([clean, rainy] if clean_side == "left" else [rainy, clean])).save(
            tmp_path / f"{index}.png"
        )
    assert find_pairs(tmp_path).layout == f"clean-{clean_side}"


def test_the_clean_half_of_sixteen_bits_is_recognised(tmp_path, rng):
    for index in range(4):
        both = np.hstack(scene(rng))[..., 0].astype(np.uint16) * 257
        Image.fromarray(both).save(tmp_path / f"{index}.png")
    assert find_pairs(tmp_path).layout == "clean-right"


def test_plain_halves_are_no_pairs(tmp_path):
    put(tmp_path / "1.png", size=(80, 40))
    with pytest.raises(DataError, match="no pair"):
        find_pairs(tmp_path)


@pytest.mark.parametrize("clean_side", ["left", "right"])
def test_halves_are_returned_as_rainy_then_clean(tmp_path, rng, clean_side):
    rainy, clean = scene(rng)
    Image.fromarray(np.hstack([clean, rainy] if clean_side == "left" else [rainy, clean])).save(
        tmp_path / "1.png"
    )
    pair = find_pairs(tmp_path, layout=f"clean-{clean_side}").pairs[0]
    np.testing.assert_array_equal(pair.load(), (rainy, clean))


def test_photos_without_partners_are_not_taken_for_halves(tmp_path, rng):
    for index in range(6):
        Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((160, 120)).save(
            tmp_path / f"{index}.png"
        )
    with pytest.raises(DataError, match="no pair among 6 pictures"):
        find_pairs(tmp_path)


def test_a_few_symmetric_photos_do_not_make_a_folder_one_of_halves(tmp_path, rng):
    for index in range(6):
        photo = np.asarray(
            Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((160, 120))
        )
        Image.fromarray(np.hstack([photo, photo]) if index < 2 else photo).save(
            tmp_path / f"{index}.png"
        )
    with pytest.raises(DataError, match="no pair"):
        find_pairs(tmp_path)


def test_a_file_that_does_not_part_into_equal_halves_is_reported(tmp_path):
    put(tmp_path / "even.png", size=(40, 30))
    put(tmp_path / "odd.png", size=(41, 30))
    found = find_pairs(tmp_path, layout="clean-left")
    assert [str(problem) for problem in found.problems] == [
        f"{tmp_path / 'odd.png'}: is 41 pixels wide, which does not part into two equal halves"
    ]


def test_subfolders_may_differ_in_layout(tmp_path, rng):
    put(tmp_path / "train" / "input" / "1.png")
    put(tmp_path / "train" / "target" / "1.png")
    put(tmp_path / "test" / "rain-1.png")
    put(tmp_path / "test" / "norain-1.png")
    found = find_pairs(tmp_path)
    assert (found.layout, [pair.name for pair in found.pairs]) == (
        "names, folders",
        ["test/rain-1", "train/1"],
    )


@pytest.mark.parametrize("first", ["/real_world/", "./real_world/", "real_world/"])
def test_a_list_file_names_the_pairs(tmp_path, first):
    put(tmp_path / "real_world" / "a.png")
    put(tmp_path / "real_world_gt" / "b.png")
    (tmp_path / "real_world.txt").write_bytes(f"{first}a.png /real_world_gt/b.png\r\n\r\n".encode())
    found = find_pairs(tmp_path)
    assert (found.layout, names_of(found)) == ("list", [("a.png", "b.png")])


def test_a_list_file_can_stand_for_its_folder(tmp_path):
    put(tmp_path / "a.png")
    put(tmp_path / "b.png")
    (tmp_path / "some.txt").write_text("a.png b.png\n")
    assert names_of(find_pairs(tmp_path / "some.txt")) == [("a.png", "b.png")]


def test_a_picture_that_the_list_leaves_out_is_ignored_by_name(tmp_path):
    for name in "abc":
        put(tmp_path / f"{name}.png")
    (tmp_path / "list.txt").write_text("a.png b.png\n")
    assert find_pairs(tmp_path).ignored == [tmp_path / "c.png"]


def test_a_listed_file_that_is_missing_is_reported_with_its_line(tmp_path):
    put(tmp_path / "a.png")
    put(tmp_path / "b.png")
    (tmp_path / "list.txt").write_text("a.png b.png\nc.png b.png\n")
    problems = find_pairs(tmp_path).problems
    assert [str(problem) for problem in problems] == [
        f"{tmp_path / 'c.png'}: is named in line 2 of list.txt but is not there"
    ]


def test_a_broken_line_of_a_list_is_named(tmp_path):
    put(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("a.png a.png\nonly-one.png\n")
    with pytest.raises(DataError, match=r"list\.txt: line 2"):
        find_pairs(tmp_path)


def problems_of(folder):
    return [
        (problem.path.relative_to(folder).as_posix(), problem.fact)
        for problem in find_pairs(folder).problems
    ]


@pytest.fixture
def folder(tmp_path):
    """Two folders with one good pair."""
    put(tmp_path / "rainy" / "good.png")
    put(tmp_path / "clean" / "good.png")
    return tmp_path


def test_a_rainy_picture_without_a_clean_one_is_reported(folder):
    put(folder / "rainy" / "alone.png")
    assert problems_of(folder) == [("rainy/alone.png", "no clean picture has its name")]


def test_a_clean_picture_without_a_rainy_one_is_reported(folder):
    put(folder / "clean" / "alone.png")
    assert problems_of(folder) == [("clean/alone.png", "no rainy picture has its name")]


def test_pictures_of_different_size_are_reported(folder):
    put(folder / "rainy" / "odd.png", size=(40, 31))
    put(folder / "clean" / "odd.png", size=(40, 30))
    assert problems_of(folder) == [
        ("rainy/odd.png", "is 40x31, but its clean picture odd.png is 40x30")
    ]


def test_a_file_that_is_no_picture_is_reported_on_both_sides(folder):
    put(folder / "rainy" / "bad.png")
    (folder / "clean" / "bad.png").write_bytes(b"")
    assert [path for path, _ in problems_of(folder)] == ["clean/bad.png", "rainy/bad.png"]


def test_two_clean_pictures_for_one_name_are_reported(folder):
    put(folder / "rainy" / "1.png")
    put(folder / "clean" / "1.png")
    put(folder / "clean" / "1.jpg")
    assert ("rainy/1.png", "more than one clean picture fits it: 1.jpg, 1.png") in problems_of(
        folder
    )


def test_every_picture_is_accounted_for(folder):
    for name in (
        "rainy/a.png",
        "clean/b.png",
        "stray.png",
        "rainy/rainstreak-1.png",
        "mask/good.png",
    ):
        put(folder / name)
    found = find_pairs(folder)
    seen = {path for pair in found.pairs for path in (pair.rainy_path, pair.clean_path)}
    seen |= {problem.path for problem in found.problems} | set(found.ignored)
    assert seen == set(folder.rglob("*.png"))


def test_pairs_come_in_natural_order(tmp_path):
    for index in (10, 2, 1):
        put(tmp_path / "rainy" / f"{index}.png")
        put(tmp_path / "clean" / f"{index}.png")
    assert [pair.name for pair in find_pairs(tmp_path).pairs] == ["1", "2", "10"]


def test_a_picture_that_is_cut_off_is_named_when_it_is_loaded(folder):
    path = folder / "clean" / "good.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(
        DataError, match=r"clean/good\.png: is damaged or truncated .* or take it out of the set"
    ):
        find_pairs(folder).pairs[0].load()


@pytest.mark.parametrize(
    ("mode", "value", "seen"),
    [("L", 7, (7, 7, 7)), ("RGBA", (1, 2, 3, 4), (1, 2, 3)), ("I;16", 51456, (200,) * 3)],
)
def test_any_mode_is_loaded_as_rgb(tmp_path, mode, value, seen):
    for side in ("rainy", "clean"):
        (tmp_path / side).mkdir()
        Image.new(mode, (5, 4), value).save(tmp_path / side / "1.png")
    rainy, _ = find_pairs(tmp_path).pairs[0].load()
    assert rainy.shape == (4, 5, 3) and rainy.dtype == np.uint8 and tuple(rainy[0, 0]) == seen


def test_sixteen_bits_are_rounded_as_in_every_report(tmp_path):
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for side in ("rainy", "clean"):
        (tmp_path / side).mkdir()
        Image.fromarray(every).save(tmp_path / side / "1.png")
    rainy, _ = find_pairs(tmp_path).pairs[0].load()
    np.testing.assert_array_equal(rainy[..., 0], eight_bit(every))


def test_halves_of_one_file_keep_their_sixteen_bits(tmp_path):
    Image.fromarray(np.arange(12, dtype=np.uint16).reshape(2, 6)).save(tmp_path / "1.png")
    rainy, clean = find_pairs(tmp_path, layout="clean-left").pairs[0].read()
    assert (rainy[:, :, 0].tolist(), clean[:, :, 0].tolist()) == (
        [[3, 4, 5], [9, 10, 11]],
        [[0, 1, 2], [6, 7, 8]],
    )


@pytest.mark.parametrize(
    ("mode", "dtype"), [("RGB", np.uint8), ("L", np.uint8), ("1", np.uint8), ("I;16", np.uint16)]
)
def test_ppm_is_read_whatever_the_case_of_its_suffix(mode, dtype, tmp_path):
    for side in ("rainy", "clean"):
        (tmp_path / side).mkdir()
        Image.new(mode, (5, 4), 1).save(tmp_path / side / "1.PPM", "PPM")
    rainy, _ = find_pairs(tmp_path).pairs[0].read()
    assert (rainy.shape, rainy.dtype) == ((4, 5, 3), dtype)


def test_two_rainy_files_of_one_stem_have_names_of_their_own(tmp_path):
    put(tmp_path / "clean" / "1.png")
    for name in ("1.png", "1.jpg"):
        put(tmp_path / "rainy" / name)
    assert sorted(pair.name for pair in find_pairs(tmp_path).pairs) == [
        "rainy/1.jpg",
        "rainy/1.png",
    ]


def test_a_turned_photo_is_loaded_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    put(tmp_path / "rainy" / "1.jpg", size=(40, 30), exif=exif)
    put(tmp_path / "clean" / "1.png", size=(30, 40))
    pair = find_pairs(tmp_path).pairs[0]
    assert pair.load()[0].shape == (40, 30, 3) and pair.size_px == (30, 40)


def test_a_link_that_leads_back_up_adds_nothing(folder):
    before = find_pairs(folder)
    (folder / "again").symlink_to(folder, target_is_directory=True)
    assert find_pairs(folder) == before


def test_a_folder_that_is_shut_is_named(folder, monkeypatch):
    def walk(top, *, followlinks, onerror):
        onerror(PermissionError(13, "Permission denied", str(top)))
        return []

    monkeypatch.setattr("os.walk", walk)
    with pytest.raises(DataError, match=r"cannot be searched \(Permission denied\)"):
        find_pairs(folder)


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        find_pairs(tmp_path / "nowhere")


def test_a_folder_in_one_that_is_shut_is_one_sentence(tmp_path):
    (tmp_path / "shut").mkdir(mode=0o000)
    folder = str(tmp_path / "shut" / "pairs")
    run = as_nobody(
        "from derain.data.pairs.find import find_pairs", f"find_pairs({folder!r})", tmp_path
    )
    assert run.stderr.splitlines()[-1].startswith(
        f"derain.errors.DataError: {folder}: no such folder that this user may look into"
    )


def test_an_unknown_layout_is_an_error_that_names_the_known_ones(folder):
    with pytest.raises(DataError, match="clean-left"):
        find_pairs(folder, layout="sideways")


def test_a_folder_without_pairs_is_an_error_that_names_every_layout(tmp_path):
    put(tmp_path / "photo.png")
    with pytest.raises(DataError) as caught:
        find_pairs(tmp_path)
    assert all(f"`{layout}`" in str(caught.value) for layout in LAYOUTS)


def test_a_named_layout_overrules_what_folders_say(tmp_path):
    put(tmp_path / "rain" / "norain-1.png")
    put(tmp_path / "rain" / "rain-1.png")
    assert names_of(find_pairs(tmp_path, layout="names")) == [("rain-1.png", "norain-1.png")]


def test_a_sample_has_every_kind_of_rain_of_a_set_where_each_background_has_the_same():
    rains = [pair % 14 for pair in sample(range(100 * 14), 200)]
    assert all(7 <= rains.count(rain) <= 25 for rain in range(14))  # 14.3 each, and 3.4 deviation


@pytest.mark.parametrize(("pairs", "count"), [(201, 200), (326, 200), (3, 200), (0, 200), (5, 0)])
def test_a_sample_has_as_many_pairs_as_were_asked_for_in_their_order(pairs, count):
    drawn = sample(range(pairs), count)
    assert len(drawn) == min(pairs, count)
    assert drawn == sorted(set(drawn)) == sample(range(pairs), count)


def test_a_line_that_a_list_repeats_is_one_pair_and_told_of(tmp_path):
    for name in ("1", "2"):
        put(tmp_path / "real" / f"{name}.png")
        put(tmp_path / "gt" / f"{name}.png")
    (tmp_path / "train.txt").write_text(
        "real/1.png gt/1.png\nreal/2.png gt/2.png\nreal/1.png gt/1.png\n"
    )
    found = find_pairs(tmp_path / "train.txt")
    assert [pair.name for pair in found.pairs] == ["real/1", "real/2"]
    assert list(map(str, found.problems)) == [
        f"{tmp_path / 'train.txt'}: its line 3 repeats line 1 of train.txt; take one of them out"
    ]
    assert found.origin == tmp_path / "train.txt"


def test_pairs_in_heic_are_found(tmp_path):
    pytest.importorskip("pillow_heif").register_heif_opener()
    for side in ("rainy", "clean"):
        put(tmp_path / side / "1.heic", size=(64, 48))
    assert [pair.size_px for pair in find_pairs(tmp_path).pairs] == [(64, 48)]


@needs_shared
@pytest.mark.parametrize(
    ("name", "layout", "count"),
    [
        ("rain100L", "folders", 65),
        ("rain100H", "folders", 65),
        ("rain200H_train20", "folders", 20),
        ("rain800_train", "clean-left", 326),
        ("rain800_test", "clean-left", 53),
    ],
)
def test_real_sets_are_found_whole(name, layout, count):
    found = find_pairs(SHARED / name)
    assert (found.layout, len(found), found.problems) == (layout, count, [])


def test_a_list_settles_the_folders_that_it_names_and_no_others(tmp_path):
    for folder in ("A", "B"):
        for side in ("rainy", "clean"):
            put(tmp_path / folder / side / "1.png")
    left_out = put(tmp_path / "A" / "rainy" / "2.png")
    (tmp_path / "A" / "list.txt").write_text("rainy/1.png clean/1.png\n")
    found = find_pairs(tmp_path)
    assert [pair.name for pair in found.pairs] == ["A/rainy/1", "B/1"]
    assert (found.layout, found.ignored, found.problems) == ("list, folders", [left_out], [])


def test_two_rains_may_share_their_clean_pictures_by_a_link(tmp_path):
    put(tmp_path / "light" / "clean" / "1.png")
    for rain in ("light", "heavy"):
        put(tmp_path / rain / "rainy" / "1.png", value=150)
    (tmp_path / "heavy" / "clean").symlink_to(tmp_path / "light" / "clean")
    found = find_pairs(tmp_path)
    assert ([pair.name for pair in found.pairs], found.problems) == (["heavy/1", "light/1"], [])


def test_links_to_each_other_come_to_an_end(tmp_path):
    for folder in ("a", "b"):
        for side in ("rainy", "clean"):
            put(tmp_path / folder / side / "1.png")
    (tmp_path / "a" / "x").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "y").symlink_to(tmp_path / "a")
    assert [pair.name for pair in find_pairs(tmp_path).pairs] == ["a/1", "a/x/1", "b/1", "b/y/1"]


@pytest.mark.parametrize("suffix", [".avif", ".jfif", ".gif"])
def test_pairs_of_any_kind_that_derain_reads_are_found(suffix, tmp_path):
    for side, value in (("rainy", 150), ("clean", 100)):
        put(tmp_path / side / "1.png", value=value).rename(tmp_path / side / "0.png")
        put(tmp_path / side / f"1{suffix}", value=value)
    found = find_pairs(tmp_path)
    assert [pair.load()[0].shape for pair in found.pairs] == [(30, 40, 3)] * 2
