"""Animations frame by frame, and TIFFs page by page."""

from __future__ import annotations

import itertools
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageSequence
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from derain import pictures
from derain.cli.main import main
from derain.errors import PictureError
from derain.pictures import Picture

MOVING = [".gif", ".webp", ".png", ".avif"]
DURATIONS = [40, 250, 100]


@pytest.fixture
def frames(rng) -> list[Image.Image]:
    """Three frames of few colours, as a GIF can hold."""
    colours = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return [
        Image.fromarray(colours[index].repeat(8, 0).reshape(4, 8, 3).repeat(8, 0))
        for index in range(3)
    ]


def animation(path: Path, frames: list[Image.Image], **options: object) -> Path:
    lossless = {".webp": {"lossless": True}, ".avif": {"quality": 100}}.get(path.suffix, {})
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=DURATIONS, **lossless, **options
    )
    return path


def through(source: Path) -> Path:
    target = source.with_stem("out")
    pictures.write_frames(pictures.read_frames(source), target)
    return target


def shown(path: Path) -> list[np.ndarray]:
    with Image.open(path) as image:
        return [
            np.asarray(frame.convert("RGBA")).astype(int) for frame in ImageSequence.Iterator(image)
        ]


@pytest.mark.parametrize("suffix", MOVING)
def test_every_frame_looks_as_it_did(suffix, frames, tmp_path):
    source = animation(tmp_path / f"in{suffix}", frames)
    for before, after in itertools.zip_longest(shown(source), shown(through(source))):
        assert np.abs(before - after).mean() < (4 if suffix == ".avif" else 0.01)


@pytest.mark.parametrize("suffix", MOVING)
def test_every_frame_is_shown_as_long(suffix, frames, tmp_path):
    with Image.open(through(animation(tmp_path / f"in{suffix}", frames))) as image:
        durations = []
        for frame in ImageSequence.Iterator(image):
            frame.load()
            durations.append(round(frame.info["duration"]))
    assert durations == DURATIONS


def test_a_thirtieth_of_a_second_of_a_png_stays_one(rng, tmp_path):
    frames = [Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(3)]
    frames[0].save(tmp_path / "in.png", save_all=True, append_images=frames[1:], duration=1000 / 30)
    data = through(tmp_path / "in.png").read_bytes()
    starts = [match.end() for match in re.finditer(b"fcTL", data)]
    assert [struct.unpack_from(">HH", data, start + 20) for start in starts] == [(1, 30)] * 3


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [(".gif", [30, 40, 30, 30, 40, 30]), (".webp", [33, 34, 33, 33, 34, 33])],
)
def test_where_times_are_coarser_the_speed_stays(suffix, expected, rng, tmp_path):
    frames = [Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(6)]
    frames[0].save(tmp_path / "in.png", save_all=True, append_images=frames[1:], duration=1000 / 30)
    pictures.write_frames(pictures.read_frames(tmp_path / "in.png"), tmp_path / f"out{suffix}")
    with Image.open(tmp_path / f"out{suffix}") as image:
        durations = []
        for frame in ImageSequence.Iterator(image):
            frame.load()
            durations.append(frame.info["duration"])
    assert durations == expected


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
@pytest.mark.parametrize("loop", [0, 3])
def test_it_is_played_as_often(loop, suffix, frames, tmp_path):
    with Image.open(through(animation(tmp_path / f"in{suffix}", frames, loop=loop))) as image:
        assert image.info["loop"] == loop


def test_a_gif_that_plays_once_plays_once(frames, tmp_path):
    with Image.open(through(animation(tmp_path / "in.gif", frames))) as image:
        assert "loop" not in image.info


def test_a_margin_that_is_always_transparent_stays_so(frames, tmp_path):
    """Where no frame changes it, libwebp's encoder made it opaque."""
    alpha = np.full((32, 8), 255, np.uint8)
    alpha[:, :3] = 0
    for frame in frames:
        frame.putalpha(Image.fromarray(alpha))
    frames[0].save(
        tmp_path / "in.webp",
        save_all=True,
        append_images=frames[1:],
        duration=DURATIONS,
        kmin=1,
        kmax=1,
    )
    assert [
        np.unique(frame[:, :3, 3]).tolist() for frame in shown(through(tmp_path / "in.webp"))
    ] == [[0]] * 3


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_transparency_moves(suffix, frames, tmp_path):
    for index, frame in enumerate(frames):
        alpha = np.full((32, 8), 255, np.uint8)
        alpha[8 * index : 8 * index + 8] = 0
        frame.putalpha(Image.fromarray(alpha))
    source = animation(
        tmp_path / f"in{suffix}", frames, **({"disposal": 2} if suffix == ".gif" else {})
    )
    for before, after in itertools.zip_longest(shown(source), shown(through(source))):
        np.testing.assert_array_equal(after[..., 3], before[..., 3])


def test_the_still_of_an_animated_png_stays_outside_of_it(frames, tmp_path):
    frames[0].save(
        tmp_path / "in.png",
        save_all=True,
        append_images=frames[1:],
        duration=DURATIONS[1:],
        default_image=True,
    )
    with Image.open(through(tmp_path / "in.png")) as image:
        assert (image.info["default_image"], image.n_frames) == (True, 3)


def test_an_animation_with_too_many_pixels_is_refused(frames, tmp_path, monkeypatch):
    source = animation(tmp_path / "in.gif", frames)
    monkeypatch.setattr(pictures.reader, "MAX_MEGAPIXELS", 0.0005)
    with pytest.raises(
        PictureError, match=r"in\.gif: its 3 frames have more than .* make a video of it first"
    ):
        next(pictures.read_frames(source))
    frames[0].save(tmp_path / "one.png")  # for which Pillow's own bound stands
    assert len(list(pictures.read_frames(tmp_path / "one.png"))) == 1


