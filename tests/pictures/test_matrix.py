"""Every format and every kind of metadata survive, as read by other libraries."""

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
from helpers.icc_profiles import PRIMARIES, make_profile
from helpers.reference_readers import decode, jpeg_segments, read_block, read_dpi, read_exif_tag
from helpers.round_trip import round_trip
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from derain import pictures
from derain.errors import PictureError
from derain.inference.blending import rain_layer
from derain.pictures.picture import as_colour

MAKE, ORIENTATION = 0x010F, 0x0112
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="1"/></x:xmpmeta>'
WITH_METADATA = [".png", ".jpg", ".webp", ".tif", ".avif", ".heic"]
LOSSLESS = {".png", ".tif", ".bmp", ".gif"}


@pytest.fixture(autouse=True)
def heif():
    """Enable HEIC in Pillow, which writes the sources."""
    pytest.importorskip("pillow_heif").register_heif_opener()


@pytest.fixture
def photo() -> np.ndarray:
    """Return a smooth, asymmetric picture, (48, 64, 3) uint8."""
    x, y = np.meshgrid(np.linspace(0, 1, 64), np.linspace(0, 1, 48))
    return np.stack([250 * (1 - x), 200 * y, 30 + 100 * x * y], -1).astype(np.uint8)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    """Write a source as another program would."""
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


def make_exif(**tags: int) -> bytes:
    exif = Image.Exif()
    exif[MAKE] = "A maker of cameras"
    if "orientation" in tags:
        exif[ORIENTATION] = tags["orientation"]
    return exif.tobytes()


@pytest.mark.parametrize("suffix", WITH_METADATA)
def test_exif(suffix, photo, tmp_path):
    out = round_trip(save(tmp_path / f"in{suffix}", Image.fromarray(photo), exif=make_exif()))
    assert read_exif_tag(read_block(out, "exif"), MAKE) == b"A maker of cameras"


@pytest.mark.parametrize("suffix", WITH_METADATA)
def test_xmp(suffix, photo, tmp_path):
    options = {"tiffinfo": {700: XMP}} if suffix == ".tif" else {"xmp": XMP}
    if suffix == ".png":
        options = {"pnginfo": PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
    source = save(tmp_path / f"in{suffix}", Image.fromarray(photo), **options)
    assert read_block(round_trip(source), "xmp") == XMP


@pytest.mark.parametrize("suffix", WITH_METADATA)
@pytest.mark.parametrize("space", PRIMARIES)
def test_icc_profile(space, suffix, photo, tmp_path):
    source = save(tmp_path / f"in{suffix}", Image.fromarray(photo), icc_profile=make_profile(space))
    assert read_block(round_trip(source), "icc") == make_profile(space)


@pytest.mark.parametrize("suffix", WITH_METADATA)
@pytest.mark.parametrize("space", PRIMARIES)
def test_wide_colours_look_the_same(space, suffix, photo, tmp_path):
    """The comparison is in sRGB, converted by the profile of each file."""

    def to_srgb(path: Path) -> np.ndarray:
        with Image.open(path) as image:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
            return np.asarray(
                ImageCms.profileToProfile(
                    image.convert("RGB"), profile, ImageCms.createProfile("sRGB")
                )
            ).astype(int)

    source = save(tmp_path / f"in{suffix}", Image.fromarray(photo), icc_profile=make_profile(space))
    error = np.abs(to_srgb(round_trip(source)) - to_srgb(source)).mean()
    assert error < (0.01 if suffix in LOSSLESS else 2.5)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_dots_per_inch(suffix, photo, tmp_path):
    out = round_trip(save(tmp_path / f"in{suffix}", Image.fromarray(photo), dpi=(300, 150)))
    assert [round(value) for value in read_dpi(out)] == [300, 150]


@pytest.mark.parametrize("suffix", WITH_METADATA)
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_orientation_is_applied_and_reset(suffix, orientation, photo, tmp_path):
    source = save(
        tmp_path / f"in{suffix}",
        Image.fromarray(photo),
        exif=make_exif(orientation=orientation),
    )
    out = round_trip(source)
    upright = np.rot90(photo, {3: 2, 6: -1, 8: 1}[orientation]).astype(int)
    # FFmpeg includes the padding of a HEIC
    decoded = decode(out, "rgb24")[: len(upright), : upright.shape[1]].astype(int)
    assert np.abs(decoded - upright).mean() < 4
    assert read_exif_tag(read_block(out, "exif"), ORIENTATION) in {1, None}


@pytest.mark.parametrize(
    "suffix", [".png", ".jpg", ".webp", ".tif", ".bmp", ".gif", ".avif", ".heic"]
)
def test_pixels(suffix, photo, tmp_path):
    source = save(tmp_path / f"in{suffix}", Image.fromarray(photo))
    before, after = (decode(path, "rgb24").astype(int) for path in (source, round_trip(source)))
    assert np.abs(after - before).mean() <= (0 if suffix in LOSSLESS - {".gif"} else 2)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".gif"])
