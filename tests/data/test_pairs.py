"""`find_pairs`: layouts, problems, names and links."""

import numpy as np
import pytest
from helpers.pairs import put, scene
from helpers.unprivileged import run_unprivileged
from PIL import Image

from derain.data.pairs.find import find_pairs
from derain.data.pairs.pair_set import LAYOUTS, sample_pairs
from derain.errors import DataError


def file_names_of(pair_set):
    return [(pair.rainy_path.name, pair.clean_path.name) for pair in pair_set.pairs]


def pair_names_of(pair_set):
    return [pair.name for pair in pair_set.pairs]


def problems_of(folder):
    return [
        (problem.path.relative_to(folder).as_posix(), problem.reason)
        for problem in find_pairs(folder).problems
    ]


@pytest.fixture
def folder(tmp_path):
    """Two folders with one valid pair."""
    put(tmp_path / "rainy" / "good.png")
    put(tmp_path / "clean" / "good.png")
    return tmp_path


PUBLISHED = {
    "two folders": (["rainy/1.png", "clean/1.png"], "folders"),
    "two folders, WebP": (["rainy/001.webp", "clean/001.webp"], "folders"),
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
    "clean next to a rainy folder": (["rainy/rain-001.png", "norain-001.png"], "names"),
    "unmarked next to a rainy folder": (["rainy/001.png", "001.png"], "names"),
    "frames": (["Scene-R-000.png", "Scene-C-000.png"], "names"),
    "SPA-Data, test": (["rain/001.png", "gt/001gt.png"], "folders"),
    "accents of macOS": (["rain/rue\u0301.png", "clean/ru\u00e9.png"], "folders"),
    "inside a folder named data": (["data/set/rain/1.png", "data/set/gt/1.png"], "folders"),
    "sides above the splits": (["input/train/1.png", "target/train/1.png"], "folders"),
}


@pytest.mark.parametrize(("files", "layout"), PUBLISHED.values(), ids=PUBLISHED.keys())
def test_published_layouts(tmp_path, files, layout):
    rainy, clean = (put(tmp_path / file) for file in files)
    pair_set = find_pairs(tmp_path)
    assert pair_set.layout == layout
    assert [(pair.rainy_path, pair.clean_path) for pair in pair_set.pairs] == [(rainy, clean)]


@pytest.mark.parametrize(
    ("rainy", "clean"),
    [("rainy_image", "ground_truth"), ("", "")],
    ids=["two folders", "one folder"],
)
def test_many_rainy_pictures_share_a_clean_one(tmp_path, rainy, clean):
    put(tmp_path / clean / "901.jpg")
    for index in range(1, 15):
        put(tmp_path / rainy / f"901_{index}.jpg")
    pair_set = find_pairs(tmp_path)
    assert pair_set.layout == "one-to-many"
    assert file_names_of(pair_set) == [(f"901_{index}.jpg", "901.jpg") for index in range(1, 15)]


def test_clean_name_may_lack_several_words(tmp_path):
    put(tmp_path / "gt" / "im_0001.png")
    put(tmp_path / "in" / "im_0001_s80_a04.png")
    assert file_names_of(find_pairs(tmp_path)) == [("im_0001_s80_a04.png", "im_0001.png")]


def test_frames_share_the_clean_frame_of_their_scene(tmp_path):
    put(tmp_path / "Scene_0-0" / "Scene_0-0-Webcam-C-000.png")
    for index in range(3):
        put(tmp_path / "Scene_0-0" / f"Scene_0-0-Webcam-R-{index:03}.png")
    clean_names = [clean for _, clean in file_names_of(find_pairs(tmp_path))]
    assert clean_names == ["Scene_0-0-Webcam-C-000.png"] * 3


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("clean_side", ["left", "right"])
def test_clean_half_is_detected(tmp_path, rng, clean_side, suffix):
    for index in range(4):
        rainy, clean = scene(rng)
        halves = [clean, rainy] if clean_side == "left" else [rainy, clean]
        Image.fromarray(np.hstack(halves)).save(tmp_path / f"{index}.{suffix}")
    assert find_pairs(tmp_path).layout == f"clean-{clean_side}"


