"""`derain` in other locales, homes, terminals, modes of Python and forms of installation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipapp
from pathlib import Path

import numpy as np
import pytest

import derain
from derain import pictures
from derain.cli.exit_codes import ExitCode
from derain.pictures import Picture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="tests of POSIX environments"),
]

PACKAGE = Path(derain.__file__).parent
COMMANDS = """
import sys
from derain.cli.main import main

photo, rain_free, network = sys.argv[1:]
main(["info"])
main(["restore", "--help"])
options = ["--model", network, "--precision", "float32"]
code = main([photo, *options])
code |= main(["evaluate", "--model", network, "--rain-free", rain_free])
sys.exit(code)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a white photo whose name is not ASCII, and a folder `rain-free`."""
    white = Picture(np.full((20, 30, 3), 255, np.uint8))
    pictures.write(white, tmp_path / "été.png")
    (tmp_path / "rain-free").mkdir()
    pictures.write(white, tmp_path / "rain-free" / "1.png")
    return tmp_path


@pytest.fixture
def run_commands(folder: Path, networks: Path):
    """`run_commands(variables, flags)`: run the commands in another process."""

    def run(
        variables: dict[str, str], flags: tuple[str, ...] = (), stderr: int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[str]:
        arguments = [folder / "été.png", folder / "rain-free", networks / "darkening.onnx"]
        return subprocess.run(
            [sys.executable, *flags, "-c", COMMANDS, *map(str, arguments)],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf-8",
            check=False,
        )

    return run


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    ("variables", "flags"),
    [
        pytest.param(ASCII, (), id="C locale"),
        pytest.param({}, (), id="no variables"),
        pytest.param({"HOME": "/proc"}, (), id="read-only home"),
        pytest.param({"NO_COLOR": "1"}, (), id="no colours"),
        pytest.param({}, ("-I",), id="python -I"),
        pytest.param({}, ("-O",), id="python -O"),
        pytest.param({}, ("-OO",), id="python -OO"),
    ],
)
def test_commands_succeed(variables, flags, run_commands, folder):
    done = run_commands(variables, flags)
    assert done.returncode == ExitCode.SUCCESS, done.stderr
    assert "Traceback" not in done.stderr
    assert "Share of the detected rain" in " ".join(done.stdout.split())
    assert pictures.read(folder / "été_derained.png").pixels.max() == 191


def test_dumb_terminal_gets_no_escape_sequences(run_commands):
    master, slave = os.openpty()
    done = run_commands({"TERM": "dumb"}, stderr=slave)
    os.close(slave)
    text = os.read(master, 100_000)
    os.close(master)
    assert done.returncode == ExitCode.SUCCESS
    assert b"1 restored in " in text
    assert b"\x1b" not in text


def test_packages_without_metadata(run_commands, tmp_path):
    """As on PYTHONPATH, or in a frozen application."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for entry in Path(np.__file__).parents[1].iterdir():
        if entry.suffix not in {".dist-info", ".pth"} and entry.name != PACKAGE.name:
            (packages / entry.name).symlink_to(entry)
    (packages / PACKAGE.name).symlink_to(PACKAGE)
    done = run_commands({"PYTHONPATH": str(packages)}, ("-S",))
    assert done.returncode == ExitCode.SUCCESS, done.stderr
    assert "numpy (unknown version), " in done.stdout


def test_zip_archive(folder, networks, tmp_path):
    """Shipped models and the parts of reports are read from the archive."""
    without_models = shutil.ignore_patterns("__pycache__", "*.onnx", "*.safetensors")
    shutil.copytree(PACKAGE, tmp_path / "app" / "derain", ignore=without_models)
    shutil.copy(networks / "darkening.onnx", tmp_path / "app/derain/weights/models/toy.onnx")
    archive, temporary = tmp_path / "derain.pyz", tmp_path / "temporary"
    zipapp.create_archive(tmp_path / "app", archive, main="derain.cli.main:main")
    temporary.mkdir()
    arguments = [folder / "été.png", "--model", "toy", "--report", tmp_path / "report.html"]
    done = subprocess.run(
        [sys.executable, archive, *arguments, "--precision", "float32"],
        env={"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "model toy on " in done.stderr
    assert pictures.read(folder / "été_derained.png").pixels.max() == 191
    assert list(temporary.iterdir()) == []
