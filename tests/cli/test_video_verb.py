"""`derain clip.mp4` as a user runs it."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from derain.cli.main import main
from derain.weights import CLIP_DEFAULT

av = pytest.importorskip("av")
from derain.video import jobs  # noqa: E402
from derain.video.clip import restore_clip  # noqa: E402
from derain.video.frames import VideoResult  # noqa: E402

DERAIN = [sys.executable, "-m", "derain.cli.main"]


@pytest.fixture
def darken(networks) -> list[str]:
    return ["--model", str(networks / "darkening.onnx"), "--precision", "float32"]


def write_white_clip(path: Path, *, frames: int = 10) -> Path:
    """Write a white clip of 64 x 48."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 255, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def clip(tmp_path) -> Path:
    return write_white_clip(tmp_path / "clip.mp4")


def brightest(path: Path) -> list[int]:
    """Return the largest value of each frame."""
    with av.open(str(path)) as container:
        return [int(frame.to_ndarray(format="rgb24").max()) for frame in container.decode(video=0)]


def test_output_with_a_slash_is_a_folder(darken, clip):
    folder = clip.with_name("holiday.june")
    assert main([str(clip), "-o", f"{folder}/", *darken]) == 0
    assert [path.name for path in folder.iterdir()] == ["clip.mp4"]


def test_result_is_beside_the_clip(darken, clip):
    assert main([str(clip), *darken]) == 0
    values = brightest(clip.with_name("clip_derained.mp4"))
    assert len(values) == 10
    assert max(abs(value - 191) for value in values) <= 2


def test_options_before_the_clip(darken, clip):
    assert main(["--crf", "20", "--codec", "libx265", *darken, str(clip)]) == 0
    with av.open(str(clip.with_name("clip_derained.mp4"))) as container:
        assert container.streams.video[0].codec_context.name == "hevc"


def test_final_line(darken, clip, capsys):
    main([str(clip), *darken])
    line = capsys.readouterr().err.splitlines()[-1]
    assert "clip_derained.mp4: 10 frames in " in line
    assert " fps, " in line
    assert "overhead outside the network" in line


def test_frame_folder_without_new_frames_has_no_speed(darken, tmp_path, capsys):
    folder, target = tmp_path / "frames", str(tmp_path / "out")
    folder.mkdir()
    Image.new("RGB", (16, 16)).save(folder / "f1.png")
    main(["video", str(folder), "-o", target, *darken])
    capsys.readouterr()
    main(["video", str(folder), "-o", target, *darken])
    assert f"{target}: 0 frames" in capsys.readouterr().err.splitlines()


def test_skipped_clips_are_counted(darken, clip, capsys):
    main([str(clip), *darken])
    clips = sorted(map(str, clip.parent.iterdir()))
    capsys.readouterr()
    assert main([*clips, *darken]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "1 skipped (result exists)",
        "1 skipped (result of an earlier run)",
    ]


def test_invalid_clip_does_not_stop_the_others(darken, clip, capsys):
    bad = clip.with_name("bad.mp4")
    bad.write_text("no clip")
    assert main([str(bad), str(clip), *darken]) == 1
    assert clip.with_name("clip_derained.mp4").exists()
    assert "bad.mp4: FFmpeg reports an error" in capsys.readouterr().err


def test_unexpected_exception_does_not_stop_the_other_clips(darken, clip, capsys, monkeypatch):
    def restore(source: Path, *args: object, **options: object) -> VideoResult:
        if source.name == "odd.mp4":
            raise AttributeError("no such name")
        return restore_clip(source, *args, **options)

    monkeypatch.setattr(jobs, "restore_clip", restore)
    odd = shutil.copyfile(clip, clip.with_name("odd.mp4"))
    assert main([str(odd), str(clip), *darken]) == 1
    assert clip.with_name("clip_derained.mp4").exists()
    assert f"{odd}: AttributeError: no such name; this is a bug" in capsys.readouterr().err


def test_invalid_input_is_one_sentence(darken, tmp_path, capsys):
    (tmp_path / "photo.txt").write_text("a photo")
    assert main(["video", str(tmp_path / "photo.txt"), *darken]) == 1
    assert capsys.readouterr().err.count("\n") == 2  # the model, and the sentence


def test_help_names_the_default_model(capsys):
    assert main(["video", "--help"]) == 0
    assert f"[default: {CLIP_DEFAULT}]" in capsys.readouterr().out


def test_no_clip(capsys):
    assert main(["video"]) == 1
    assert "no clip given; try `derain clip.mp4`" in capsys.readouterr().err


