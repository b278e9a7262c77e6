"""`derain clip.mp4` as a person runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from derain.cli.main import main

av = pytest.importorskip("av")


@pytest.fixture
def darken(networks) -> list[str]:
    return ["--model", str(networks / "darkening.onnx"), "--precision", "float32"]


def clip(path: Path, *, frames: int = 10) -> Path:
    """White, 64 x 48."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 255, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def brightest(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [int(frame.to_ndarray(format="rgb24").max()) for frame in container.decode(video=0)]


def test_a_clip_is_restored_beside_itself(darken, tmp_path):
    assert main([str(clip(tmp_path / "clip.mp4")), *darken]) == 0
    lights = brightest(tmp_path / "clip_derained.mp4")
    assert len(lights) == 10
    assert max(abs(light - 191) for light in lights) <= 2


def test_options_may_come_first(darken, tmp_path):
    assert (
        main(["--crf", "20", "--codec", "libx265", *darken, str(clip(tmp_path / "clip.mp4"))]) == 0
    )
    with av.open(str(tmp_path / "clip_derained.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "hevc"


def test_the_summary_says_how_fast_and_what_the_rest_took(darken, tmp_path, capsys):
    main([str(clip(tmp_path / "clip.mp4")), *darken])
    line = capsys.readouterr().err.splitlines()[-1]
    assert "clip_derained.mp4: 10 frames in " in line
    assert "frames a second" in line
    assert "of the time not the network's" in line


def test_the_temporal_step_says_what_it_did(darken, tmp_path, capsys):
    main([str(clip(tmp_path / "clip.mp4")), "--temporal", *darken])
    assert "flicker 0.00 before and 0.00 after the temporal step" in capsys.readouterr().err


def test_one_bad_clip_does_not_stop_the_others(darken, tmp_path, capsys):
    (tmp_path / "bad.mp4").write_text("no clip")
    good = clip(tmp_path / "good.mp4")
    assert main([str(tmp_path / "bad.mp4"), str(good), *darken]) == 1
    assert (tmp_path / "good_derained.mp4").exists()
    assert "bad.mp4: FFmpeg refuses it" in capsys.readouterr().err


def test_a_photo_is_no_clip(darken, tmp_path, capsys):
    (tmp_path / "photo.txt").write_text("a photo")
    assert main(["video", str(tmp_path / "photo.txt"), *darken]) == 1
    assert capsys.readouterr().err.count("\n") == 2  # the model, and the sentence


def test_a_folder_of_frames(darken, tmp_path):
    (tmp_path / "in").mkdir()
    for index in range(3):
        av.VideoFrame.from_ndarray(
            np.full((8, 8, 3), 255, np.uint8), format="rgb24"
        ).to_image().save(tmp_path / "in" / f"{index}.png")
    assert (
        main(["video", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--temporal", *darken])
        == 0
    )
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_frame_that_cannot_be_read_makes_the_exit_code_1(darken, tmp_path, capsys):
    (tmp_path / "1.png").write_text("no picture")
    assert main(["video", str(tmp_path), "-o", str(tmp_path / "out"), "--quiet", *darken]) == 1
    assert "1.png: is not a picture" in capsys.readouterr().err


def test_an_encoder_that_likes_to_talk_is_quiet(darken, tmp_path):
    source = clip(tmp_path / "clip.mp4")
    command = [
        sys.executable,
        "-m",
        "derain.cli.main",
        str(source),
        "--codec",
        "libsvtav1",
        *darken,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Svt" not in done.stderr


def test_a_pipe(darken):
    frames = (
        b"YUV4MPEG2 W16 H8 F30:1 Ip A1:1 C444\n"
        + (b"FRAME\n" + bytes([235]) * 128 + bytes([128]) * 256) * 3
    )
    command = [sys.executable, "-m", "derain.cli.main", "-", "-o", "-", *darken]
    done = subprocess.run(command, input=frames, capture_output=True, check=False)
    assert (done.returncode, done.stdout.count(b"FRAME\n")) == (0, 3), done.stderr
    luma = np.frombuffer(done.stdout[-384:-256], np.uint8)
    assert np.abs(luma.astype(int) - (16 + 0.75 * 219)).max() <= 1


def test_a_pipe_that_is_cut_ends_in_failure(darken):
    command = [sys.executable, "-m", "derain.cli.main", "-", "-o", "-", "--raw", "16x8", *darken]
    done = subprocess.run(command, input=bytes(2 * 384 + 100), capture_output=True, check=False)
    assert (done.returncode, len(done.stdout)) == (1, 2 * 384)
    assert b"ends within a frame; the 2 before it were restored" in done.stderr


@pytest.mark.parametrize(
    "options", [["--crf", "20"], ["--codec", "libx265"], ["--pix-fmt", "bgr24"]]
)
def test_what_a_pipe_cannot_follow_is_refused(options, capsys):
    assert main(["-", "-o", "-", *options]) == 1
    assert options[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "SIGINT",
        "SIGTERM",
        pytest.param("SIGHUP", marks=pytest.mark.skipif(os.name == "nt", reason="Windows")),
    ],
)
def test_ctrl_c_and_the_end_of_a_service_or_a_terminal_leave_what_can_be_played(
    name, networks, tmp_path
):
    source = clip(tmp_path / "clip.mp4", frames=3000)
    command = [
        sys.executable,
        "-m",
        "derain.cli.main",
        str(source),
        "--model",
        str(networks / "blurring.onnx"),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not list(tmp_path.glob(".derain-*")):
            time.sleep(0.01)
        time.sleep(0.3)
        process.send_signal(signal.Signals[name])
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "clip_derained_partial.mp4"}
    assert 0 < len(brightest(tmp_path / "clip_derained_partial.mp4")) < 3000


def test_without_the_extra_it_is_said_with_the_command_that_installs_it(darken, tmp_path):
    lines = [
        "import sys",
        "sys.modules['av'] = None",
        "from derain.cli.main import main",
        "sys.exit(main(['clip.mp4']))",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "needs the extra `video`: install it with `pip install 'derain[video]'`" in done.stderr


def test_an_option_is_no_name(darken, tmp_path, capsys):
    assert main([str(clip(tmp_path / "clip.mp4")), "-o", "--overwrite", *darken]) == 1
    assert "-o: needs a name, and --overwrite is an option" in capsys.readouterr().err
