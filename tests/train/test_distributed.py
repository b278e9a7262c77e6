"""Several processes: one result, and errors that all of them share."""

import json
import signal
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch
from helpers.train_commands import (
    FEW_TENSORS,
    command,
    events,
    run,
    run_command,
    state_of,
    wait_for,
)

from derain.network.weights_file import load_weights
from derain.train.distributed import BatchSampler, leaving_group
from derain.train.launch import named_main_module

TWO = ["machine.processes=2", "length.steps=2"]
SECOND_FAILS = """
from lightning_fabric import Fabric
from torch import distributed
from derain.errors import DataError
from derain.train.distributed import on_all_ranks

fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
fabric.launch()

def compute():
    if fabric.global_rank == 1:
        raise DataError("b.png: is missing")
    return fabric.global_rank

assert on_all_ranks(fabric, lambda: fabric.global_rank) == fabric.global_rank
try:
    on_all_ranks(fabric, compute)
except DataError as error:
    open(f"error-{fabric.global_rank}", "w").write(str(error))
distributed.destroy_process_group()  # its threads may abort a process that ends
"""
ENDS = """
import atexit
import os
import sys
from pathlib import Path
from derain import DerainError
from derain.cli.main import main
from derain.train import loop

def note_threads():
    names = [(path / "comm").read_text() for path in Path("/proc/self/task").iterdir()]
    Path(f"threads-{os.environ['LOCAL_RANK']}").write_text("".join(names))

def fail(*_, **__):
    raise {"error": DerainError("a.png: is missing"), "interrupted": KeyboardInterrupt()}[ending]

ending = sys.argv[1]
if ending != "done":
    loop.write_weights = fail
atexit.register(note_threads)
sys.exit(main(sys.argv[2:]))
"""

NEXT_FAILS = """
import os
import sys
from derain.cli.main import main
from derain.data.crops import Crops
from derain.errors import DataError

def fail(crops, index):
    if index >= 2 and os.environ.get("LOCAL_RANK") == "1":
        raise DataError("a.png: is damaged")
    return draw(crops, index)

draw, Crops.__getitem__ = Crops.__getitem__, fail
sys.exit(main(sys.argv[1:]))
"""


def test_processes_share_the_indices_of_a_step():
    samplers = [BatchSampler(batch=4, rank=rank, world_size=2, first_step=3) for rank in (0, 1)]
    assert [next(iter(sampler)) for sampler in samplers] == [[12, 13], [14, 15]]


@pytest.mark.slow
def test_two_processes_average_their_gradients(project):
    """Two processes with one crop each take the step of one process with both crops."""
    run(project, f"record.folder={project / 'one'}", "length.steps=3", "validation.pairs=[]")
    process = run_command(project, "machine.processes=2", "length.steps=3")
    assert process.returncode == 0, process.stderr
    one, two = state_of(project, "one")["network"], state_of(project)["network"]
    assert max((one[k] - two[k]).abs().max().item() for k in one) < 2e-4
    assert "mean" in state_of(project)["card"]["validation"]


@pytest.mark.slow
@pytest.mark.parametrize("real_gradient", ["false", "true"])
def test_two_processes_train_both_networks_like_one(real_gradient, project):
    settings = [
        "loss.beta=1",
        "adversarial.discriminator_every=2",
        f"adversarial.real_gradient={real_gradient}",
        "validation.pairs=[]",
        "length.steps=3",
    ]
    run(project, *settings, f"record.folder={project / 'one'}")
    process = run_command(project, *settings, "machine.processes=2")
    assert process.returncode == 0, process.stderr
    one, two = state_of(project, "one"), state_of(project)
    for part in ("network", "discriminator"):
        difference = max((one[part][k] - two[part][k]).abs().max().item() for k in one[part])
        assert difference < 2e-4


@pytest.mark.slow
def test_two_processes_leave_unused_heads_unchanged(finished):
    weights = finished / "run/weights.safetensors"
    other = [f"record.folder={finished / 'other'}", "validation.pairs=[]", "loss.alpha=0.0"]
    process = run_command(finished, *TWO, *other, "--weights", str(weights))
    assert process.returncode == 0, process.stderr
    before, after = (
        load_weights(weights)[1],
        load_weights(finished / "other/weights.safetensors")[1],
    )
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert "heads" not in changed