def test_folder_of_frames(darken, tmp_path):
    (tmp_path / "in").mkdir()
    white = av.VideoFrame.from_ndarray(np.full((8, 8, 3), 255, np.uint8), format="rgb24")
    for index in range(3):
        white.to_image().save(tmp_path / "in" / f"{index}.png")
    folders = [str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    assert main(["video", *folders, *darken]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_invalid_frame_is_a_failure(darken, tmp_path, capsys):
    (tmp_path / "1.png").write_text("no picture")
    assert main(["video", str(tmp_path), "-o", str(tmp_path / "out"), "--quiet", *darken]) == 1
    assert "1.png: is not a picture" in capsys.readouterr().err


def test_verbose_encoder_is_silent(darken, clip, capfd):
    assert main([str(clip), "--codec", "libsvtav1", *darken]) == 0
    assert "Svt" not in capfd.readouterr().err


@pytest.fixture
def pipe(monkeypatch):
    """`pipe(data)` replaces standard input; returns the bytes on standard output."""

    def replace(data: bytes) -> io.BytesIO:
        outlet = io.BytesIO()
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=outlet, flush=outlet.flush))
        return outlet

    return replace


def test_pipe(darken, pipe):
    frame = b"FRAME\n" + bytes([235]) * 128 + bytes([128]) * 256
    outlet = pipe(b"YUV4MPEG2 W16 H8 F30:1 Ip A1:1 C444\n" + frame * 3)
    assert main(["-", "-o", "-", *darken]) == 0
    output = outlet.getvalue()
    assert output.count(b"FRAME\n") == 3
    luma = np.frombuffer(output[-384:-256], np.uint8).astype(int)
    assert np.abs(luma - (16 + 0.75 * 219)).max() <= 1


def test_truncated_pipe_is_a_failure(darken, pipe, capsys):
    outlet = pipe(bytes(2 * 384 + 100))
    assert main(["-", "-o", "-", "--raw", "16x8", *darken]) == 1
    assert len(outlet.getvalue()) == 2 * 384
    message = "ends within a frame; the 2 frames before it were restored"
    assert message in capsys.readouterr().err


FULL = "derain: standard output: the disk is full; free some space or write to another disk\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_pipe_to_a_full_disk_is_one_sentence(darken):
    """In a process, which writes the rest of its buffer at its end."""
    command = [*DERAIN, "-", "-o", "-", "--raw", "16x8", "--quiet", *darken]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, input=bytes(2 * 384), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert done.stderr.decode() == FULL


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_pipe_without_a_buffer_to_a_full_disk_is_one_sentence(darken, pipe, monkeypatch, capsys):
    pipe(bytes(2 * 384))
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=full, flush=full.flush))
        assert main(["-", "-o", "-", "--raw", "16x8", "--quiet", *darken]) == 1
    assert capsys.readouterr().err == FULL


def test_pipe_between_processes(darken):
    command = [*DERAIN, "-", "-o", "-", "--raw", "16x8", *darken]
    process = subprocess.run(command, input=bytes(2 * 384), capture_output=True, check=True)
    assert len(process.stdout) == 2 * 384


@pytest.mark.parametrize(
    "options", [["--crf", "20"], ["--codec", "libx265"], ["--pix-fmt", "bgr24"]]
)
def test_options_that_do_not_apply_to_a_pipe(options, capsys):
    assert main(["-", "-o", "-", *options]) == 1
    assert options[0] in capsys.readouterr().err


@pytest.mark.parametrize("raw", ["64", "0x8", "axb"])
def test_invalid_size_of_raw_frames(raw, capsys):
    assert main(["-", "-o", "-", "--raw", raw]) == 1
    assert f"--raw {raw}: expected WIDTHxHEIGHT" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "SIGINT",
        "SIGTERM",
        pytest.param("SIGHUP", marks=pytest.mark.skipif(os.name == "nt", reason="Windows")),
    ],
)
def test_signals_leave_a_playable_clip(name, networks, tmp_path):
    source = write_white_clip(tmp_path / "clip.mp4", frames=3000)
    command = [*DERAIN, str(source), "--model", str(networks / "blurring.onnx")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not list(tmp_path.glob(".derain-*")):
            time.sleep(0.01)
        time.sleep(0.3)
        process.send_signal(signal.Signals[name])
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "clip_derained_partial.mp4"}
    assert 0 < len(brightest(tmp_path / "clip_derained_partial.mp4")) < 3000


def test_missing_extra_names_the_command_that_installs_it(tmp_path):
    code = (
        "import sys; sys.modules['av'] = None; "
        "from derain.cli.main import main; sys.exit(main(['clip.mp4']))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert process.returncode == 1
    message = "needs the extra `video`: install it with `pip install 'derain[video]'`"
    assert message in process.stderr


def test_option_after_output_is_not_a_name(darken, clip, capsys):
    assert main([str(clip), "-o", "--overwrite", *darken]) == 1
    err = capsys.readouterr().err
    assert "-o: " in err
    assert "--overwrite" in err