def test_one_picture_is_asked_for_and_many_are_there(frames, tmp_path):
    with pytest.raises(
        PictureError,
        match=r"in\.gif: it holds 3 pictures, and one is needed here; save one of them as a file of its own$",
    ):
        pictures.read(animation(tmp_path / "in.gif", frames))


def test_frames_do_not_go_into_a_kind_that_holds_one(frames, tmp_path):
    source = animation(tmp_path / "in.gif", frames)
    with pytest.raises(
        PictureError, match=r"out\.jpg: JPEG holds one picture, and there are more; write \.gif"
    ):
        pictures.write_frames(pictures.read_frames(source), tmp_path / "out.jpg")
    assert not (tmp_path / "out.jpg").exists()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_pages_of_any_size_and_kind(dtype, rng, tmp_path):
    pages = [
        rng.integers(0, 256, shape, dtype=np.uint8).astype(dtype)
        for shape in [(300, 20, 3), (7, 9), (12, 16, 3)]
    ]
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        for page in pages:
            file.write(page, photometric="rgb" if page.ndim == 3 else "minisblack")
    with tifffile.TiffFile(through(tmp_path / "in.tif")) as file:
        for page, before in itertools.zip_longest(file.pages, pages):
            np.testing.assert_array_equal(page.asarray(), before)


def test_pages_do_not_become_an_animation(tmp_path):
    Image.new("L", (9, 5)).save(
        tmp_path / "in.tif", save_all=True, append_images=[Image.new("L", (9, 5))]
    )
    with pytest.raises(
        PictureError,
        match=r"out\.png: PNG holds an animation, and the source has pages; write \.tif",
    ):
        pictures.write_frames(pictures.read_frames(tmp_path / "in.tif"), tmp_path / "out.png")


def test_each_page_keeps_its_own_words(tmp_path):
    pages = [Image.new("L", (9, 5), index) for index in range(3)]
    for index, page in enumerate(pages):
        words = ImageFileDirectory_v2()
        words[270] = f"page {index}"
        page.encoderinfo = {"tiffinfo": words}
    pages[0].save(
        tmp_path / "in.tif",
        save_all=True,
        append_images=pages[1:],
        tiffinfo=pages[0].encoderinfo["tiffinfo"],
    )
    with tifffile.TiffFile(through(tmp_path / "in.tif")) as file:
        assert [page.tags[270].value for page in file.pages] == ["page 0", "page 1", "page 2"]


def test_a_sideways_page_is_turned_and_its_neighbour_is_not(rng, tmp_path):
    page = rng.integers(0, 256, (8, 12), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        file.write(page, extratags=[(274, 3, 1, 6, True)])
        file.write(page)
    sizes = [frame.pixels.shape[:2] for frame in pictures.read_frames(tmp_path / "in.tif")]
    assert sizes == [(12, 8), (8, 12)]


def test_a_tiff_stops_at_four_gibibytes(rng, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures.tiff, "MOST_BYTES", 10_000)
    page = Picture(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    with pytest.raises(PictureError, match="cannot be larger than 4 GiB"):
        pictures.write_frames([page], tmp_path / "out.tif")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_breaks_off_in_the_middle_leaves_nothing(frames, tmp_path):
    source = animation(tmp_path / "in.png", frames)
    source.write_bytes(source.read_bytes()[:-80])
    with pytest.raises(PictureError, match=r"in\.png: "):
        through(source)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("suffix", [".gif", ".tif"])
@pytest.mark.parametrize("kind", [ValueError, RuntimeError, OSError])
def test_what_taking_a_frame_raises_comes_through_as_it_is(kind, suffix, tmp_path):
    def frames():
        yield Picture(np.zeros((4, 4, 3), np.uint8))
        raise kind("of the frames")

    with pytest.raises(kind, match=r"^of the frames$"):
        pictures.write_frames(frames(), tmp_path / f"out{suffix}")
    assert not list(tmp_path.iterdir())


def test_the_command_line_restores_every_frame(frames, networks, tmp_path):
    source = animation(tmp_path / "in.webp", frames)
    options = ["--model", str(networks / "darkening.onnx"), "--precision", "float32", "--save-rain"]
    assert main([str(source), *options]) == 0
    for before, after, rain in zip(
        shown(source),
        shown(tmp_path / "in_derained.webp"),
        shown(tmp_path / "in_derained_rain.webp"),
        strict=True,
    ):
        assert np.abs(before - after - rain)[..., :3].max() <= 1
        assert after.sum() < before.sum()


def test_a_rain_layer_that_cannot_be_written_leaves_the_photo_to_be_done(
    frames, networks, tmp_path
):
    source = animation(tmp_path / "in.webp", frames)
    (tmp_path / "in_derained_rain.webp").mkdir()
    options = ["--model", str(networks / "copying.onnx"), "--save-rain", "--overwrite"]
    assert main([str(source), *options]) == 1
    assert not (tmp_path / "in_derained.webp").exists()


def test_grey_and_transparent_goes_into_a_gif(tmp_path):
    alpha = np.zeros((9, 9), np.uint8)
    alpha[3:6] = 255
    grey = Picture(np.full((9, 9, 3), 77, np.uint8), alpha=alpha, grey=True)
    pictures.write(grey, tmp_path / "out.gif")
    np.testing.assert_array_equal(pictures.read(tmp_path / "out.gif").alpha, alpha)
