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

ANIMATED = [".gif", ".webp", ".png", ".avif"]
DURATIONS = [40, 250, 100]


@pytest.fixture
def frames(rng) -> list[Image.Image]:
    """Return three frames with few colours, so that a GIF stores them exactly."""
    colours = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return [
        Image.fromarray(colours[index].repeat(8, 0).reshape(4, 8, 3).repeat(8, 0))
        for index in range(3)
    ]


def save_animation(path: Path, frames: list[Image.Image], **options: object) -> Path:
    lossless = {".webp": {"lossless": True}, ".avif": {"quality": 100}}.get(path.suffix, {})
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=DURATIONS, **lossless, **options
    )
    return path


def round_trip(source: Path) -> Path:
    """Write the frames one by one, while the source is read."""
    target = source.with_stem("out")
    pictures.write_frames(pictures.read_frames(source), target)
    return target


def decode_frames(path: Path) -> list[np.ndarray]:
    with Image.open(path) as image:
        return [
            np.asarray(frame.convert("RGBA")).astype(int) for frame in ImageSequence.Iterator(image)
        ]


def read_durations(path: Path) -> list[float]:
    durations = []
    with Image.open(path) as image:
        for frame in ImageSequence.Iterator(image):
            frame.load()
            durations.append(frame.info["duration"])
    return durations


@pytest.mark.parametrize("suffix", ANIMATED)
def test_frames_look_the_same(suffix, frames, tmp_path):
    source = save_animation(tmp_path / f"in{suffix}", frames)
    for before, after in itertools.zip_longest(
        decode_frames(source), decode_frames(round_trip(source))
    ):
        assert np.abs(before - after).mean() < (4 if suffix == ".avif" else 0.01)


@pytest.mark.parametrize("suffix", ANIMATED)
def test_durations_are_kept(suffix, frames, tmp_path):
    out = round_trip(save_animation(tmp_path / f"in{suffix}", frames))
    assert [round(duration) for duration in read_durations(out)] == DURATIONS


def test_png_keeps_fractional_durations(rng, tmp_path):
    frames = [Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(3)]
    frames[0].save(tmp_path / "in.png", save_all=True, append_images=frames[1:], duration=1000 / 30)
    data = round_trip(tmp_path / "in.png").read_bytes()
    starts = [match.end() for match in re.finditer(b"fcTL", data)]
    assert [struct.unpack_from(">HH", data, start + 20) for start in starts] == [(1, 30)] * 3


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [(".gif", [30, 40, 30, 30, 40, 30]), (".webp", [33, 34, 33, 33, 34, 33])],
)
def test_rounded_durations_keep_the_speed(suffix, expected, rng, tmp_path):
    frames = [Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(6)]
    frames[0].save(tmp_path / "in.png", save_all=True, append_images=frames[1:], duration=1000 / 30)
    pictures.write_frames(pictures.read_frames(tmp_path / "in.png"), tmp_path / f"out{suffix}")
    assert read_durations(tmp_path / f"out{suffix}") == expected


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
@pytest.mark.parametrize("loop", [0, 3])
def test_loop_count_is_kept(loop, suffix, frames, tmp_path):
    with Image.open(
        round_trip(save_animation(tmp_path / f"in{suffix}", frames, loop=loop))
    ) as image:
        assert image.info["loop"] == loop


def test_gif_without_a_loop_count_stays_so(frames, tmp_path):
    with Image.open(round_trip(save_animation(tmp_path / "in.gif", frames))) as image:
        assert "loop" not in image.info


def test_constant_transparent_margin_is_kept(frames, tmp_path):
    """libwebp makes such a margin opaque unless it writes complete frames."""
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
    for frame in decode_frames(round_trip(tmp_path / "in.webp")):
        assert not frame[:, :3, 3].any()


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_moving_transparency_is_kept(suffix, frames, tmp_path):
    for index, frame in enumerate(frames):
        alpha = np.full((32, 8), 255, np.uint8)
        alpha[8 * index : 8 * index + 8] = 0
        frame.putalpha(Image.fromarray(alpha))
    source = save_animation(
        tmp_path / f"in{suffix}", frames, **({"disposal": 2} if suffix == ".gif" else {})
    )
    for before, after in itertools.zip_longest(
        decode_frames(source), decode_frames(round_trip(source))
    ):
        np.testing.assert_array_equal(after[..., 3], before[..., 3])


def test_default_image_of_an_apng_is_kept(frames, tmp_path):
    frames[0].save(
        tmp_path / "in.png",
        save_all=True,
        append_images=frames[1:],
        duration=DURATIONS[1:],
        default_image=True,
    )
    with Image.open(round_trip(tmp_path / "in.png")) as image:
        assert image.info["default_image"] is True
        assert image.n_frames == 3


def test_large_animation_is_rejected(frames, tmp_path, monkeypatch):
    source = save_animation(tmp_path / "in.gif", frames)
    monkeypatch.setattr(pictures.reader, "MAX_MEGAPIXELS", 0.0005)
    message = r"in\.gif: its 3 frames have more than .* convert it to a video first"
    with pytest.raises(PictureError, match=message):
        next(pictures.read_frames(source))


def test_size_limit_of_animations_ignores_single_pictures(frames, tmp_path, monkeypatch):
    """Pillow has a limit for these."""
    monkeypatch.setattr(pictures.reader, "MAX_MEGAPIXELS", 0.0005)
    frames[0].save(tmp_path / "one.png")
    assert len(list(pictures.read_frames(tmp_path / "one.png"))) == 1


