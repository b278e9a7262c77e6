"""The way into every verb: lazy, one line for an error, the right exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

from derain import __version__
from derain.cli import main as entry
from derain.cli.main import main
from derain.errors import DerainError


def run(*lines: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )


def imported_by(*arguments: str) -> set[str]:
    """The heavy modules that a command line imports."""
    heavy = "{'numpy', 'PIL', 'openvino', 'onnxruntime', 'torch', 'onnx', 'scipy'}"
    done = run(
        "import sys",
        "from derain.cli.main import main",
        f"main({list(arguments)!r})",
        f"print('\\n', *{heavy} & set(sys.modules))",
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], []])
def test_asking_about_derain_imports_nothing_heavy(arguments):
    assert imported_by(*arguments) == set()


def test_version(capsys):
    assert (main(["--version"]), capsys.readouterr().out.strip()) == (0, __version__)


def test_help_lists_the_verbs(capsys):
    main(["--help"])
    text = capsys.readouterr().out
    assert [verb for verb in entry.VERBS if f" {verb} " not in text] == []


@pytest.mark.parametrize("verb", entry.VERBS)
def test_every_verb_has_help(verb, capsys):
    assert main([verb, "--help"]) == 0
    assert verb in capsys.readouterr().out


def test_an_error_is_one_line_on_stderr(capsys):
    assert main(["photo.jpg", "--model", "no-such-model"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), err.startswith("derain: no-such-model: ")) == ("", 1, True)


def test_a_command_line_that_makes_no_sense_is_2():
    with pytest.raises(SystemExit, match="2"):
        main(["photo.jpg", "--no-such-option"])


def test_ctrl_c_is_130(monkeypatch):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "build_app", lambda: lambda tokens: interrupted())
    assert main(["info"]) == 130


def test_a_missing_extra_is_said_with_the_command_that_installs_it(monkeypatch, capsys):
    def needs_torch(tokens: list[str]) -> None:
        try:
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        except ModuleNotFoundError as error:
            raise ImportError("Cannot import module 'derain.cli.train'") from error

    monkeypatch.setattr(entry, "build_app", lambda: needs_torch)
    assert main(["train"]) == 1
    assert (
        capsys.readouterr().err
        == "derain: derain train needs the extra `train`: install it with `pip install 'derain[train]'`\n"
    )


def test_clips_on_a_python_that_is_too_old_for_them_ask_for_a_newer_one(monkeypatch, capsys):
    def needs_pyav(tokens: list[str]) -> None:
        raise ModuleNotFoundError("No module named 'av'", name="av")

    monkeypatch.setattr(entry, "build_app", lambda: needs_pyav)
    monkeypatch.setattr(entry, "PYAV_NEEDS", (9, 9))
    assert main(["clip.mp4"]) == 1
    assert capsys.readouterr().err.startswith(
        "derain: derain video needs Python 9.9 or newer, for which PyAV is published; "
    )


def test_a_missing_module_that_is_no_extra_is_a_bug_and_not_hidden(monkeypatch):
    def broken(tokens: list[str]) -> None:
        raise ModuleNotFoundError("No module named 'derain.oops'", name="derain.oops")

    monkeypatch.setattr(entry, "build_app", lambda: broken)
    with pytest.raises(ModuleNotFoundError):
        main(["info"])


def test_an_error_of_a_verb_is_1(monkeypatch, capsys):
    def failing(tokens: list[str]) -> None:
        raise DerainError("photo.jpg: the fact; the remedy")

    monkeypatch.setattr(entry, "build_app", lambda: failing)
    assert (main(["info"]), capsys.readouterr().err) == (
        1,
        "derain: photo.jpg: the fact; the remedy\n",
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("evalute", "evaluate"), ("trian", "train"), ("vidio", "video"), ("Info", "info")],
)
def test_a_verb_that_is_misspelt_is_no_photo(typed, meant, capsys):
    assert main([typed, "--data", "x"]) == 1
    assert (
        capsys.readouterr().err
        == f"derain: {typed}: is neither a file nor a verb; did you mean `derain {meant}`?\n"
    )


def test_a_stream_is_restored_through_a_pipe(capsys):
    assert main(["rtsp://camera/1", "-o", "out.mp4"]) == 1
    assert (
        "`ffmpeg -i rtsp://camera/1 -f yuv4mpegpipe - | derain - -o -`" in capsys.readouterr().err
    )


def test_a_folder_beside_a_clip_may_be_one_of_photos(tmp_path, capsys):
    """As numbered frames its folders within would be left out."""
    assert main([str(tmp_path), "clip.mp4", "-o", str(tmp_path / "out")]) == 1
    assert f"{tmp_path}: is a folder beside clips" in capsys.readouterr().err


def test_the_package_can_be_run(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "derain", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == __version__
