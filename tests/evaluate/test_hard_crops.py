import numpy as np
import pytest
from PIL import Image

from derain.cli.main import main
from derain.errors import DataError
from derain.evaluate.hard_crops import MAX_PSNR_DB, find_hard_crops, save_hard_crops


@pytest.fixture
def pictures(tmp_path, rng):
    """Two rain-free pictures of 100 x 80 px and one that is too small."""
    folder = tmp_path / "clean"
    folder.mkdir()
    for name, (width, height) in {"a": (100, 80), "b": (100, 80), "c": (30, 80)}.items():
        pixels = rng.integers(30, 200, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def damage(picture):
    """Change one corner, as a network does that mistakes texture for rain."""
    restored = picture.copy()
    restored[40:, 50:] -= 20
    return restored


def find(folder, restore=damage, **options):
    paths = sorted(folder.iterdir())
    return find_hard_crops(paths, restore, **{"crop_px": 40, "count": 3, **options})


def test_worst_crop_is_the_damaged_corner(pictures):
    worst = find(pictures).crops[0]
    assert (worst.x, worst.y) == (60, 40)


def test_crops_are_sorted_from_the_worst(pictures):
    values = [crop.psnr for crop in find(pictures).crops]
    assert values == sorted(values)


def test_at_most_two_crops_of_a_picture(pictures):
    assert len(find(pictures, count=100).crops) == 4


def test_small_picture_is_reported(pictures):
    assert [path.name for path in find(pictures).too_small] == ["c.png"]


def test_unchanged_picture_has_the_largest_psnr(pictures):
    assert find(pictures, lambda picture: picture).psnr == [MAX_PSNR_DB] * 2


def test_saved_crop_has_the_pixels_of_its_picture(pictures, tmp_path):
    found = find(pictures)
    save_hard_crops(found, tmp_path / "hard")
    worst = found.crops[0]
    saved = np.asarray(Image.open(min((tmp_path / "hard").iterdir())))
    expected = np.asarray(Image.open(worst.path))[worst.y :, worst.x :][:40, :40]
    np.testing.assert_array_equal(saved, expected)


def test_folder_in_use_is_rejected(pictures):
    with pytest.raises(DataError, match="exists already; name a new or an empty folder"):
        save_hard_crops(find(pictures), pictures)


def test_verb_writes_crops(pictures, networks, tmp_path, capsys):
    out = tmp_path / "hard"
    model = networks / "blurring.onnx"
    options = ["--size", "40", "--count", "2", "--model", str(model), "--exclude", "b"]
    assert main(["data", "hard-crops", str(pictures), "-o", str(out), *options]) == 0
    assert len(list(out.iterdir())) == 2
    assert "1 rain-free pictures" in capsys.readouterr().out


def test_verb_checks_its_folder_before_it_restores(pictures, networks, monkeypatch, capsys):
    def restore_all(*_, **__):
        raise AssertionError("pictures were restored")

    monkeypatch.setattr("derain.evaluate.hard_crops.find_hard_crops", restore_all)
    options = ["-o", str(pictures), "--model", str(networks / "copying.onnx")]
    assert main(["data", "hard-crops", str(pictures), *options]) == 1
    assert "exists already; name a new or an empty folder" in capsys.readouterr().err


def test_verb_names_an_unknown_exclusion(pictures, tmp_path, capsys):
    options = ["-o", str(tmp_path / "hard"), "--exclude", "a", "bb"]
    assert main(["data", "hard-crops", str(pictures), *options]) == 1
    assert "--exclude bb: no picture has that name" in capsys.readouterr().err


def test_verb_without_room_for_a_crop(pictures, networks, tmp_path, capsys):
    options = ["--size", "500", "--model", str(networks / "copying.onnx")]
    assert main(["data", "hard-crops", str(pictures), "-o", str(tmp_path / "hard"), *options]) == 1
    assert "lower --size" in capsys.readouterr().err


def test_damaged_picture_is_skipped_and_reported(pictures, networks, tmp_path, capsys):
    (pictures / "aa.png").write_bytes((pictures / "a.png").read_bytes()[:200])
    out = tmp_path / "hard"
    options = ["--size", "40", "--count", "2", "--model", str(networks / "blurring.onnx")]
    assert main(["data", "hard-crops", str(pictures), "-o", str(out), *options]) == 1
    assert len(list(out.iterdir())) == 2
    output = capsys.readouterr()
    assert "2 rain-free pictures" in output.out
    assert "1 pictures were skipped, the first: " in output.err
    assert "aa.png" in output.err
