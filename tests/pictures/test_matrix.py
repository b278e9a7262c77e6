"""Kind of file x what it can carry: what comes out, read by other libraries, is what went in."""

from __future__ import annotations

import io
import struct
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.icc_profiles import PRIMARIES, profile
from helpers.reference_readers import block, dpi, exif_tag, jpeg_segments, pixels
from PIL import Image, ImageCms

from derain import pictures
from derain.inference.blending import rain_layer
from derain.pictures.picture import as_colour

MAKE, ORIENTATION = 0x010F, 0x0112
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="1"/></x:xmpmeta>'
DESCRIBED = [".png", ".jpg", ".webp", ".tif", ".avif", ".heic"]
EXACT = {".png", ".tif", ".bmp", ".gif"}


@pytest.fixture(autouse=True)
def heif():
    """Pillow writes the HEIC sources, too."""
    pytest.importorskip("pillow_heif").register_heif_opener()


@pytest.fixture
def photo() -> np.ndarray:
    """Smooth enough for every codec, with more of its colours on the left, (48, 64, 3) uint8."""
    across, down = np.meshgrid(np.linspace(0, 1, 64), np.linspace(0, 1, 48))
    return np.stack([250 * (1 - across), 200 * down, 30 + 100 * across * down], -1).astype(np.uint8)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    """A source as another program writes it."""
    kind = {".heic": "HEIF", ".jpg": "JPEG", ".tif": "TIFF"}.get(
        path.suffix, path.suffix[1:].upper()
    )
    lossless = {
        "WEBP": {"lossless": True},
        "AVIF": {"quality": 95},
        "HEIF": {"quality": 95},
        "JPEG": {"quality": 95},
    }
    image.save(path, kind, **lossless.get(kind, {}), **options)
    return path


def through(source: Path) -> Path:
    """Read and write, as derain does around the network."""
    target = source.with_stem("out")
    pictures.write(pictures.read(source), target)
    return target


def exif(**more: int) -> Image.Exif:
    tags = Image.Exif()
    tags[MAKE] = "A maker of cameras"
    if "orientation" in more:
        tags[ORIENTATION] = more["orientation"]
    return tags


@pytest.mark.parametrize("suffix", DESCRIBED)
def test_exif(suffix, photo, tmp_path):
    out = through(saved(tmp_path / f"in{suffix}", Image.fromarray(photo), exif=exif().tobytes()))
    assert exif_tag(block(out, "exif"), MAKE) == b"A maker of cameras"


@pytest.mark.parametrize("suffix", DESCRIBED)
def test_xmp(suffix, photo, tmp_path):
    described = {"tiffinfo": {700: XMP}} if suffix == ".tif" else {"xmp": XMP}
    if suffix == ".png":
        from PIL.PngImagePlugin import PngInfo

        described = {"pnginfo": PngInfo()}
        described["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
    assert (
        block(through(saved(tmp_path / f"in{suffix}", Image.fromarray(photo), **described)), "xmp")
        == XMP
    )


@pytest.mark.parametrize("suffix", DESCRIBED)
@pytest.mark.parametrize("space", PRIMARIES)
def test_profile(space, suffix, photo, tmp_path):
    source = saved(tmp_path / f"in{suffix}", Image.fromarray(photo), icc_profile=profile(space))
    assert block(through(source), "icc") == profile(space)


@pytest.mark.parametrize("suffix", DESCRIBED)
@pytest.mark.parametrize("space", PRIMARIES)
def test_colours_of_a_wide_space_look_as_they_did(space, suffix, photo, tmp_path):
    """Taken to sRGB by way of the profile that is in the file."""

    def seen(path: Path) -> np.ndarray:
        with Image.open(path) as image:
            inks = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
            return np.asarray(
                ImageCms.profileToProfile(
                    image.convert("RGB"), inks, ImageCms.createProfile("sRGB")
                )
            ).astype(int)

    source = saved(tmp_path / f"in{suffix}", Image.fromarray(photo), icc_profile=profile(space))
    assert np.abs(seen(through(source)) - seen(source)).mean() < (0.01 if suffix in EXACT else 2.5)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_dots_per_inch(suffix, photo, tmp_path):
    out = through(saved(tmp_path / f"in{suffix}", Image.fromarray(photo), dpi=(300, 150)))
    assert [round(value) for value in dpi(out)] == [300, 150]


@pytest.mark.parametrize("suffix", DESCRIBED)
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_orientation_is_in_the_pixels_and_no_longer_in_the_file(
    suffix, orientation, photo, tmp_path
):
    source = saved(
        tmp_path / f"in{suffix}",
        Image.fromarray(photo),
        exif=exif(orientation=orientation).tobytes(),
    )
    out = through(source)
    turned = np.rot90(photo, {3: 2, 6: -1, 8: 1}[orientation]).astype(int)
    seen = pixels(out, "rgb24")[: len(turned), : turned.shape[1]].astype(
        int
    )  # FFmpeg shows the padding of a HEIC, too
    assert np.abs(seen - turned).mean() < 4
    assert exif_tag(block(out, "exif"), ORIENTATION) in {1, None}


@pytest.mark.parametrize(
    "suffix", [".png", ".jpg", ".webp", ".tif", ".bmp", ".gif", ".avif", ".heic"]
)
def test_pixels(suffix, photo, tmp_path):
    source = saved(tmp_path / f"in{suffix}", Image.fromarray(photo))
    before, after = (pixels(path, "rgb24").astype(int) for path in (source, through(source)))
    assert np.abs(after - before).mean() <= (0 if suffix in EXACT - {".gif"} else 2)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".gif"])