@pytest.mark.slow
def test_two_processes_train_without_the_hierarchical_loss(project):
    """Every parameter of the heads has a gradient, or the processes would wait forever."""
    settings = ["loss.alpha=0.0", "loss.beta=1", "adversarial.warmup_steps=1"]
    process = run_command(project, *TWO, *settings, "validation.pairs=[]")
    assert process.returncode == 0, process.stderr
    assert events(project)[-1]["step"] == 2


@pytest.mark.slow
def test_two_processes_select_one_precision(project):
    automatic = ["machine.processes=2", "length.steps=1", "machine.precision=auto"]
    process = run_command(project, *automatic, "validation.pairs=[]")
    assert process.returncode == 0, process.stderr
    recipe = json.loads((project / "run/recipe.json").read_text())
    assert recipe["machine"]["precision"] in ("32-true", "bf16-mixed")


@pytest.mark.slow
def test_error_of_one_process_is_raised_in_all(tmp_path):
    (tmp_path / "both.py").write_text(SECOND_FAILS)
    subprocess.run([sys.executable, "both.py"], cwd=tmp_path, timeout=120, check=True)
    errors = [(tmp_path / f"error-{rank}").read_text() for rank in range(2)]
    assert errors == ["b.png: is missing"] * 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
@pytest.mark.parametrize(("ending", "code"), [("done", 0), ("error", 1), ("interrupted", 130)])
def test_processes_leave_their_group(ending, code, project):
    """Threads of the group that are left could abort a process that ends."""
    (project / "ends.py").write_text(ENDS)
    arguments = [ending, *command(project, *TWO, "validation.pairs=[]")[3:]]
    process = subprocess.run(
        [sys.executable, "ends.py", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == code, process.stderr
    assert ("derain: a.png: is missing" in process.stderr) == (ending == "error")
    for rank in range(2):
        assert "gloo" not in (project / f"threads-{rank}").read_text()


def test_an_error_is_not_hidden_by_leaving_the_group(monkeypatch):
    def fail(*, is_first):
        assert is_first
        raise RuntimeError("cannot leave")

    monkeypatch.setattr("derain.train.distributed.leave_group", fail)
    with pytest.raises(ZeroDivisionError), leaving_group():
        raise ZeroDivisionError
    with pytest.raises(RuntimeError, match="cannot leave"), leaving_group():
        pass


@pytest.mark.slow
def test_damaged_picture_of_one_process_ends_all_and_saves_the_run(project, data):
    path = sorted((data / "rain-free").iterdir())[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    process = run_command(project, "machine.processes=2", "length.steps=500", *FEW_TENSORS)
    assert process.returncode == 1
    assert f"{path.name}: " in process.stderr
    assert "the run is saved, continue it with --resume" in process.stderr
    assert "Traceback" not in process.stderr
    assert state_of(project)["step"] == events(project)[-1]["step"] > 0


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has other error texts for a folder, and no locks"
)
@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("recipe.json", "is a folder"),
        ("log.jsonl", "Is a directory"),
        (".lock", "Is a directory"),
        ("weights.safetensors", "is a folder; name a file in it"),
    ],
)
def test_file_error_of_the_first_process_is_one_sentence(project, name, fact):
    (project / "run" / name).mkdir(parents=True)
    process = run_command(project, *TWO, "validation.pairs=[]")
    assert process.returncode == 1
    assert f"{name}: {fact}" in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process that its parent has ended"
)
def test_second_process_ends_with_the_first_while_they_start(project):
    def second():
        """Return the process that the first one has started."""
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


@pytest.mark.slow
def test_damaged_picture_after_the_last_step_of_one_process_is_not_needed(project):
    (project / "next.py").write_text(NEXT_FAILS)
    two = ["machine.processes=2", "length.steps=1", *FEW_TENSORS]
    process = subprocess.run(
        [sys.executable, "next.py", *command(project, *two)[3:]],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert len(events(project, "validation")) == 1


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (ModuleSpec("__main__", None), "derain.__main__"),
        (ModuleSpec("pytest.__main__", None), "pytest.__main__"),
        (None, None),
    ],
)
def test_program_in_an_archive_has_a_name_to_be_started_by(spec, name, monkeypatch):
    """As derain.exe is on Windows; Fabric would start `python -m __main__`, which fails."""
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", spec)
    with named_main_module():
        assert getattr(main.__spec__, "name", None) == name
    assert main.__spec__ is spec
