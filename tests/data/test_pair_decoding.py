"""`Pair.load` and `Pair.read`: bit depths, modes, orientation and errors."""

import numpy as np
import pytest
from helpers.pairs import put, scene
from PIL import ExifTags, Image

from derain.data.pairs.find import find_pairs
from derain.data.pairs.pair import Pair, decode, displayed_size
from derain.errors import DataError
from derain.evaluate.protocols import eight_bit
from derain.pictures.png_chunks import pack_chunk

SIZES = {"rainy": (40, 30), "clean": (30, 40)}
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>
</rdf:RDF></x:xmpmeta>"""


@pytest.fixture
def save_pair(tmp_path):
    """A function that saves a picture as both sides of a pair, and returns the pair."""

    def save(image, name="1.png", format=None):
        for side in ("rainy", "clean"):
            (tmp_path / side).mkdir()
            image.save(tmp_path / side / name, format)
        return find_pairs(tmp_path).pairs[0]

    return save


@pytest.mark.parametrize("clean_side", ["left", "right"])
def test_halves_load_as_rainy_then_clean(tmp_path, rng, clean_side):
    rainy, clean = scene(rng)
    halves = [clean, rainy] if clean_side == "left" else [rainy, clean]
    Image.fromarray(np.hstack(halves)).save(tmp_path / "1.png")
    pair = find_pairs(tmp_path, layout=f"clean-{clean_side}").pairs[0]
    np.testing.assert_array_equal(pair.load(), (rainy, clean))


def test_halves_keep_16_bits(tmp_path):
    Image.fromarray(np.arange(12, dtype=np.uint16).reshape(2, 6)).save(tmp_path / "1.png")
    rainy, clean = find_pairs(tmp_path, layout="clean-left").pairs[0].read()
    assert rainy[:, :, 0].tolist() == [[3, 4, 5], [9, 10, 11]]
    assert clean[:, :, 0].tolist() == [[0, 1, 2], [6, 7, 8]]


@pytest.mark.parametrize(
    ("mode", "value", "loaded"),
    [("L", 7, (7, 7, 7)), ("RGBA", (1, 2, 3, 4), (1, 2, 3)), ("I;16", 51456, (200,) * 3)],
)
def test_every_mode_loads_as_rgb(save_pair, mode, value, loaded):
    rainy, _ = save_pair(Image.new(mode, (5, 4), value)).load()
    assert rainy.shape == (4, 5, 3)
    assert rainy.dtype == np.uint8
    assert tuple(rainy[0, 0]) == loaded


def test_16_bits_are_rounded_as_in_reports(save_pair):
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    rainy, _ = save_pair(Image.fromarray(every)).load()
    np.testing.assert_array_equal(rainy[..., 0], eight_bit(every))


@pytest.mark.parametrize(
    ("mode", "dtype"), [("RGB", np.uint8), ("L", np.uint8), ("1", np.uint8), ("I;16", np.uint16)]
)
def test_ppm_is_read_with_any_case_of_its_suffix(save_pair, mode, dtype):
    rainy, _ = save_pair(Image.new(mode, (5, 4), 1), "1.PPM", "PPM").read()
    assert rainy.shape == (4, 5, 3)
    assert rainy.dtype == dtype


def test_rotated_photo_loads_upright(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    put(tmp_path / "rainy" / "1.jpg", size=(40, 30), exif=exif)
    put(tmp_path / "clean" / "1.png", size=(30, 40))
    pair = find_pairs(tmp_path).pairs[0]
    assert pair.size_px == (30, 40)
    assert pair.load()[0].shape == (40, 30, 3)


def exif_at_the_end(path, orientation):
    """Move the EXIF of a PNG, with an orientation, behind its pixels."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    chunk = pack_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    data = path.read_bytes()
    end = data.rindex(b"IEND") - 4
    path.write_bytes(data[:end] + chunk + data[end:])


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif", ".png"])
def test_size_of_a_photo_with_a_hidden_orientation_is_that_of_its_pixels(tmp_path, suffix):
    path = tmp_path / f"1{suffix}"
    options = {".tif": {"tiffinfo": {700: XMP}}, ".png": {}}.get(suffix, {"xmp": XMP})
    put(path, size=(40, 30), **options)
    if suffix == ".png":
        exif_at_the_end(path, 6)
    assert displayed_size(path) == (30, 40)
    assert decode(path).shape == (40, 30, 3)


def test_sides_of_different_sizes_are_named(tmp_path):
    paths = [put(tmp_path / f"{name}.png", size=size) for name, size in SIZES.items()]
    with pytest.raises(
        DataError, match=r"rainy\.png: has 40x30 pixels, but .*clean\.png has 30x40"
    ):
        Pair("1", *paths, (40, 30)).load()


def test_truncated_file_is_named(tmp_path):
    put(tmp_path / "rainy" / "1.png")
    path = put(tmp_path / "clean" / "1.png")
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"clean/1\.png: .*, or remove it from the data set"):
        find_pairs(tmp_path).pairs[0].load()
