"""Messages on stderr, also where stderr cannot be written."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich import console as rich_console
from rich.table import Column, Table

from derain import pictures
from derain.cli.console import Console, print_table
from derain.cli.progress_bar import ProgressBar
from derain.pictures import Picture

DERAIN = [sys.executable, "-m", "derain.cli.main"]


def test_a_table_keeps_all_digits_on_a_narrow_screen(capsys):
    table = Table("precision", Column("size", min_width=11))
    table.add_row("float32 (not bfloat16)", "12345x67890")
    narrow = rich_console.Console(width=20)
    print_table(table, narrow)
    assert "12345x67890" in capsys.readouterr().out


class FailingStream(io.StringIO):
    """A stderr on which every write fails."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error
        self.calls = 0

    def write(self, text: str) -> int:
        self.calls += 1
        raise self.error

    def isatty(self) -> bool:
        return True


def break_stderr(monkeypatch, number: int) -> FailingStream:
    stream = FailingStream(OSError(number, os.strerror(number)))
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


any_error = pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE, errno.EIO])


@any_error
def test_messages_that_cannot_be_written_are_dropped(number, monkeypatch):
    stream = break_stderr(monkeypatch, number)
    console = Console(is_quiet=False)
    console.info("one")
    console.error("two")
    assert stream.calls == 1


@any_error
def test_progress_bar_that_cannot_be_written_is_dropped(number, monkeypatch):
    stream = break_stderr(monkeypatch, number)
    bar = ProgressBar("frames", console=Console(is_quiet=False).console, is_quiet=False)
    with bar:
        bar.restart(2)
        bar.advance()
    assert stream.calls == 1


def test_program_without_stderr(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    Console(is_quiet=False).error("nowhere to go")


def test_message_is_one_line(capsys):
    Console(is_quiet=False).info("a\nb\x1b[2J")
    assert capsys.readouterr().err == "a\\nb\\x1b[2J\n"


@pytest.fixture
def three_photos(tmp_path) -> Path:
    (tmp_path / "in").mkdir()
    for index in range(3):
        pictures.write(Picture(np.zeros((8, 8, 3), np.uint8)), tmp_path / "in" / f"{index}.png")
    return tmp_path / "in"


@pytest.fixture
def command(three_photos, networks) -> list[str]:
    model = ["--model", str(networks / "copying.onnx")]
    return [*DERAIN, str(three_photos), "-o", str(three_photos.with_name("out")), *model]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_photos_with_a_log_on_a_full_disk(command, three_photos):
    with Path("/dev/full").open("w") as full:
        assert subprocess.run(command, stderr=full, check=False).returncode == 0
    assert len(list(three_photos.with_name("out").iterdir())) == 3


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a pipe of Windows has no reader to lose")
def test_photos_whose_log_loses_its_reader(command, three_photos):
    (three_photos / "0a.png").write_text("no picture")
    with subprocess.Popen([*command, "--jobs", "1"], stderr=subprocess.PIPE) as process:
        process.stderr.readline()
        process.stderr.close()
        assert process.wait(60) == 1
    assert len(list(three_photos.with_name("out").iterdir())) == 3