def test_alpha(suffix, photo, tmp_path):
    alpha = np.full((48, 64, 1), 255, np.uint8)
    alpha[:, 40:] = 0 if suffix == ".gif" else 100
    out = through(saved(tmp_path / f"in{suffix}", Image.fromarray(np.dstack([photo, alpha]))))
    np.testing.assert_array_equal(pixels(out, "rgba")[..., 3:], alpha)


@pytest.mark.parametrize("is_grey", [False, True])
def test_alpha_of_a_bmp(is_grey, photo, tmp_path):
    alpha = np.full((48, 64), 255, np.uint8)
    alpha[:, 40:] = 100
    rainy = pictures.Picture(
        as_colour(photo[..., 0]) if is_grey else photo, alpha=alpha, grey=is_grey
    )
    pictures.write(rainy, tmp_path / "in.bmp")
    out = through(tmp_path / "in.bmp")
    np.testing.assert_array_equal(pixels(out, "rgba"), np.dstack([rainy.pixels, alpha]))


@pytest.mark.parametrize("suffix", [".avif", ".heic"])
def test_alpha_of_a_codec_for_video(suffix, photo, tmp_path):
    """FFmpeg shows the picture without its alpha, so that Pillow must say what is in it."""
    alpha = np.full((48, 64, 1), 255, np.uint8)
    alpha[:, 40:] = 100
    with Image.open(
        through(saved(tmp_path / f"in{suffix}", Image.fromarray(np.dstack([photo, alpha]))))
    ) as after:
        assert np.abs(np.asarray(after)[..., 3:].astype(int) - alpha).mean() < 2


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_grey(suffix, photo, tmp_path):
    source = saved(tmp_path / f"in{suffix}", Image.fromarray(photo[..., 0]))
    av = pytest.importorskip("av")
    with av.open(str(through(source))) as container:
        assert container.streams.video[0].format.name.startswith("gray")


def test_grey_and_alpha(photo, tmp_path):
    out = through(saved(tmp_path / "in.png", Image.fromarray(photo[..., :2], "LA")))
    np.testing.assert_array_equal(pixels(out, "rgba")[..., [0, 3]], photo[..., :2])


