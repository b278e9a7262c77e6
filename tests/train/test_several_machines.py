"""Training on two machines, as `torchrun` starts it; here both are processes on loopback."""

import socket
import subprocess
import sys

import pytest
from helpers.train_commands import run, run_command, state_of

pytestmark = pytest.mark.slow
TOLERANCE = 2e-4
"""Sums over two processes are rounded differently."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def torchrun(project, port, *overrides):
    """Start one of two machines with one process."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
    launcher += ["--nproc-per-node", "1", "--max-restarts", "0", "--rdzv-backend", "c10d"]
    launcher += ["--rdzv-endpoint", f"127.0.0.1:{port}", "-m", "derain", "train"]
    command = [*launcher, str(project / "recipe.toml"), "machine.nodes=2", *overrides]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def largest_difference(first, second):
    return max((first[name] - second[name]).abs().max().item() for name in first)


def test_two_machines_train_like_one(project):
    settings = ["length.steps=3", "validation.pairs=[]"]
    run(project, *settings, f"record.folder={project / 'one'}")
    port = free_port()
    machines = [torchrun(project, port, *settings) for _ in range(2)]
    outputs = [machine.communicate(timeout=900)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], outputs
    one, two = state_of(project, "one"), state_of(project)
    assert two["step"] == 3
    assert largest_difference(one["network"], two["network"]) < TOLERANCE


@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1)])
def test_run_resumes_on_another_number_of_processes(first, then, project):
    """Step s draws the same crops, however many processes share them."""
    settings = ["validation.pairs=[]", "schedule.kind=steps", "schedule.warmup_steps=0"]
    run(project, *settings, "length.steps=4", f"record.folder={project / 'one'}")
    for steps, processes, extra in ((2, first, []), (4, then, ["--resume"])):
        counts = [f"length.steps={steps}", f"machine.processes={processes}"]
        process = run_command(project, *settings, *counts, *extra)
        assert process.returncode == 0, process.stderr
    one, other = state_of(project, "one"), state_of(project)
    assert other["step"] == 4
    assert largest_difference(one["network"], other["network"]) < TOLERANCE
