"""Runs of the command line that are stopped or killed."""

import os
import signal
import subprocess
import time

import pytest
from helpers.train_commands import command, events, state_of, wait_for

ENDLESS = ["length.steps=100000", "validation.pairs=[]"]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "name",
    [
        "SIGTERM",
        pytest.param("SIGHUP", marks=pytest.mark.skipif(os.name == "nt", reason="Windows")),
    ],
)
def test_signal_saves_the_state(name, project):
    process = subprocess.Popen(command(project, *ENDLESS), stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (project / "run/log.jsonl").exists())
    process.send_signal(signal.Signals[name])
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert "stopped by a signal" in stderr
    assert state_of(project)["step"] == events(project)[-1]["step"]


def test_kill_leaves_a_whole_checkpoint(project):
    process = subprocess.Popen(command(project, *ENDLESS, "record.save_every_minutes=0"))
    wait_for(lambda: (project / "run/state.ckpt").exists())
    time.sleep(0.5)
    process.kill()
    process.wait(60)
    assert state_of(project)["step"] >= 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups for signals")
def test_signal_to_the_process_group_saves_the_state(project):
    """A scheduler signals all processes, including those that prepare crops."""
    arguments = command(project, *ENDLESS, "machine.workers=2")
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for(lambda: (project / "run/log.jsonl").exists())
    os.killpg(process.pid, signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr
    assert state_of(project)["step"] == events(project)[-1]["step"]