@pytest.mark.parametrize("channels", ["grey", "colour", "alpha"])
def test_sixteen_bits_of_a_png(channels, rng, tmp_path):
    samples = rng.integers(0, 65536, (48, 64, 4), dtype=np.uint16)
    chosen = {"grey": samples[..., 0], "colour": samples[..., :3], "alpha": samples}[channels]
    layout = {"grey": "gray16le", "colour": "rgb48le", "alpha": "rgba64le"}[channels]
    _sixteen_bit_png(tmp_path / "in.png", chosen)
    np.testing.assert_array_equal(pixels(through(tmp_path / "in.png"), layout), chosen)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_of_a_tiff(channels, rng, tmp_path):
    samples = rng.integers(0, 65536, (48, 64, channels), dtype=np.uint16).squeeze()
    kind = {"photometric": "minisblack" if channels == 1 else "rgb"} | (
        {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    )
    tifffile.imwrite(tmp_path / "in.tif", samples, **kind)
    np.testing.assert_array_equal(tifffile.imread(through(tmp_path / "in.tif")), samples)


def test_cmyk_loses_its_inks_with_their_profile(photo, tmp_path):
    out = through(saved(tmp_path / "in.tif", Image.fromarray(photo).convert("CMYK")))
    assert np.abs(pixels(out, "rgb24").astype(int) - photo).mean() < 3


def test_a_palette_becomes_colours(photo, tmp_path):
    few = Image.fromarray(photo).quantize(16)
    np.testing.assert_array_equal(
        pixels(through(saved(tmp_path / "in.png", few)), "rgb24"), np.asarray(few.convert("RGB"))
    )


@pytest.mark.parametrize(("code", "sampling"), [(0, (1, 1)), (1, (2, 1)), (2, (2, 2))])
@pytest.mark.parametrize("progressive", [False, True])
def test_coding_of_a_jpeg(code, sampling, progressive, photo, tmp_path):
    source = tmp_path / "in.jpg"
    Image.fromarray(photo).save(source, quality=61, subsampling=code, progressive=progressive)

    def coding(path: Path) -> tuple[list[bytes], bytes]:
        data = path.read_bytes()
        tables = [body for body in jpeg_segments(data) if len(body) in {65, 130}]
        start = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
        return tables, data[start + 4 : start + 19]

    assert coding(through(source)) == coding(source)
    assert coding(source)[1][7] == sampling[0] * 16 + sampling[1]


def test_saved_again_without_a_change_a_jpeg_hardly_changes(photo, tmp_path):
    source = saved(tmp_path / "in.jpg", Image.fromarray(photo))
    assert np.abs(pixels(through(source), "rgb24").astype(int) - pixels(source, "rgb24")).max() <= 3


def test_captions_of_press_agencies(photo, tmp_path):
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0b\x1c\x02\x78\0\x06a rain\0"
    saved(
        tmp_path / "in.jpg",
        Image.fromarray(photo),
        extra=b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc,
    )
    assert iptc in list(jpeg_segments(through(tmp_path / "in.jpg").read_bytes()))


@pytest.mark.parametrize("suffix", DESCRIBED)
def test_strip_leaves_the_profile_alone(suffix, photo, tmp_path):
    described = {"exif": exif().tobytes(), "icc_profile": profile("Display P3")}
    source = saved(tmp_path / f"in{suffix}", Image.fromarray(photo), **described)
    rainy, out = pictures.read(source), tmp_path / f"out{suffix}"
    pictures.write(replace(rainy, metadata=rainy.metadata.stripped()), out)
    assert block(out, "icc") == profile("Display P3")
    assert b"A maker of cameras" not in out.read_bytes()


def test_a_rain_layer_has_the_profile_and_nothing_of_the_photo(photo, tmp_path):
    described = {"exif": exif().tobytes(), "icc_profile": profile("Display P3")}
    rainy = pictures.read(saved(tmp_path / "in.png", Image.fromarray(photo), **described))
    pictures.write(rain_layer(rainy, rainy), tmp_path / "rain.png")
    assert (block(tmp_path / "rain.png", "icc"), block(tmp_path / "rain.png", "exif")) == (
        profile("Display P3"),
        None,
    )


def test_without_the_extra_heic_is_said_with_the_command_that_installs_it(
    photo, tmp_path, monkeypatch
):
    saved(tmp_path / "in.heic", Image.fromarray(photo))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(
        pictures.opening.PictureError,
        match=r"in\.heic: HEIC needs the extra `heif`: .*derain\[heif\]",
    ):
        pictures.read(tmp_path / "in.heic")


def _sixteen_bit_png(path: Path, samples: np.ndarray) -> None:
    av = pytest.importorskip("av")
    layout = {2: "gray16le", 3: "rgb48le" if samples.shape[-1] == 3 else "rgba64le"}[samples.ndim]
    frame = av.VideoFrame.from_ndarray(samples, format=layout)
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.time_base = 64, 48, Fraction(1)
    context.pix_fmt = layout.replace("le", "be")
    packets = [*context.encode(frame.reformat(format=context.pix_fmt)), *context.encode(None)]
    path.write_bytes(b"".join(bytes(packet) for packet in packets))
