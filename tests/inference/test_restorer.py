"""`derain.Restorer` and `derain.restore`: arrays in, arrays out, and no torch."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import derain
from derain import pictures
from derain.errors import PictureError
from derain.inference import restorer
from derain.pictures import Picture
from derain.pictures.picture import as_colour

WITHOUT_TORCH = """
import derain, numpy, sys
derain.restore(numpy.zeros((9, 9, 3), numpy.uint8), model={model!r})
heavy = {{"torch", "onnx", "safetensors", "scipy", "skimage"}} & set(sys.modules)
assert not heavy, heavy
"""
HUNDRED_MEGAPIXELS = """
from pathlib import Path
from derain import Restorer, pictures

def restore(restorer):
    rainy = pictures.read({source!r})
    restored = restorer.restore_picture(rainy)
    del rainy
    pictures.write(restored, {target!r})

restore(Restorer({model!r}, threads=1))
# not ru_maxrss, which includes the memory of the process that started this one
(line,) = [l for l in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in l]
print(line.split()[1])
"""


@pytest.fixture(scope="module")
def darken(networks) -> derain.Restorer:
    """A restorer that subtracts 0.25."""
    return derain.Restorer(networks / "darkening.onnx", precision="float32")


@pytest.fixture(scope="module")
def copying(networks) -> dict[str, str]:
    """Options of `restore` for a network that copies."""
    return {"model": str(networks / "copying.onnx"), "precision": "float32"}


def run_python(code: str) -> str:
    """Run code in a new process; return its output."""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return run.stdout


def test_names_complete_before_the_engine_is_imported():
    missing = run_python("import derain; print({*derain.__all__} - {*dir(derain)})")
    assert missing.strip() == "set()"


def test_public_names():
    assert derain.__all__ == ["DerainError", "Restorer", "__version__", "restore"]


# arrays


@pytest.mark.parametrize("path", ["photo.jpg", Path("photo.jpg")])
def test_a_path_as_pixels_gets_the_call_that_takes_paths(darken, path):
    with pytest.raises(PictureError, match=r"photo\.jpg: a Restorer takes pixels.*derain\.restore"):
        darken(path)
    with pytest.raises(PictureError, match=r"photo\.jpg: the mask of a Restorer is an array"):
        darken(np.zeros((4, 4), np.uint8), mask=path)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64", ">u2"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4), (1, 1)])
def test_result_has_the_shape_and_dtype_of_the_input(darken, dtype, shape):
    restored = darken(np.zeros(shape, dtype))
    assert restored.shape == shape
    assert restored.dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("dtype", "white", "tolerance"),
    [("uint8", 255, 1), ("uint16", 65535, 1), ("float16", 1.0, 1e-3), ("float64", 1.0, 1e-6)],
)
def test_all_dtypes_have_the_same_brightness(darken, dtype, white, tolerance):
    restored = darken(np.full((3, 3, 3), white, dtype))
    assert float(restored[1, 1, 1]) == pytest.approx(0.75 * white, abs=tolerance)


def test_alpha_is_unchanged(darken, rng):
    rainy = rng.integers(0, 256, (6, 9, 4), dtype=np.uint8)
    np.testing.assert_array_equal(darken(rainy)[..., 3], rainy[..., 3])


def test_input_is_unchanged(darken):
    rainy = np.full((4, 4, 3), 200, np.uint8)
    darken(rainy)
    assert rainy.min() == 200


def test_strided_input(darken, rng):
    rainy = rng.integers(80, 256, (20, 30, 3), dtype=np.uint8)[::-2, ::3]
    np.testing.assert_array_equal(darken(rainy), darken(np.ascontiguousarray(rainy)))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 2), np.uint8), r"shape \(4, 4, 2\) cannot be restored"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\) cannot be restored"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"shape \(2, 4, 4, 3\) cannot be restored"),
        (np.zeros((4, 4, 3), np.int64), "array of int64"),
        (np.full((4, 4, 3), np.nan), "not finite"),
        (np.full((4, 4, 3), 255.0), "floats from 255 to 255, expected 0 to 1"),
    ],
)
def test_invalid_arrays_are_rejected(darken, image, message):
    with pytest.raises(PictureError, match=message):
        darken(image)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_pillow_images(mode, darken):
    image = Image.new("RGB", (9, 8), (255, 255, 255)).convert(mode)
    assert int(darken(image)[0, 0].min()) == 191


@pytest.mark.parametrize("mode", ["P", "CMYK"])
def test_pillow_images_without_rgb_are_rejected(mode, darken):
    image = Image.new("RGB", (9, 8), (255, 255, 255)).convert(mode)
    with pytest.raises(PictureError, match=rf"mode {mode} .* pass image\.convert\('RGB'\)"):
        darken(image)


def test_small_tiles_give_the_same_result(networks, rng):
    rainy = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    tiled, whole = (
        derain.Restorer(networks / "darkening.onnx", precision="float32", tile_px=tile_px)(rainy)
        for tile_px in (96, None)
    )
    np.testing.assert_array_equal(tiled, whole)


class RecordingEngine:
    """Copies tiles slowly, and records their heights and whether each is one of one size."""

    bytes_per_px = one_size_bytes_per_px = 1000

    def __init__(self):
        self.calls = []

    def __call__(self, rainy, *, one_size):
        self.calls.append((rainy.shape[2], one_size))
        time.sleep(0.01)
        return rainy


@pytest.fixture
def recording(networks):
    restorer = derain.Restorer(networks / "copying.onnx", tile_px=168, precision="float32")
    restorer.engine = RecordingEngine()
    return restorer


@pytest.mark.parametrize(("width", "is_one_size"), [(168, False), (800, True)])
def test_engine_compiles_for_the_tiles_of_large_pictures(width, is_one_size, recording):
    recording(np.zeros((168, width, 3), np.uint8))
    assert {one_size for _, one_size in recording.engine.calls} == {is_one_size}


def test_large_pictures_take_turns(recording):
    """Tiles of two sizes in turn would let the engine compile for each of them."""
    rainy = [np.zeros((height, 800, 3), np.uint8) for height in (100, 160)]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(recording, rainy))
    heights = [height for height, _ in recording.engine.calls]
    assert sum(first != second for first, second in pairwise(heights)) == 1


# strength and mask


@pytest.mark.parametrize("options", [{"strength": 2}, {"mask": np.zeros((2, 2), np.uint8)}])
def test_invalid_strength_or_mask_is_rejected_before_any_work(darken, options):
    tiles = []
    with pytest.raises(PictureError):
        darken(np.zeros((5, 7, 3), np.uint8), on_tile=lambda *tile: tiles.append(tile), **options)
    assert tiles == []


@pytest.mark.parametrize("kind", ["list of bools", "image", "path"])
def test_masks_of_other_types(kind, networks, rng, tmp_path):
    rainy = rng.integers(50, 256, (12, 10, 3), dtype=np.uint8)
    array = np.zeros((12, 10), np.uint8)
    array[:, :5] = 255
    Image.fromarray(array).save(tmp_path / "mask.png")
    mask = {
        "list of bools": (array > 0).tolist(),
        "image": Image.fromarray(array),
        "path": tmp_path / "mask.png",
    }[kind]
    restored = derain.restore(rainy, mask=mask, model=str(networks / "darkening.onnx"))
    np.testing.assert_array_equal(restored[:, 5:], rainy[:, 5:])
    assert (restored[:, :5] != rainy[:, :5]).any()


def test_mask_may_exceed_white_by_rounding(darken, rng):
    rainy = rng.integers(50, 256, (12, 10, 3), dtype=np.uint8)
    mask = np.full((12, 10), 1 + 2.4e-7, np.float32)
    np.testing.assert_array_equal(darken(rainy, mask=mask), darken(rainy))


# copies for other processes


def test_pickled_restorer_loads_the_network_again(darken, rng):
    rainy = rng.random((12, 10, 3), dtype=np.float32)
    copy = pickle.loads(pickle.dumps(darken))
    assert copy.model == darken.model
    assert copy.engine is not darken.engine
    np.testing.assert_array_equal(copy(rainy), darken(rainy))


def test_pickled_restorer_finds_its_model_from_another_folder(networks, tmp_path, monkeypatch):
    monkeypatch.chdir(networks)
    pickled = pickle.dumps(derain.Restorer("copying.onnx"))
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(pickled).model.name == "copying"


def test_restore_can_be_pickled():
    assert pickle.loads(pickle.dumps(derain.restore)) is restorer.restore


# derain.restore


def test_signature_of_restore():
    parameters = list(inspect.signature(derain.restore).parameters)
    assert parameters == ["image_or_path", "strength", "mask", "options"]


def test_restore_returns_the_pixels_of_a_file(copying, rng, tmp_path):
    rainy = rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)
    pictures.write(Picture(rainy), tmp_path / "photo.png")
    np.testing.assert_array_equal(derain.restore(tmp_path / "photo.png", **copying), rainy)


def test_restored_pixels_of_a_grey_file_are_writable(copying, tmp_path):
    grey = Picture(as_colour(np.full((12, 10), 90, np.uint8)), grey=True)
    pictures.write(grey, tmp_path / "photo.png")
    restored = derain.restore(tmp_path / "photo.png", **copying)
    restored += 1
    np.testing.assert_array_equal(restored, np.full((12, 10), 91))


def test_restore_accepts_path_like_objects(copying, tmp_path):
    class Entry:
        def __fspath__(self):
            return str(tmp_path / "photo.png")

    pictures.write(Picture(np.full((4, 5, 3), 90, np.uint8)), tmp_path / "photo.png")
    assert derain.restore(Entry(), **copying).shape == (4, 5, 3)


def test_restore_reads_a_changed_model_again(networks, tmp_path, monkeypatch):
    """As in a notebook that trains, exports and restores."""
    white = np.full((9, 8, 3), 255, np.uint8)
    for folder, name in (("a", "copying"), ("b", "darkening")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.onnx").write_bytes((networks / f"{name}.onnx").read_bytes())
    monkeypatch.chdir(tmp_path / "a")
    assert derain.restore(white, model="mine.onnx").max() == 255
    monkeypatch.chdir(tmp_path / "b")
    assert derain.restore(white, model="mine.onnx").max() == 191
    (tmp_path / "b" / "mine.onnx").write_bytes((networks / "copying.onnx").read_bytes())
    assert derain.restore(white, model="mine.onnx").max() == 255


@pytest.mark.slow
def test_restore_imports_no_torch(networks):
    run_python(WITHOUT_TORCH.format(model=str(networks / "copying.onnx")))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak")
def test_100_megapixels_need_less_than_2_gib(networks, tmp_path):
    """From file to file with a network that copies, plus the memory that a real one may use."""
    from derain.inference.tile_plan import LIMIT_MIB

    source, target = str(tmp_path / "in.jpg"), str(tmp_path / "out.jpg")
    pictures.write(Picture(np.zeros((10_000, 10_000, 3), np.uint8)), source)
    model = str(networks / "copying.onnx")
    code = HUNDRED_MEGAPIXELS.format(source=source, target=target, model=model)
    peak_mib = int(run_python(code)) / 1024
    assert peak_mib + LIMIT_MIB < 2048