def test_alpha(suffix, photo, tmp_path):
    alpha = np.full((48, 64, 1), 255, np.uint8)
    alpha[:, 40:] = 0 if suffix == ".gif" else 100
    out = round_trip(save(tmp_path / f"in{suffix}", Image.fromarray(np.dstack([photo, alpha]))))
    np.testing.assert_array_equal(decode(out, "rgba")[..., 3:], alpha)


@pytest.mark.parametrize("is_grey", [False, True])
def test_bmp_alpha(is_grey, photo, tmp_path):
    alpha = np.full((48, 64), 255, np.uint8)
    alpha[:, 40:] = 100
    rainy = pictures.Picture(
        as_colour(photo[..., 0]) if is_grey else photo, alpha=alpha, grey=is_grey
    )
    pictures.write(rainy, tmp_path / "in.bmp")
    out = round_trip(tmp_path / "in.bmp")
    np.testing.assert_array_equal(decode(out, "rgba"), np.dstack([rainy.pixels, alpha]))


@pytest.mark.parametrize("suffix", [".avif", ".heic"])
def test_avif_and_heic_alpha(suffix, photo, tmp_path):
    """Pillow reads the result: FFmpeg ignores the alpha."""
    alpha = np.full((48, 64, 1), 255, np.uint8)
    alpha[:, 40:] = 100
    with Image.open(
        round_trip(save(tmp_path / f"in{suffix}", Image.fromarray(np.dstack([photo, alpha]))))
    ) as after:
        assert np.abs(np.asarray(after)[..., 3:].astype(int) - alpha).mean() < 2


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_grey(suffix, photo, tmp_path):
    source = save(tmp_path / f"in{suffix}", Image.fromarray(photo[..., 0]))
    av = pytest.importorskip("av")
    with av.open(str(round_trip(source))) as container:
        assert container.streams.video[0].format.name.startswith("gray")


def test_grey_and_alpha(photo, tmp_path):
    out = round_trip(save(tmp_path / "in.png", Image.fromarray(photo[..., :2], "LA")))
    np.testing.assert_array_equal(decode(out, "rgba")[..., [0, 3]], photo[..., :2])


