"""Clips, folders and pipes with a network that sees three frames: here their mean."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clips import QUARTER_TURN, decode, frame_times, luma, restore
from helpers.scenes import scene, view
from PIL import Image

from derain.cli.main import main
from derain.inference.clip_restorer import ClipRestorer
from derain.video.frame_folder import restore_frame_folder
from derain.video.frames import FrameOptions, VideoResult, restore_frames, with_neighbours
from derain.video.pipe import restore_pipe

SIZE = (160, 120)


@pytest.fixture(scope="module")
def averaging(networks) -> ClipRestorer:
    return ClipRestorer(networks / "averaging.onnx", precision="float32", threads=1)


def noisy_pan(count: int, *, step_px: float = 2.0, seed: int = 0) -> list[np.ndarray]:
    """Return a pan over a picture with independent noise, which a mean of frames reduces."""
    rng, picture = np.random.default_rng(seed), scene(seed)
    return [
        (view(picture, step_px * index) + rng.normal(0, 6, (SIZE[1], SIZE[0], 3)))
        .clip(0, 255)
        .astype(np.uint8)
        for index in range(count)
    ]


def run(frames: list[np.ndarray], network: ClipRestorer) -> tuple[list[np.ndarray], VideoResult]:
    result = VideoResult()
    windows = with_neighbours(((frame, None) for frame in frames), network)
    images = [image for image, _ in restore_frames(windows, network, FrameOptions(), result)]
    return images, result


def write(path: Path, frames: list[np.ndarray], *, steps=(512,), matrix=None, layout="yuv444p"):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1" if path.suffix == ".mkv" else "libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = *SIZE, layout
        stream.codec_context.time_base = Fraction(1, 15360)
        if path.suffix == ".mp4":
            stream.options = {"crf": "4"}
        if matrix:
            stream.set_display_matrix(matrix)
        pts = 0
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=layout)
            frame.pts, frame.time_base = pts, Fraction(1, 15360)
            container.mux(stream.encode(frame))
            pts += steps[index % len(steps)]
        container.mux(stream.encode(None))
    return path


def error(image: np.ndarray, index: int) -> float:
    """Return the mean distance from frame `index` of the pan without noise, off the border."""
    clean = view(scene(0), 2.0 * index).astype(float)
    return float(np.abs(image - clean)[24:-24, 24:-24].mean())


def test_neighbours_are_seen_in_place(averaging):
    frames = noisy_pan(4)
    restored, result = run(frames, averaging)
    assert result.frame_count == 4
    assert error(restored[1], 1) < 0.75 * error(frames[1], 1)


def test_a_cut_is_not_averaged(averaging):
    frames = [*noisy_pan(2), *noisy_pan(2, seed=5)]
    restored, _ = run(frames, averaging)
    assert np.abs(restored[2].astype(int) - frames[2]).mean() < 8


@pytest.mark.parametrize("count", [1, 2])
def test_short_clips(tmp_path, averaging, count):
    source = write(tmp_path / "clip.mkv", noisy_pan(count))
    target, result = restore(source, network=averaging)
    assert len(decode(target)) == count and result.frame_count == count


def test_the_only_frame_stays_the_same(averaging):
    frames = noisy_pan(1)
    restored, _ = run(frames, averaging)
    assert np.array_equal(restored[0], frames[0])


def test_variable_frame_times_are_kept(tmp_path, averaging):
    source = write(tmp_path / "clip.mkv", noisy_pan(6), steps=(512, 1024, 300))
    target, _ = restore(source, network=averaging)
    assert frame_times(target) == frame_times(source)


def test_rotated_clips_are_aligned_upright(tmp_path, averaging):
    source = write(tmp_path / "clip.mp4", noisy_pan(4), matrix=QUARTER_TURN)
    target, _ = restore(source, network=averaging)
    stored = [frame.to_ndarray(format="rgb24") for frame in decode(target)]
    assert stored[1].shape == (SIZE[1], SIZE[0], 3)
    assert error(stored[1], 1) < error(noisy_pan(4)[1], 1)


def test_ten_bits_stay_ten_bits(tmp_path, averaging):
    source = write(tmp_path / "clip.mkv", noisy_pan(4), layout="yuv444p10le")
    target, _ = restore(source, network=averaging)
    frames = decode(target)
    assert frames[1].format.name == "yuv444p10le"
    assert (luma(frames[1]) % 4 > 0).any()


@pytest.fixture
def frame_folder(tmp_path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index, frame in enumerate(noisy_pan(5)):
        Image.fromarray(frame).save(folder / f"{index}.png")
    return folder


def read(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: np.asarray(Image.open(path)) for path in folder.iterdir()}


def test_folders_of_frames(tmp_path, frame_folder, averaging):
    result = restore_frame_folder(frame_folder, tmp_path / "out", averaging)
    expected, _ = run(noisy_pan(5), averaging)
    assert result.frame_count == 5 and not result.problems
    written = read(tmp_path / "out")
    assert sorted(written) == [f"{index}.png" for index in range(5)]
    assert all(np.array_equal(image, expected[int(name[0])]) for name, image in written.items())


def test_a_missing_frame_is_restored_from_its_neighbours(tmp_path, frame_folder, averaging):
    out = tmp_path / "out"
    restore_frame_folder(frame_folder, out, averaging)
    expected = read(out)
    (out / "2.png").unlink()
    result = restore_frame_folder(frame_folder, out, averaging)
    assert result.frame_count == 3
    assert np.array_equal(read(out)["2.png"], expected["2.png"])


def test_pipes(averaging):
    frames = noisy_pan(4)
    inlet, outlet = io.BytesIO(b"".join(map(bytes, frames))), io.BytesIO()
    restore_pipe(inlet, outlet, averaging, raw=(*SIZE, "rgb24"))
    restored = np.frombuffer(outlet.getvalue(), np.uint8).reshape(4, SIZE[1], SIZE[0], 3)
    expected, _ = run(frames, averaging)
    assert np.array_equal(restored, expected)


def test_the_command_takes_a_model_for_clips(tmp_path, networks, capsys):
    source = write(tmp_path / "clip.mkv", noisy_pan(2))
    model = str(networks / "averaging.onnx")
    assert main([str(source), "--model", model, "--precision", "float32"]) == 0
    assert len(decode(tmp_path / "clip_derained.mkv")) == 2


def test_photos_reject_a_model_for_clips(tmp_path, networks, capsys):
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    model = str(networks / "averaging.onnx")
    assert main([str(tmp_path / "photo.png"), "--model", model]) == 1
    assert "restores clips, since it needs 3 frames" in capsys.readouterr().err
