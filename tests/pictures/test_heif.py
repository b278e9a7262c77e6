"""HEIC and AVIF, which hold a frame of a video codec: bit depth, chroma and colour codes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers.round_trip import round_trip
from PIL import Image

from derain import pictures
from derain.pictures import Picture
from derain.pictures.heif import AvifBoxes, read_avif_boxes
from derain.pictures.picture import Metadata, as_colour
from derain.video.scheduling import preserve_scheduling

av = pytest.importorskip("av")
pillow_heif = pytest.importorskip("pillow_heif")
P3 = {
    "color_primaries": 12,
    "transfer_characteristics": 13,
    "matrix_coefficients": 6,
    "full_range_flag": 1,
}
P3_CODES = (12, 13)
P3_CHUNK = (b"cICP", b"\x0c\x0d\0\1")


@pytest.fixture
def samples() -> np.ndarray:
    """A smooth 16-bit ramp, (48, 64, 4)."""
    x, y = np.meshgrid(np.linspace(0, 1, 64), np.linspace(0, 1, 48))
    return (np.stack([x, y, x * y, 1 - x], -1) * 65535).astype(np.uint16)


def to_pillow(samples: np.ndarray) -> Image.Image:
    return Image.fromarray((samples[..., :3] >> 8).astype(np.uint8))


def write_deep_heic(
    path: Path, samples: np.ndarray, *, bits: int = 10, chroma: int = 444, **colours: int
) -> Path:
    mode = {2: "L;16", 3: "RGBA;16" if samples.shape[-1] == 4 else "RGB;16"}[samples.ndim]
    size = samples.shape[1::-1]
    pillow_heif.encode(
        mode, size, samples.tobytes(), path, quality=100, bit_depth=bits, chroma=chroma, **colours
    )
    return path


def heic_info(path: Path) -> dict:
    return pillow_heif.open_heif(path)[0].info


def avif_boxes(path: Path) -> AvifBoxes:
    with path.open("rb") as file:
        return read_avif_boxes(file)


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("channels", ["grey", "colour", "alpha"])
def test_heic_keeps_its_bits(channels, bits, samples, tmp_path):
    source = {"grey": samples[..., 0], "colour": samples[..., :3], "alpha": samples}[channels]
    write_deep_heic(tmp_path / "in.heic", source, bits=bits)
    out = round_trip(tmp_path / "in.heic")
    after = pillow_heif.open_heif(out, convert_hdr_to_8bit=False)[0]
    assert after.info["bit_depth"] == bits
    error = np.abs(np.asarray(after).astype(int) - source).mean()
    assert error < 200  # of 65535; one level of 8 bits is 257


def test_ten_bit_white_is_white(tmp_path):
    source = write_deep_heic(tmp_path / "in.heic", np.full((64, 64), 65535, np.uint16))
    assert pictures.read(source).pixels.min() == 65535


@pytest.mark.parametrize("chroma", [420, 422, 444])
def test_heic_keeps_its_chroma(chroma, samples, tmp_path):
    to_pillow(samples).save(tmp_path / "in.heic", "HEIF", chroma=chroma)
    assert heic_info(round_trip(tmp_path / "in.heic"))["chroma"] == chroma


def test_other_deep_picture_becomes_a_ten_bit_heic(samples, tmp_path):
    pictures.write(Picture(as_colour(samples[..., 0]), grey=True), tmp_path / "out.heic")
    assert heic_info(tmp_path / "out.heic")["bit_depth"] == 10


@pytest.mark.parametrize("is_deep", [False, True])
def test_heic_keeps_its_colour_codes(is_deep, samples, tmp_path):
    colours = samples[..., :3] if is_deep else (samples[..., :3] >> 8).astype(np.uint8)
    mode = "RGB;16" if is_deep else "RGB"
    pillow_heif.encode(mode, (64, 48), colours.tobytes(), tmp_path / "in.heic", **P3)
    after = heic_info(round_trip(tmp_path / "in.heic"))["nclx_profile"]
    assert (after["color_primaries"], after["transfer_characteristics"]) == P3_CODES


def test_heic_keeps_its_light_levels(samples, tmp_path):
    light = {"max_content_light_level": 1000, "max_pic_average_light_level": 400}
    write_deep_heic(tmp_path / "in.heic", samples[..., :3], content_light_level=light)
    assert heic_info(round_trip(tmp_path / "in.heic"))["content_light_level"] == light


def write_p3_avif(path: Path, layout: str, samples: np.ndarray) -> Path:
    """Write an AVIF with FFmpeg, in the primaries of Display P3."""
    with preserve_scheduling(), av.open(str(path), "w", format="avif") as container:
        stream = container.add_stream(
            "libsvtav1", rate=1, options={"crf": "10", "svtav1-params": "avif=1"}
        )
        stream.width, stream.height, stream.pix_fmt = 64, 48, layout
        context = stream.codec_context
        context.color_primaries, context.color_trc = P3_CODES
        context.colorspace, context.color_range = 6, 2
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(samples[..., :3]), format="rgb48le"
        ).reformat(format=layout)
        frame.pts, frame.time_base = 0, Fraction(1)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def test_avif_keeps_its_colour_codes(samples, tmp_path):
    out = round_trip(write_p3_avif(tmp_path / "in.avif", "yuv420p", samples))
    boxes = out.read_bytes()
    assert boxes[boxes.index(b"colrnclx") + 8 :][:4] == b"\x00\x0c\x00\x0d"


def test_png_keeps_the_colour_codes_of_an_avif(samples, tmp_path):
    out = round_trip(write_p3_avif(tmp_path / "in.avif", "yuv420p", samples), ".png")
    assert b"".join(P3_CHUNK) in out.read_bytes()


def test_animation_keeps_its_colour_codes(samples, tmp_path):
    frame = pictures.read(write_p3_avif(tmp_path / "in.avif", "yuv420p", samples))
    pictures.write_frames([frame, frame.with_image(frame.image[::-1])], tmp_path / "out.avif")
    assert avif_boxes(tmp_path / "out.avif").colour_codes == P3_CODES


@pytest.mark.parametrize("chroma", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("frames", [1, 2])
def test_avif_keeps_its_chroma(frames, chroma, samples, tmp_path):
    images = [to_pillow(samples)] * frames
    images[0].save(
        tmp_path / "in.avif", subsampling=chroma, save_all=True, append_images=images[1:]
    )
    assert avif_boxes(round_trip(tmp_path / "in.avif")).chroma == chroma


@pytest.mark.parametrize(("suffix", "chroma"), [(".png", "4:4:4"), (".jpg", "4:2:0")])
def test_avif_has_the_chroma_of_its_source(suffix, chroma, samples, tmp_path):
    to_pillow(samples).save(tmp_path / f"in{suffix}", subsampling=2)
    assert avif_boxes(round_trip(tmp_path / f"in{suffix}", ".avif")).chroma == chroma


@pytest.mark.parametrize("frames", [1, 2])
def test_grey_avif_stays_grey(frames, samples, tmp_path):
    grey = Picture(as_colour((samples[..., 0] >> 8).astype(np.uint8)), grey=True)
    if frames == 1:
        pictures.write(grey, tmp_path / "out.avif")
    else:
        pictures.write_frames([grey] * frames, tmp_path / "out.avif")
    assert next(iter(pictures.read_frames(tmp_path / "out.avif"))).grey


@pytest.fixture
def p3_png(tmp_path) -> Path:
    picture = Picture(np.zeros((48, 64, 3), np.uint8), metadata=Metadata(png_chunks=(P3_CHUNK,)))
    pictures.write(picture, tmp_path / "in.png")
    return tmp_path / "in.png"


@pytest.mark.parametrize("suffix", [".avif", ".heic"])
def test_colour_codes_of_a_png_are_kept(suffix, p3_png):
    assert pictures.read(round_trip(p3_png, suffix)).metadata.colour_codes == P3_CODES


def test_lost_colour_codes_are_reported(p3_png):
    (omission,) = pictures.omissions_when_writing(pictures.read(p3_png), Path("a.jpg"))
    assert omission == "dropped, because a .jpg cannot store it: colour codes"


def test_png_has_its_colour_codes_once(p3_png):
    assert round_trip(p3_png).read_bytes().count(b"cICP") == 1


def test_lost_bits_of_an_avif_are_reported(samples, tmp_path):
    source = write_p3_avif(tmp_path / "in.avif", "yuv420p10le", samples)
    (omission,) = pictures.read(source).omissions
    assert omission.startswith("its 10 bits per sample are read as 8")


def test_eight_bit_avif_has_no_omissions(samples, tmp_path):
    source = write_p3_avif(tmp_path / "in.avif", "yuv420p", samples)
    assert pictures.read(source).omissions == ()


def test_other_pictures_of_a_heic_are_reported(samples, tmp_path):
    shots = [Image.fromarray((samples[..., index] >> 8).astype(np.uint8)) for index in range(3)]
    shots[0].save(tmp_path / "in.heic", "HEIF", save_all=True, append_images=shots[1:])
    assert pictures.read(tmp_path / "in.heic").omissions[0].startswith("contains 3 pictures")
