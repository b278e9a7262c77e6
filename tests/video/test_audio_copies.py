"""Copies of audio streams, in containers that need other parameters than the source has."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from helpers.clips import names_in, read_packets, remuxing, restore

from derain.video.audio_copies import add_audio_copy
from derain.video.matroska_audio import ACM_NAME, STAND_IN_NAME, rename_stand_ins

TWO_SECONDS = {"codec": "mpeg4", "tick": Fraction(1, 30), "steps": (1,), "frames": 60}
IN_MATROSKA = [
    ("clip.avi", "pcm_mulaw", 8000),
    ("clip.mov", "pcm_alaw", 8000),
    ("clip.avi", "adpcm_ms", 22050),
    ("clip.avi", "adpcm_ima_wav", 22050),
    ("clip.avi", "g723_1", 8000),
    ("clip.wmv", "wmav2", 44100),
]


@pytest.fixture
def make_sound(make_clip) -> Callable[..., Path]:
    """`make_sound(name, codec, rate)`: a clip of two seconds."""

    def make(name: str, codec: str, rate: int) -> Path:
        video = {**TWO_SECONDS, "codec": "wmv2"} if name.endswith(".wmv") else TWO_SECONDS
        return make_clip(name, sound=codec, sound_rate=rate, **video)

    return make


def audio_codec(path: Path) -> str:
    with av.open(str(path)) as clip:
        return clip.streams.audio[0].codec_context.codec.canonical_name


def audio_data(path: Path) -> list[bytes]:
    return [data for _, data in read_packets(path, "audio")]


def audio_times(path: Path) -> list[float]:
    return [float(time) for time, _ in read_packets(path, "audio")]


def avi_audio_header(path: Path) -> tuple[Fraction, int]:
    """Return the duration of a unit in seconds, and its size in bytes: 0 for frames of any size."""
    data = path.read_bytes()
    scale, rate, *_, size = struct.unpack_from("<7I", data, data.index(b"auds") + 20)
    return Fraction(scale, rate), size


@pytest.mark.parametrize("rate", [44100, 22050])
@pytest.mark.parametrize(
    "codec",
    ["libmp3lame", "aac", "mp2", "adpcm_ms", "adpcm_ima_wav", "adpcm_yamaha"],
)
def test_audio_header_of_an_avi_is_kept(codec, rate, make_sound):
    source = make_sound("clip.avi", codec, rate)
    target, result = restore(source)
    assert result.notes == []
    assert avi_audio_header(target) == avi_audio_header(source)
    assert audio_data(target) == audio_data(source)
    assert audio_times(target) == pytest.approx(audio_times(source), abs=1e-3)


@pytest.mark.parametrize(
    ("codec", "rate", "samples", "unit_bytes"),
    [
        ("libmp3lame", 22050, 576, 0),
        ("libmp3lame", 44100, 1152, 0),
        ("aac", 44100, 1024, 0),
        ("mp2", 44100, 1152, 0),
        ("ac3", 44100, 1536, 0),
        ("flac", 44100, 4608, 0),
        ("pcm_s16le", 44100, 1, 2),
    ],
)
def test_audio_header_of_an_avi_from_matroska(codec, rate, samples, unit_bytes, make_sound):
    target, _ = restore(make_sound("clip.mkv", codec, rate), "out.avi")
    assert avi_audio_header(target) == (Fraction(samples, rate), unit_bytes)


def test_flac_from_avi_to_avi(make_sound):
    first, _ = restore(make_sound("clip.mkv", "flac", 44100), "first.avi")
    second, _ = restore(first, "second.avi")
    assert avi_audio_header(second) == (Fraction(4608, 44100), 0)
    assert audio_data(second) == audio_data(first)


@pytest.fixture
def make_late(make_sound) -> Callable[..., Path]:
    """`make_late(name, codec)`: a .mkv whose audio begins after half a second."""

    def make(name: str, codec: str) -> Path:
        early = make_sound(name, codec, 44100)
        early, _ = restore(early, "early.mkv")
        with remuxing(early.with_name("clip.mkv"), early) as (container, copies, (clip,)):
            for packet in clip.demux():
                if packet.size:
                    if packet.stream.type == "audio":
                        packet.pts += 500
                        packet.dts = packet.pts
                    packet.stream = copies[packet.stream]
                    container.mux(packet)
        return early.with_name("clip.mkv")

    return make


@pytest.mark.parametrize(
    ("codec", "samples"), [("libmp3lame", 1152), ("aac", 1024), ("mp2", 1152), ("flac", 4608)]
)
def test_audio_that_begins_late_in_an_avi(codec, samples, make_late):
    source = make_late("sound.mkv", codec)
    target, _ = restore(source, "out.avi")
    assert audio_data(target) == audio_data(source)
    assert avi_audio_header(target) == (Fraction(samples, 44100), 0)


def test_adpcm_without_an_early_packet_in_an_avi(make_sound):
    source = make_sound("clip.avi", "adpcm_ms", 22050)
    target = source.with_name("out.avi")
    with av.open(str(source)) as clip, av.open(str(target), "w") as container:
        stream = add_audio_copy(container, clip.streams.audio[0], None)
        container.start_encoding()
        assert stream.time_base == clip.streams.audio[0].time_base


@pytest.mark.parametrize(("name", "codec", "rate"), IN_MATROSKA)
def test_audio_without_a_matroska_name_is_kept(name, codec, rate, make_sound):
    source = make_sound(name, codec, rate)
    target, result = restore(source, "out.mkv")
    assert [note for note in result.notes if "audio" in note] == []
    assert audio_codec(target) == codec
    assert audio_data(target) == audio_data(source)
    assert audio_times(target) == pytest.approx(audio_times(source), abs=2e-3)


def test_audio_from_matroska_to_matroska(make_sound):
    first, _ = restore(make_sound("clip.avi", "adpcm_ms", 22050), "first.mkv")
    second, result = restore(first, "second.mkv")
    assert result.notes == []
    assert audio_codec(second) == "adpcm_ms"
    assert audio_data(second) == audio_data(first)


def test_audio_from_matroska_to_avi(make_sound):
    source = make_sound("clip.avi", "adpcm_ms", 22050)
    target, _ = restore(restore(source, "out.mkv")[0], "out.avi")
    assert avi_audio_header(target) == avi_audio_header(source)
    assert audio_data(target) == audio_data(source)


def test_interrupted_matroska_has_its_audio(make_sound):
    count = iter(range(100))

    def interrupt(rainy):
        if next(count) == 40:
            raise KeyboardInterrupt
        return rainy

    source = make_sound("clip.avi", "adpcm_ms", 22050)
    restore(source, "out.mkv", interrupt)
    assert names_in(source.parent) == ["clip.avi", "out_partial.mkv"]
    assert audio_codec(source.with_name("out_partial.mkv")) == "adpcm_ms"


def tracks_content(data: bytes) -> bytes:
    """Return the content of the Tracks element."""
    start = data.rindex(b"\x16\x54\xae\x6b") + 4
    length = 9 - data[start].bit_length()
    size = int.from_bytes(data[start : start + length], "big") & ((1 << 7 * length) - 1)
    return data[start + length : start + length + size]


def test_checksum_of_renamed_tracks(make_sound):
    target, _ = restore(make_sound("clip.avi", "pcm_mulaw", 8000), "out.mkv")
    tracks = tracks_content(target.read_bytes())
    assert ACM_NAME in tracks
    assert tracks[:2] == b"\xbf\x84"
    assert int.from_bytes(tracks[2:6], "little") == zlib.crc32(tracks[6:])


def test_streams_of_other_codecs_are_not_renamed(make_clip):
    path = make_clip("clip.mkv", sound="pcm_s16le")
    before = path.read_bytes()
    rename_stand_ins(path, {b"format"})
    assert path.read_bytes() == before
    path.write_bytes(before.replace(b"A_PCM/INT/LIT", STAND_IN_NAME.ljust(13, b"\0")))
    rename_stand_ins(path, {b"format"})
    assert STAND_IN_NAME in path.read_bytes()


@pytest.mark.parametrize("data", [b"", b"\x1a\x45\xdf\xa3", bytes(100), b"\xff" * 100])
def test_damaged_matroska_is_not_renamed(data, tmp_path):
    path = tmp_path / "clip.mkv"
    path.write_bytes(data)
    rename_stand_ins(path, {b"format"})
    assert path.read_bytes() == data


@pytest.fixture
def unknown_audio(make_clip) -> Path:
    """A clip whose audio has a codec that FFmpeg does not know."""
    path = make_clip("clip.mov")
    data = path.read_bytes()
    description = data.rindex(b"stsd", 0, data.rindex(b"mp4a"))
    changed = data[description:].replace(b"mp4a", b"apac").replace(b"esds", b"dapa")
    path.write_bytes(data[:description] + changed)
    return path


@pytest.mark.parametrize("target", ["out.mov", "out.mp4", "out.mkv", "out.avi"])
def test_audio_of_an_unknown_codec_is_reported(target, unknown_audio):
    path, result = restore(unknown_audio, target)
    assert result.frame_count == 20
    note = "its audio stream 1 is dropped: FFmpeg does not know its codec"
    assert note in result.notes
    with av.open(str(path)) as clip:
        assert [stream.type for stream in clip.streams] == ["video"]


def test_audio_that_an_avi_corrupts_is_reported(make_clip):
    notes = restore(make_clip("clip.mkv", sound="eac3"), "out.avi")[1].notes
    assert notes == ["its audio stream 1 is dropped: .avi does not support eac3"]