def test_clean_half_of_16_bits_is_detected(tmp_path, rng):
    for index in range(4):
        both = np.hstack(scene(rng))[..., 0].astype(np.uint16) * 257
        Image.fromarray(both).save(tmp_path / f"{index}.png")
    assert find_pairs(tmp_path).layout == "clean-right"


def test_plain_halves_are_not_pairs(tmp_path):
    put(tmp_path / "1.png", size=(80, 40))
    with pytest.raises(DataError, match="no pair"):
        find_pairs(tmp_path)


def test_photos_are_not_mistaken_for_halves(tmp_path, rng):
    for index in range(6):
        photo = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8))
        photo.resize((160, 120)).save(tmp_path / f"{index}.png")
    with pytest.raises(DataError, match="no pair among 6 pictures"):
        find_pairs(tmp_path)


def test_a_few_symmetric_photos_are_outvoted(tmp_path, rng):
    for index in range(6):
        noise = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8))
        photo = np.asarray(noise.resize((160, 120)))
        doubled = np.hstack([photo, photo])
        Image.fromarray(doubled if index < 2 else photo).save(tmp_path / f"{index}.png")
    with pytest.raises(DataError, match="no pair"):
        find_pairs(tmp_path)


def test_odd_width_cannot_be_halved(tmp_path):
    put(tmp_path / "even.png", size=(40, 30))
    odd = put(tmp_path / "odd.png", size=(41, 30))
    problems = find_pairs(tmp_path, layout="clean-left").problems
    assert [str(problem) for problem in problems] == [
        f"{odd}: is 41 pixels wide, which cannot be split into equal halves"
    ]


def test_subfolders_may_differ_in_layout(tmp_path):
    for name in ("train/input/1", "train/target/1", "test/rain-1", "test/norain-1"):
        put(tmp_path / f"{name}.png")
    pair_set = find_pairs(tmp_path)
    assert pair_set.layout == "names, folders"
    assert pair_names_of(pair_set) == ["test/rain-1", "train/1"]


def test_layout_option_overrides_folder_names(tmp_path):
    put(tmp_path / "rain" / "norain-1.png")
    put(tmp_path / "rain" / "rain-1.png")
    assert file_names_of(find_pairs(tmp_path, layout="names")) == [("rain-1.png", "norain-1.png")]


@pytest.mark.parametrize("suffix", [".avif", ".jfif", ".gif"])
def test_every_format_that_derain_reads_is_found(suffix, tmp_path):
    for side, value in (("rainy", 150), ("clean", 100)):
        put(tmp_path / side / "1.png", value=value).rename(tmp_path / side / "0.png")
        put(tmp_path / side / f"1{suffix}", value=value)
    shapes = [pair.load()[0].shape for pair in find_pairs(tmp_path).pairs]
    assert shapes == [(30, 40, 3)] * 2


def test_heic_pairs_are_found(tmp_path):
    pytest.importorskip("pillow_heif").register_heif_opener()
    for side in ("rainy", "clean"):
        put(tmp_path / side / "1.heic", size=(64, 48))
    assert [pair.size_px for pair in find_pairs(tmp_path).pairs] == [(64, 48)]


def test_rainy_picture_without_clean_one_is_reported(folder):
    put(folder / "rainy" / "alone.png")
    assert problems_of(folder) == [("rainy/alone.png", "no clean picture has its name")]


def test_clean_picture_without_rainy_one_is_reported(folder):
    put(folder / "clean" / "alone.png")
    assert problems_of(folder) == [("clean/alone.png", "no rainy picture has its name")]


def test_different_sizes_are_reported(folder):
    put(folder / "rainy" / "odd.png", size=(40, 31))
    put(folder / "clean" / "odd.png", size=(40, 30))
    reason = "is 40x31, but its clean picture odd.png is 40x30"
    assert problems_of(folder) == [("rainy/odd.png", reason)]


def test_unreadable_file_is_reported_on_both_sides(folder):
    put(folder / "rainy" / "bad.png")
    (folder / "clean" / "bad.png").write_bytes(b"")
    assert [path for path, _ in problems_of(folder)] == ["clean/bad.png", "rainy/bad.png"]


def test_ambiguous_names_are_reported(folder):
    put(folder / "rainy" / "1.png")
    put(folder / "clean" / "1.png")
    put(folder / "clean" / "1.jpg")
    problem = ("rainy/1.png", "matches several clean pictures: 1.jpg, 1.png")
    assert problem in problems_of(folder)