@pytest.mark.parametrize("channels", ["grey", "colour", "alpha"])
def test_sixteen_bit_png(channels, rng, tmp_path):
    samples = rng.integers(0, 65536, (48, 64, 4), dtype=np.uint16)
    source = {"grey": samples[..., 0], "colour": samples[..., :3], "alpha": samples}[channels]
    layout = {"grey": "gray16le", "colour": "rgb48le", "alpha": "rgba64le"}[channels]
    write_png16_with_ffmpeg(tmp_path / "in.png", source)
    np.testing.assert_array_equal(decode(round_trip(tmp_path / "in.png"), layout), source)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bit_tiff(channels, rng, tmp_path):
    samples = rng.integers(0, 65536, (48, 64, channels), dtype=np.uint16).squeeze()
    kind = {"photometric": "minisblack" if channels == 1 else "rgb"} | (
        {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    )
    tifffile.imwrite(tmp_path / "in.tif", samples, **kind)
    np.testing.assert_array_equal(tifffile.imread(round_trip(tmp_path / "in.tif")), samples)


def test_cmyk_becomes_rgb(photo, tmp_path):
    out = round_trip(save(tmp_path / "in.tif", Image.fromarray(photo).convert("CMYK")))
    assert np.abs(decode(out, "rgb24").astype(int) - photo).mean() < 3


def test_palette_becomes_rgb(photo, tmp_path):
    palette = Image.fromarray(photo).quantize(16)
    out = round_trip(save(tmp_path / "in.png", palette))
    np.testing.assert_array_equal(decode(out, "rgb24"), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize(("code", "sampling"), [(0, (1, 1)), (1, (2, 1)), (2, (2, 2))])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_coding(code, sampling, progressive, photo, tmp_path):
    source = tmp_path / "in.jpg"
    Image.fromarray(photo).save(source, quality=61, subsampling=code, progressive=progressive)

    def coding(path: Path) -> tuple[list[bytes], bytes]:
        data = path.read_bytes()
        tables = [body for body in jpeg_segments(data) if len(body) in {65, 130}]
        start = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
        return tables, data[start + 4 : start + 19]

    assert coding(round_trip(source)) == coding(source)
    assert coding(source)[1][7] == sampling[0] * 16 + sampling[1]


def test_unchanged_jpeg_hardly_changes(photo, tmp_path):
    source = save(tmp_path / "in.jpg", Image.fromarray(photo))
    assert (
        np.abs(decode(round_trip(source), "rgb24").astype(int) - decode(source, "rgb24")).max() <= 3
    )


def test_iptc_captions(photo, tmp_path):
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0b\x1c\x02\x78\0\x06a rain\0"
    save(
        tmp_path / "in.jpg",
        Image.fromarray(photo),
        extra=b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc,
    )
    assert iptc in list(jpeg_segments(round_trip(tmp_path / "in.jpg").read_bytes()))


@pytest.mark.parametrize("suffix", WITH_METADATA)
def test_strip_keeps_the_profile(suffix, photo, tmp_path):
    metadata = {"exif": make_exif(), "icc_profile": make_profile("Display P3")}
    source = save(tmp_path / f"in{suffix}", Image.fromarray(photo), **metadata)
    rainy, out = pictures.read(source), tmp_path / f"out{suffix}"
    pictures.write(replace(rainy, metadata=rainy.metadata.stripped()), out)
    assert read_block(out, "icc") == make_profile("Display P3")
    assert b"A maker of cameras" not in out.read_bytes()


def test_rain_layer_has_no_metadata_but_the_profile(photo, tmp_path):
    metadata = {"exif": make_exif(), "icc_profile": make_profile("Display P3")}
    rainy = pictures.read(save(tmp_path / "in.png", Image.fromarray(photo), **metadata))
    pictures.write(rain_layer(rainy, rainy), tmp_path / "rain.png")
    assert read_block(tmp_path / "rain.png", "icc") == make_profile("Display P3")
    assert read_block(tmp_path / "rain.png", "exif") is None


def test_heic_without_its_extra_names_the_install_command(photo, tmp_path, monkeypatch):
    save(tmp_path / "in.heic", Image.fromarray(photo))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    message = r"in\.heic: HEIC needs the extra `heif`: .*derain\[heif\]"
    with pytest.raises(PictureError, match=message):
        pictures.read(tmp_path / "in.heic")


def write_png16_with_ffmpeg(path: Path, samples: np.ndarray) -> None:
    av = pytest.importorskip("av")
    layout = {2: "gray16le", 3: "rgb48le" if samples.shape[-1] == 3 else "rgba64le"}[samples.ndim]
    frame = av.VideoFrame.from_ndarray(samples, format=layout)
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.time_base = 64, 48, Fraction(1)
    context.pix_fmt = layout.replace("le", "be")
    packets = [*context.encode(frame.reformat(format=context.pix_fmt)), *context.encode(None)]
    path.write_bytes(b"".join(bytes(packet) for packet in packets))
