"""The entry point: lazy imports, one line for an error, exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from derain import __version__
from derain.cli import main as entry
from derain.cli.main import main
from derain.errors import DerainError

HELP = [["--version"], ["--help"], [], *([verb, "--help"] for verb in entry.VERBS)]
HEAVY = {"numpy", "PIL", "openvino", "onnxruntime", "torch", "onnx", "scipy", "av"}


def test_help_and_version_import_nothing_heavy():
    code = (
        "import contextlib, io, sys\n"
        "from derain.cli.main import main\n"
        f"for arguments in {HELP}:\n"
        "    with contextlib.redirect_stdout(io.StringIO()):\n"
        "        assert main(arguments) == 0, arguments\n"
        f"    assert not {HEAVY} & set(sys.modules), arguments\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_help_lists_verbs(capsys):
    main(["--help"])
    text = capsys.readouterr().out
    assert [verb for verb in entry.VERBS if f" {verb} " not in text] == []


@pytest.mark.parametrize("verb", entry.VERBS)
def test_every_verb_has_help(verb, capsys):
    assert main([verb, "--help"]) == 0
    assert verb in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [["ablate"], ["evaluate"], ["bench", "restore"], ["data", "check"], ["data", "from-clip"]],
    ids=" ".join,
)
def test_help_offers_each_parameter_in_one_form(command, capsys):
    main([*command, "--help"])
    text = capsys.readouterr().out
    assert re.findall(r"--empty-\S+|[A-Z]+ --[a-z]+ ", text) == []


def test_error_is_one_line_on_stderr(capsys):
    assert main(["photo.jpg", "--model", "no-such-model"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("derain: no-such-model: ")
    assert err.count("\n") == 1


def test_usage_error_exits_with_2():
    with pytest.raises(SystemExit, match="2"):
        main(["photo.jpg", "--no-such-option"])


def test_ctrl_c_exits_with_130(monkeypatch):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "build_app", lambda: lambda tokens: interrupted())
    assert main(["info"]) == 130


def test_missing_extra_names_the_install_command(monkeypatch, capsys):
    def needs_torch(tokens: list[str]) -> None:
        try:
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        except ModuleNotFoundError as error:
            raise ImportError("Cannot import module 'derain.cli.train'") from error

    monkeypatch.setattr(entry, "build_app", lambda: needs_torch)
    assert main(["train"]) == 1
    assert capsys.readouterr().err == (
        "derain: derain train needs the extra `train`: "
        "install it with `pip install 'derain[train]'`\n"
    )


def test_clips_ask_for_a_newer_python(monkeypatch, capsys):
    def needs_pyav(tokens: list[str]) -> None:
        raise ModuleNotFoundError("No module named 'av'", name="av")

    monkeypatch.setattr(entry, "build_app", lambda: needs_pyav)
    monkeypatch.setattr(entry, "PYAV_NEEDS", (9, 9))
    assert main(["clip.mp4"]) == 1
    assert capsys.readouterr().err.startswith(
        "derain: derain video needs PyAV, which requires Python 9.9 or newer; "
    )


def test_other_missing_modules_are_raised(monkeypatch):
    def broken(tokens: list[str]) -> None:
        raise ModuleNotFoundError("No module named 'derain.oops'", name="derain.oops")

    monkeypatch.setattr(entry, "build_app", lambda: broken)
    with pytest.raises(ModuleNotFoundError):
        main(["info"])


def test_failing_verb_exits_with_1(monkeypatch, capsys):
    def failing(tokens: list[str]) -> None:
        raise DerainError("photo.jpg: the fact; the remedy")

    monkeypatch.setattr(entry, "build_app", lambda: failing)
    assert main(["info"]) == 1
    assert capsys.readouterr().err == "derain: photo.jpg: the fact; the remedy\n"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("evalute", "evaluate"), ("trian", "train"), ("vidio", "video"), ("Info", "info")],
)
def test_misspelt_verb_is_suggested(typed, meant, capsys):
    assert main([typed, "--data", "x"]) == 1
    assert (
        capsys.readouterr().err
        == f"derain: {typed}: neither a file nor a verb; did you mean `derain {meant}`?\n"
    )


@pytest.mark.parametrize("words", [["help"], ["help", "web"]])
def test_help_is_also_a_word(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(words)
    assert f"Usage: derain {'web' if 'web' in words else 'PHOTO'}" in capsys.readouterr().out


def test_command_after_options_is_named(capsys):
    assert main(["-m", "fast", "video", "frames/"]) == 1
    assert "video: commands come before options" in capsys.readouterr().err


def test_suffix_may_be_a_word_that_names_a_command():
    assert entry._verb_for(["--suffix", "rain", "photo.jpg"]) == "restore"


def test_stream_address_suggests_a_pipe(capsys):
    assert main(["rtsp://camera/1", "-o", "out.mp4"]) == 1
    assert (
        "`ffmpeg -i rtsp://camera/1 -f yuv4mpegpipe - | derain - -o -`" in capsys.readouterr().err
    )


def test_address_of_a_photo_is_not_a_stream(capsys):
    assert main(["https://example.org/photo.jpg"]) == 1
    assert (
        "https://example.org/photo.jpg: is not on this machine; download" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "arguments",
    [["--json", "-"], ["--json=-"], ["--report", "-"], ["--mask", "a.mp4"], ["-m", "a.mp4"]],
)
def test_files_of_other_options_do_not_select_the_verb(arguments):
    assert entry._verb_for(["photo.jpg", *arguments]) == "restore"


@pytest.mark.parametrize(
    "arguments",
    [["clip.mp4"], ["--mask", "mask.png", "clip.mp4"], ["-", "-o", "-"], ["photo.jpg", "-o", "-"]],
)
def test_clips_and_pipes_select_the_verb(arguments):
    assert entry._verb_for(arguments) == "video"


@pytest.mark.parametrize(
    "arguments",
    [
        ["holiday.mts"],
        ["holiday.mts/", "-o", "out"],
        ["photos", "-o", "trip.ts/"],
        ["photos", "-o=trip.ts/"],
        ["photos", "--output=holiday.mts"],
        ["photos/1.png", "-o", "trip.mov/"],
        ["photos/1.png", "-o", "holiday.mts"],
    ],
)
def test_folder_named_like_a_clip_is_a_folder(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "holiday.mts").mkdir()
    (tmp_path / "photos").mkdir()
    assert entry._verb_for(arguments) == "restore"


@pytest.mark.parametrize("option", ["--output=trip.ts", "-o=trip.ts"])
def test_clip_as_output_selects_the_verb(option):
    assert entry._verb_for(["camera.bin", option]) == "video"


@pytest.fixture
def removed_folder(tmp_path, monkeypatch):
    """The current folder, which was removed."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not remove the current folder")
