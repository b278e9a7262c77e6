"""`derain.Restorer` and `derain.inference`: arrays in, arrays out, and no torch."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import derain
from derain import pictures
from derain.errors import PictureError
from derain.inference import restorer
from derain.pictures import Picture
from derain.pictures.picture import as_colour


@pytest.fixture(scope="module")
def darken(networks) -> derain.Restorer:
    """Takes a quarter of full brightness away."""
    return derain.Restorer(networks / "darkening.onnx", precision="float32")


def test_the_public_names():
    assert derain.__all__ == ["DerainError", "Restorer", "__version__", "restore"]


@pytest.mark.parametrize(
    ("dtype", "white"),
    [("uint8", 255), ("uint16", 65535), ("float16", 1.0), ("float32", 1.0), ("float64", 1.0)],
)
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4), (1, 1)])
def test_shape_and_type_come_back(darken, dtype, white, shape):
    restored = darken(np.full(shape, white, dtype))
    assert (restored.shape, restored.dtype) == (shape, dtype)


@pytest.mark.parametrize(
    ("dtype", "white", "tolerance"),
    [("uint8", 255, 1), ("uint16", 65535, 1), ("float16", 1.0, 1e-3), ("float64", 1.0, 1e-6)],
)
def test_every_type_is_restored_to_the_same_light(darken, dtype, white, tolerance):
    assert abs(float(darken(np.full((3, 3, 3), white, dtype))[1, 1, 1]) - 0.75 * white) <= tolerance


def test_alpha_is_handed_through(darken, rng):
    rainy = rng.integers(0, 256, (6, 9, 4), dtype=np.uint8)
    np.testing.assert_array_equal(darken(rainy)[..., 3], rainy[..., 3])


def test_the_input_is_left_alone(darken):
    rainy = np.full((4, 4, 3), 200, np.uint8)
    darken(rainy)
    assert rainy.min() == 200


def test_an_array_with_gaps_between_its_rows_is_read_as_it_looks(darken, rng):
    large = rng.integers(80, 256, (20, 30, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        darken(large[::-2, ::3]), darken(np.ascontiguousarray(large[::-2, ::3]))
    )


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.zeros((4, 4, 2), np.uint8), r"shape \(4, 4, 2\) is not a picture"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\) is not a picture"),
        (np.zeros((2, 4, 4, 3), np.uint8), "is not a picture"),
        (np.zeros((4, 4, 3), np.int64), "array of int64"),
        (np.full((4, 4, 3), np.nan), "not finite"),
        (np.full((4, 4, 3), 255.0), "floats from 255 to 255, and 0 to 1 are expected"),
    ],
)
def test_what_is_no_picture_is_refused(darken, image, sentence):
    with pytest.raises(PictureError, match=sentence):
        darken(image)


@pytest.mark.parametrize("wishes", [{"strength": 2}, {"mask": np.zeros((2, 2), np.uint8)}])
def test_what_cannot_be_mixed_is_refused_before_any_work(darken, wishes):
    done = []
    with pytest.raises(PictureError):
        darken(np.zeros((5, 7, 3), np.uint8), on_tile=lambda *tile: done.append(tile), **wishes)
    assert not done


@pytest.mark.parametrize("kind", ["list of bools", "picture", "path"])
def test_a_mask_may_be_whatever_numpy_or_pillow_reads(kind, networks, rng, tmp_path):
    rainy = rng.integers(50, 256, (12, 10, 3), dtype=np.uint8)
    mask = np.zeros((12, 10), np.uint8)
    mask[:, :5] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    given = {
        "list of bools": (mask > 0).tolist(),
        "picture": Image.fromarray(mask),
        "path": tmp_path / "mask.png",
    }[kind]
    restored = derain.restore(rainy, mask=given, model=str(networks / "darkening.onnx"))
    assert (restored[:, 5:] == rainy[:, 5:]).all()
    assert (restored[:, :5] != rainy[:, :5]).any()


def test_a_feathered_mask_may_exceed_white_by_rounding(darken, rng):
    rainy = rng.integers(50, 256, (12, 10, 3), dtype=np.uint8)
    mask = np.full((12, 10), 1 + 2.4e-7, np.float32)
    np.testing.assert_array_equal(darken(rainy, mask=mask), darken(rainy))


def test_another_process_loads_the_network_anew(darken, rng):
    rainy = rng.random((12, 10, 3), dtype=np.float32)
    other = pickle.loads(pickle.dumps(darken))
    assert (other.model, other.engine is darken.engine) == (darken.model, False)
    np.testing.assert_array_equal(other(rainy), darken(rainy))


def test_restore_may_be_sent_to_another_process_however_often(networks, rng):
    rainy = rng.random((12, 10, 3), dtype=np.float32)
    for _ in range(2):
        other = pickle.loads(pickle.dumps(derain.inference))
        np.testing.assert_array_equal(other(rainy, model=networks / "copying.onnx"), rainy)


def test_restore_tells_what_it_takes():
    assert (
        list(inspect.signature(derain.inference).parameters)[:2]
        == list(inspect.signature(restorer.restore).parameters)[:2]
    )


def test_a_path_gives_the_pixels_of_the_file(networks, rng, tmp_path):
    rainy = rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)
    pictures.write(Picture(rainy), tmp_path / "photo.png")
    restored = derain.restore(
        tmp_path / "photo.png", model=networks / "copying.onnx", precision="float32"
    )
    np.testing.assert_array_equal(restored, rainy)


def test_the_pixels_of_a_grey_file_can_be_written_to(networks, tmp_path):
    pictures.write(
        Picture(as_colour(np.full((12, 10), 90, np.uint8)), grey=True), tmp_path / "photo.png"
    )
    restored = derain.restore(
        tmp_path / "photo.png", model=networks / "copying.onnx", precision="float32"
    )
    restored += 1
    assert (restored.shape, int(restored.max())) == ((12, 10), 91)


def test_the_one_call_form_works_however_its_package_was_imported(networks):
    lines = [
        "import derain, numpy",
        f"call = lambda: derain.restore(numpy.zeros((9, 9), numpy.uint8), model={str(networks / 'copying.onnx')!r}).shape",
        "assert call() == (9, 9)",
        "import derain.inference.engines.engine",
        "assert call() == (9, 9)",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


def test_a_small_tile_gives_what_a_large_one_gives(networks, rng):
    rainy = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    small = derain.Restorer(networks / "darkening.onnx", precision="float32", tile_px=96)
    large = derain.Restorer(networks / "darkening.onnx", precision="float32")
    np.testing.assert_array_equal(small(rainy), large(rainy))


def test_restoring_imports_no_torch(networks):
    lines = [
        "import derain, numpy, sys",
        f"derain.restore(numpy.zeros((9, 9, 3), numpy.uint8), model={str(networks / 'copying.onnx')!r})",
        "heavy = {'torch', 'onnx', 'safetensors', 'scipy', 'skimage'} & set(sys.modules)",
        "assert not heavy, heavy",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


@pytest.mark.slow
def test_a_hundred_megapixels_stay_below_two_gibibytes(networks, tmp_path):
    """From file to file with a network that copies, plus the memory that the real one is allowed."""
    lines = [
        "import sys, resource, numpy as np",
        "from derain import Restorer, picture",
        "from derain.inference.tile_plan import LIMIT_MIB",
        f"photo, out = {str(tmp_path / 'in.jpg')!r}, {str(tmp_path / 'out.jpg')!r}",
        "def errand(restorer):",
        "    rainy = picture.read(photo)",
        "    restored = restorer.restore_picture(rainy)",
        "    del rainy",
        "    picture.write(restored, out)",
        f"errand(Restorer({str(networks / 'copying.onnx')!r}, threads=1))",
        "peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024",
        "print(round(peak_mib + LIMIT_MIB))",
    ]
    pictures.write(Picture(np.zeros((10_000, 10_000, 3), np.uint8)), tmp_path / "in.jpg")
    run = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], check=True, capture_output=True, text=True
    )
    assert int(run.stdout) < 2048


def test_any_path_like_object_names_a_file(tmp_path, networks):
    class Entry:
        def __fspath__(self):
            return str(tmp_path / "photo.png")

    pictures.write(Picture(np.full((4, 5, 3), 90, np.uint8)), tmp_path / "photo.png")
    assert derain.restore(Entry(), model=networks / "copying.onnx").shape == (4, 5, 3)


@pytest.mark.parametrize(
    ("mode", "is_taken"),
    [("RGB", True), ("RGBA", True), ("L", True), ("P", False), ("CMYK", False)],
)
def test_pillow_pictures_are_taken_where_their_samples_are_colours(mode, is_taken, darken):
    image = Image.new("RGB", (9, 8), (255, 255, 255)).convert(mode)
    if is_taken:
        assert int(darken(image)[0, 0].min()) == 191
    else:
        with pytest.raises(
            PictureError, match=rf"of mode {mode} holds no R, G, B; give image\.convert\('RGB'\)"
        ):
            darken(image)


def test_a_model_that_was_made_anew_is_read_anew(networks, tmp_path, monkeypatch):
    """As in a notebook in which one trains, exports and looks."""
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


def test_a_restorer_finds_its_model_from_another_folder(networks, tmp_path, monkeypatch):
    monkeypatch.chdir(networks)
    packed = pickle.dumps(derain.Restorer("copying.onnx"))
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(packed).model.name == "copying"


@pytest.mark.parametrize("channels", [3, 4])
def test_the_order_of_bytes_comes_back(channels, darken):
    assert darken(np.full((5, 6, channels), 65535, ">u2")).dtype == np.dtype(">u2")
