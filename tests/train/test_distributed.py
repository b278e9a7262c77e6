"""What several processes do where one of them cannot go on."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.train_commands import command, wait_for

TWO = ["machine.processes=2", "length.steps=2"]
SECOND_FAILS = """
from lightning_fabric import Fabric
from derain.errors import DataError
from derain.train.distributed import by_all

fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
fabric.launch()

def make():
    if fabric.global_rank == 1:
        raise DataError("b.png: is gone")
    return fabric.global_rank

assert by_all(fabric, lambda: fabric.global_rank) == fabric.global_rank
try:
    by_all(fabric, make)
except DataError as error:
    open(f"said-{fabric.global_rank}", "w").write(str(error))
"""


def test_what_one_process_raises_all_raise(tmp_path):
    (tmp_path / "both.py").write_text(SECOND_FAILS)
    subprocess.run([sys.executable, "both.py"], cwd=tmp_path, timeout=120, check=True)
    assert [(tmp_path / f"said-{rank}").read_text() for rank in range(2)] == ["b.png: is gone"] * 2


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows says other things of a folder, and has no locks"
)
@pytest.mark.parametrize(
    ("name", "fact"),
    [("recipe.json", "is a folder"), ("log.jsonl", "Is a directory"), (".lock", "Is a directory")],
)
def test_what_the_first_process_cannot_open_is_one_sentence(project, name, fact):
    (project / "run" / name).mkdir(parents=True)
    said = subprocess.run(
        command(project, *TWO), capture_output=True, text=True, timeout=180, check=False
    )
    assert said.returncode == 1
    assert f"{name}: {fact}" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.skipif(
    sys.platform != "linux",
    reason="only Linux tells a process that the one that started it has ended",
)
def test_second_process_ends_when_the_first_is_ended_while_they_start(project):
    def second():
        """The process that the first one has started."""
        pids = [
            int(pid)
            for path in Path("/proc").glob(f"{first.pid}/task/*/children")
            for pid in path.read_text().split()
        ]
        return [pid for pid in pids if b"derain.cli.main" in cmdline(pid)]

    seen = []
    first = subprocess.Popen(command(project, *TWO), stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: seen.extend(second()) or seen)
        first.send_signal(signal.SIGTERM)
        first.wait(60)
        wait_for(lambda: not any(map(cmdline, seen)))
    finally:
        first.kill()


def cmdline(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