@pytest.mark.parametrize(
    "arguments",
    [
        ["photo.jpg"],
        ["."],
        ["../a.jpg", "-o", "../b.jpg"],
        pytest.param(["clip.mp4"], marks=pytest.mark.skipif(not find_spec("av"), reason="PyAV")),
        ["evaluate", "--data=."],
    ],
)
def test_removed_current_folder(arguments, removed_folder, capsys):
    assert main(arguments) == 1
    assert (
        capsys.readouterr().err
        == "derain: the current folder was removed; change to another folder with `cd`\n"
    )


def test_other_os_errors_are_raised(monkeypatch):
    def broken(tokens: list[str]) -> None:
        raise OSError("odd")

    monkeypatch.setattr(entry, "build_app", lambda: broken)
    with pytest.raises(OSError, match="odd"):
        main(["info"])


def test_folder_and_clip_cannot_be_mixed(tmp_path, capsys):
    assert main([str(tmp_path), "clip.mp4", "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == (
        f"derain: {tmp_path}: a folder cannot be mixed with clips; use `derain restore {tmp_path}` "
        f"for its photos or `derain video {tmp_path}` for a frame folder\n"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
@pytest.mark.parametrize(
    ("code", "unbuffered"),
    [
        ("main(['--version'])", "1"),
        ("main(['--help'])", ""),
        ("print_and_fail()", ""),
        ("print_and_fail()", "1"),
    ],
)
def test_standard_output_on_a_full_disk(code, unbuffered):
    """With and without a buffer; `print_and_fail` stands for a verb whose result is a failure."""
    lines = [
        "import sys",
        "from derain.cli import main as entry",
        "from derain.cli.main import main",
        "def print_and_fail():",
        "    entry.build_app = lambda: lambda tokens: print('report') or 1",
        "    return main(['info'])",
        f"sys.exit({code})",
    ]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(lines)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "derain: standard output: the disk is full; free some space or write to another disk\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="a pipe of Windows has no reader to lose")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_output_without_a_reader(unbuffered):
    code = (
        "import sys; from derain.cli import main as entry; "
        "entry.build_app = lambda: lambda tokens: print('report'); sys.exit(entry.main(['info']))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_package_runs_as_a_module(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "derain", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == __version__


@pytest.mark.parametrize(
    ("platform", "arguments", "received"),
    [
        ("win32", ["*.png"], ["restore", "[1].png", "a.png", "b.png"]),
        ("win32", ["[1].*", "-o", "out"], ["restore", "[1].png", "-o", "out"]),
        ("win32", ["?.mp4"], ["video", "c.mp4"]),
        ("win32", ["*.jpg"], ["restore", "*.jpg"]),
        ("win32", ["evaluate", "--outputs", "*.png"], ["evaluate", "--outputs", "*.png"]),
        ("linux", ["*.png"], ["restore", "*.png"]),
    ],
)
def test_patterns_are_expanded_where_shells_do_not(
    platform, arguments, received, tmp_path, monkeypatch
):
    calls = []
    for name in ("b.png", "a.png", "[1].png", "c.mp4"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(entry, "build_app", lambda: calls.append)
    main(arguments)
    assert calls == [received]
