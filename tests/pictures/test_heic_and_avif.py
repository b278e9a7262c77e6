"""The two kinds that are one frame of a video codec: depth, chroma and names of colours."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derain import pictures
from derain.pictures import Picture
from derain.pictures.picture import Metadata, as_colour

av = pytest.importorskip("av")
pillow_heif = pytest.importorskip("pillow_heif")
P3 = {
    "color_primaries": 12,
    "transfer_characteristics": 13,
    "matrix_coefficients": 6,
    "full_range_flag": 1,
}


@pytest.fixture
def samples() -> np.ndarray:
    """A smooth ramp of 16 bits, (48, 64, 4)."""
    across, down = np.meshgrid(np.linspace(0, 1, 64), np.linspace(0, 1, 48))
    return (np.stack([across, down, across * down, 1 - across], -1) * 65535).astype(np.uint16)


def through(source: Path) -> Path:
    target = source.with_stem("out")
    pictures.write(pictures.read(source), target)
    return target


def deep_heic(
    path: Path, samples: np.ndarray, *, bits: int = 10, chroma: int = 444, **colours: int
) -> Path:
    mode = {2: "L;16", 3: "RGBA;16" if samples.shape[-1] == 4 else "RGB;16"}[samples.ndim]
    size = samples.shape[1::-1]
    pillow_heif.encode(
        mode, size, samples.tobytes(), path, quality=100, bit_depth=bits, chroma=chroma, **colours
    )
    return path


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("channels", ["grey", "colour", "alpha"])
def test_a_deep_heic_keeps_its_bits(channels, bits, samples, tmp_path):
    chosen = {"grey": samples[..., 0], "colour": samples[..., :3], "alpha": samples}[channels]
    source = deep_heic(tmp_path / "in.heic", chosen, bits=bits)
    after = pillow_heif.open_heif(through(source), convert_hdr_to_8bit=False)[0]
    assert after.info["bit_depth"] == bits
    assert (
        np.abs(np.asarray(after).astype(int) - chosen).mean() < 200
    )  # of 65535, where one of 8 bits is 257


def test_white_of_ten_bits_is_white(tmp_path):
    source = deep_heic(tmp_path / "in.heic", np.full((64, 64), 65535, np.uint16))
    assert pictures.read(source).pixels.min() == 65535


@pytest.mark.parametrize("chroma", [420, 422, 444])
def test_chroma_of_a_heic_is_kept(chroma, samples, tmp_path):
    Image.fromarray((samples[..., :3] >> 8).astype(np.uint8)).save(
        tmp_path / "in.heic", "HEIF", chroma=chroma
    )
    assert pillow_heif.open_heif(through(tmp_path / "in.heic"))[0].info["chroma"] == chroma


def test_a_deep_photo_of_another_kind_becomes_a_heic_of_ten_bits(samples, tmp_path):
    pictures.write(Picture(as_colour(samples[..., 0]), grey=True), tmp_path / "out.heic")
    assert pillow_heif.open_heif(tmp_path / "out.heic")[0].info["bit_depth"] == 10


@pytest.mark.parametrize("is_deep", [False, True])
def test_a_heic_that_names_its_primaries_keeps_them(is_deep, samples, tmp_path):
    colours = samples[..., :3] if is_deep else (samples[..., :3] >> 8).astype(np.uint8)
    mode = "RGB;16" if is_deep else "RGB"
    pillow_heif.encode(mode, (64, 48), colours.tobytes(), tmp_path / "in.heic", **P3)
    after = pillow_heif.open_heif(through(tmp_path / "in.heic"))[0].info["nclx_profile"]
    assert (after["color_primaries"], after["transfer_characteristics"]) == (12, 13)


def test_a_heic_for_bright_screens_keeps_what_it_tells_them(samples, tmp_path):
    light = {"max_content_light_level": 1000, "max_pic_average_light_level": 400}
    deep_heic(tmp_path / "in.heic", samples[..., :3], content_light_level=light)
    assert (
        pillow_heif.open_heif(through(tmp_path / "in.heic"))[0].info["content_light_level"] == light
    )


def avif(path: Path, layout: str, samples: np.ndarray) -> Path:
    """As FFmpeg writes it, in the primaries of Display P3."""
    with av.open(str(path), "w", format="avif") as container:
        stream = container.add_stream(
            "libsvtav1", rate=1, options={"crf": "10", "svtav1-params": "avif=1"}
        )
        stream.width, stream.height, stream.pix_fmt = 64, 48, layout
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = (
            12,
            13,
            6,
            2,
        )
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(samples[..., :3]), format="rgb48le"
        ).reformat(format=layout)
        frame.pts, frame.time_base = 0, Fraction(1)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def test_an_avif_that_names_its_primaries_keeps_them(samples, tmp_path):
    out = through(avif(tmp_path / "in.avif", "yuv420p", samples))
    boxes = out.read_bytes()
    assert boxes[boxes.index(b"colrnclx") + 8 :][:4] == b"\x00\x0c\x00\x0d"


def test_as_a_png_it_still_names_its_primaries(samples, tmp_path):
    pictures.write(
        pictures.read(avif(tmp_path / "in.avif", "yuv420p", samples)), tmp_path / "out.png"
    )
    assert b"cICP\x0c\x0d\x00\x01" in (tmp_path / "out.png").read_bytes()


def test_an_animation_that_names_its_primaries_keeps_them(samples, tmp_path):
    frame = pictures.read(avif(tmp_path / "in.avif", "yuv420p", samples))
    pictures.write_frames([frame, frame.with_image(frame.image[::-1])], tmp_path / "out.avif")
    assert pictures.heif.avif_boxes((tmp_path / "out.avif").open("rb")).colour_codes == (12, 13)


@pytest.mark.parametrize("chroma", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("frames", [1, 2])
def test_chroma_of_an_avif_is_kept(frames, chroma, samples, tmp_path):
    images = [Image.fromarray((samples[..., :3] >> 8).astype(np.uint8))] * frames
    images[0].save(
        tmp_path / "in.avif", subsampling=chroma, save_all=True, append_images=images[1:]
    )
    if frames == 1:
        through(tmp_path / "in.avif")
    else:
        pictures.write_frames(pictures.read_frames(tmp_path / "in.avif"), tmp_path / "out.avif")
    assert pictures.heif.avif_boxes((tmp_path / "out.avif").open("rb")).chroma == chroma


@pytest.mark.parametrize(("suffix", "chroma"), [(".png", "4:4:4"), (".jpg", "4:2:0")])
def test_an_avif_has_the_chroma_of_the_photo(suffix, chroma, samples, tmp_path):
    Image.fromarray((samples[..., :3] >> 8).astype(np.uint8)).save(
        tmp_path / f"in{suffix}", subsampling=2
    )
    pictures.write(pictures.read(tmp_path / f"in{suffix}"), tmp_path / "out.avif")
    assert pictures.heif.avif_boxes((tmp_path / "out.avif").open("rb")).chroma == chroma


@pytest.mark.parametrize("frames", [1, 2])
def test_a_grey_avif_stays_grey(frames, samples, tmp_path):
    grey = Picture(as_colour((samples[..., 0] >> 8).astype(np.uint8)), grey=True)
    if frames == 1:
        pictures.write(grey, tmp_path / "out.avif")
    else:
        pictures.write_frames([grey] * frames, tmp_path / "out.avif")
    assert next(iter(pictures.read_frames(tmp_path / "out.avif"))).grey


@pytest.mark.parametrize("suffix", [".avif", ".heic"])
def test_primaries_that_a_png_names_are_kept(suffix, samples, tmp_path):
    chunk = Picture(
        np.zeros((48, 64, 3), np.uint8), metadata=Metadata(png_chunks=((b"cICP", b"\x0c\x0d\0\1"),))
    )
    pictures.write(chunk, tmp_path / "in.png")
    png = pictures.read(tmp_path / "in.png")
    pictures.write(png, tmp_path / f"out{suffix}")
    assert pictures.read(tmp_path / f"out{suffix}").metadata.colour_codes == (12, 13)
    assert pictures.omissions_when_writing(png, tmp_path / "a.jpg") == (
        "what a .jpg cannot say is left out: the codes of its colours",
    )
    pictures.write(png, tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().count(b"cICP") == 1


def test_an_avif_of_ten_bits_says_what_is_lost(samples, tmp_path):
    (loss,) = pictures.read(avif(tmp_path / "in.avif", "yuv420p10le", samples)).omissions
    assert loss.startswith("its 10 bits for a sample are read as 8")
    assert pictures.read(avif(tmp_path / "flat.avif", "yuv420p", samples)).omissions == ()


def test_a_heic_of_many_pictures_says_what_is_lost(samples, tmp_path):
    shots = [Image.fromarray((samples[..., index] >> 8).astype(np.uint8)) for index in range(3)]
    shots[0].save(tmp_path / "in.heic", "HEIF", save_all=True, append_images=shots[1:])
    assert pictures.read(tmp_path / "in.heic").omissions[0].startswith("it holds 3 pictures")