def test_every_picture_is_accounted_for(folder):
    for name in ("rainy/a", "clean/b", "stray", "rainy/rainstreak-1", "mask/good"):
        put(folder / f"{name}.png")
    pair_set = find_pairs(folder)
    paths = {path for pair in pair_set.pairs for path in (pair.rainy_path, pair.clean_path)}
    paths |= {problem.path for problem in pair_set.problems} | set(pair_set.ignored)
    assert paths == set(folder.rglob("*.png"))


def test_pairs_are_in_natural_order(tmp_path):
    for index in (10, 2, 1):
        put(tmp_path / "rainy" / f"{index}.png")
        put(tmp_path / "clean" / f"{index}.png")
    assert pair_names_of(find_pairs(tmp_path)) == ["1", "2", "10"]


def test_equal_stems_get_different_names(tmp_path):
    put(tmp_path / "clean" / "1.png")
    for name in ("1.png", "1.jpg"):
        put(tmp_path / "rainy" / name)
    assert sorted(pair_names_of(find_pairs(tmp_path))) == ["rainy/1.jpg", "rainy/1.png"]


def test_link_to_a_parent_adds_nothing(folder):
    before = find_pairs(folder)
    (folder / "again").symlink_to(folder, target_is_directory=True)
    assert find_pairs(folder) == before


def test_links_to_each_other_terminate(tmp_path):
    for name in ("a", "b"):
        for side in ("rainy", "clean"):
            put(tmp_path / name / side / "1.png")
    (tmp_path / "a" / "x").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "y").symlink_to(tmp_path / "a")
    assert pair_names_of(find_pairs(tmp_path)) == ["a/1", "a/x/1", "b/1", "b/y/1"]


def test_clean_folder_may_be_a_link(tmp_path):
    put(tmp_path / "light" / "clean" / "1.png")
    for rain in ("light", "heavy"):
        put(tmp_path / rain / "rainy" / "1.png", value=150)
    (tmp_path / "heavy" / "clean").symlink_to(tmp_path / "light" / "clean")
    pair_set = find_pairs(tmp_path)
    assert pair_names_of(pair_set) == ["heavy/1", "light/1"]
    assert pair_set.problems == []


def test_unlistable_folder_is_an_error(folder, monkeypatch):
    def walk(top, *, followlinks, onerror):
        onerror(PermissionError(13, "Permission denied", str(top)))
        return []

    monkeypatch.setattr("os.walk", walk)
    with pytest.raises(DataError, match=r"cannot be listed \(Permission denied\)"):
        find_pairs(folder)


def test_missing_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        find_pairs(tmp_path / "nowhere")


def test_inaccessible_folder_is_one_sentence(tmp_path):
    (tmp_path / "shut").mkdir(mode=0o000)
    folder = str(tmp_path / "shut" / "pairs")
    run = run_unprivileged(
        "from derain.data.pairs.find import find_pairs", f"find_pairs({folder!r})", tmp_path
    )
    message = f"derain.errors.DataError: {folder}: no such folder, or no access"
    assert run.stderr.splitlines()[-1].startswith(message)


def test_unknown_layout_is_an_error_with_the_known_ones(folder):
    with pytest.raises(DataError, match="clean-left"):
        find_pairs(folder, layout="sideways")


def test_folder_without_pairs_is_an_error_with_every_layout(tmp_path):
    put(tmp_path / "photo.png")
    with pytest.raises(DataError) as caught:
        find_pairs(tmp_path)
    assert [layout for layout in LAYOUTS if f"`{layout}`" not in str(caught.value)] == []


def test_sample_contains_every_kind_of_rain():
    kinds = [pair % 14 for pair in sample_pairs(range(100 * 14), 200)]
    # 14.3 of each on average, with a standard deviation of 3.4
    assert all(7 <= kinds.count(kind) <= 25 for kind in range(14))


@pytest.mark.parametrize(("pairs", "count"), [(201, 200), (326, 200), (3, 200), (0, 200), (5, 0)])
def test_sample_is_ordered_and_repeatable(pairs, count):
    drawn = sample_pairs(range(pairs), count)
    assert len(drawn) == min(pairs, count)
    assert drawn == sorted(set(drawn))
    assert drawn == sample_pairs(range(pairs), count)