def test_read_rejects_several_frames(frames, tmp_path):
    message = r"in\.gif: contains 3 pictures, but one is expected here; save one of them as a sep"
    with pytest.raises(PictureError, match=message):
        pictures.read(save_animation(tmp_path / "in.gif", frames))


def test_still_format_rejects_frames(frames, tmp_path):
    source = save_animation(tmp_path / "in.gif", frames)
    message = r"out\.jpg: JPEG cannot store several pictures; write \.gif"
    with pytest.raises(PictureError, match=message):
        pictures.write_frames(pictures.read_frames(source), tmp_path / "out.jpg")
    assert not (tmp_path / "out.jpg").exists()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_pages_of_different_sizes_and_modes(dtype, rng, tmp_path):
    pages = [
        rng.integers(0, 256, shape, dtype=np.uint8).astype(dtype)
        for shape in [(300, 20, 3), (7, 9), (12, 16, 3)]
    ]
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        for page in pages:
            file.write(page, photometric="rgb" if page.ndim == 3 else "minisblack")
    with tifffile.TiffFile(round_trip(tmp_path / "in.tif")) as file:
        for page, before in itertools.zip_longest(file.pages, pages):
            np.testing.assert_array_equal(page.asarray(), before)


def test_animation_format_rejects_pages(tmp_path):
    Image.new("L", (9, 5)).save(
        tmp_path / "in.tif", save_all=True, append_images=[Image.new("L", (9, 5))]
    )
    message = r"out\.png: PNG stores animations, but the source has pages; write \.tif"
    with pytest.raises(PictureError, match=message):
        pictures.write_frames(pictures.read_frames(tmp_path / "in.tif"), tmp_path / "out.png")


def test_each_page_keeps_its_description(tmp_path):
    pages = [Image.new("L", (9, 5), index) for index in range(3)]
    for index, page in enumerate(pages):
        tags = ImageFileDirectory_v2()
        tags[270] = f"page {index}"
        page.encoderinfo = {"tiffinfo": tags}
    pages[0].save(
        tmp_path / "in.tif",
        save_all=True,
        append_images=pages[1:],
        tiffinfo=pages[0].encoderinfo["tiffinfo"],
    )
    with tifffile.TiffFile(round_trip(tmp_path / "in.tif")) as file:
        assert [page.tags[270].value for page in file.pages] == ["page 0", "page 1", "page 2"]


def test_orientation_applies_to_one_page(rng, tmp_path):
    page = rng.integers(0, 256, (8, 12), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        file.write(page, extratags=[(274, 3, 1, 6, True)])
        file.write(page)
    sizes = [frame.pixels.shape[:2] for frame in pictures.read_frames(tmp_path / "in.tif")]
    assert sizes == [(12, 8), (8, 12)]


def test_tiff_above_four_gibibytes_is_rejected(rng, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures.tiff, "MAX_BYTES", 10_000)
    page = Picture(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    with pytest.raises(PictureError, match="cannot exceed 4 GiB"):
        pictures.write_frames([page], tmp_path / "out.tif")
    assert list(tmp_path.iterdir()) == []


def test_truncated_source_leaves_no_output(frames, tmp_path):
    source = save_animation(tmp_path / "in.png", frames)
    source.write_bytes(source.read_bytes()[:-80])
    with pytest.raises(PictureError, match=r"in\.png: "):
        round_trip(source)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("suffix", [".gif", ".tif"])
@pytest.mark.parametrize("error", [ValueError, RuntimeError, OSError])
def test_exception_of_the_source_is_unchanged(error, suffix, tmp_path):
    def frames():
        yield Picture(np.zeros((4, 4, 3), np.uint8))
        raise error("in the source")

    with pytest.raises(error, match=r"^in the source$"):
        pictures.write_frames(frames(), tmp_path / f"out{suffix}")
    assert not list(tmp_path.iterdir())


def test_command_restores_every_frame(frames, networks, tmp_path):
    source = save_animation(tmp_path / "in.webp", frames)
    options = ["--model", str(networks / "darkening.onnx"), "--precision", "float32", "--save-rain"]
    assert main([str(source), *options]) == 0
    for before, after, rain in zip(
        decode_frames(source),
        decode_frames(tmp_path / "in_derained.webp"),
        decode_frames(tmp_path / "in_derained_rain.webp"),
        strict=True,
    ):
        assert np.abs(before - after - rain)[..., :3].max() <= 1
        assert after.sum() < before.sum()


def test_unwritable_rain_layer_leaves_no_result(frames, networks, tmp_path):
    source = save_animation(tmp_path / "in.webp", frames)
    (tmp_path / "in_derained_rain.webp").mkdir()
    options = ["--model", str(networks / "copying.onnx"), "--save-rain", "--overwrite"]
    assert main([str(source), *options]) == 1
    assert not (tmp_path / "in_derained.webp").exists()


def test_gif_of_grey_with_alpha(tmp_path):
    alpha = np.zeros((9, 9), np.uint8)
    alpha[3:6] = 255
    grey = Picture(np.full((9, 9, 3), 77, np.uint8), alpha=alpha, grey=True)
    pictures.write(grey, tmp_path / "out.gif")
    np.testing.assert_array_equal(pictures.read(tmp_path / "out.gif").alpha, alpha)
