"""Work in unusual processes: what users do around `derain`, in one file that any Python can run.

From the root of the repository, with the Python of any environment that has derain:

    python tests/campaigns/environment.py PHOTO NETWORK FOLDER

PHOTO is a small picture, NETWORK an exported network. Prints a line for each way; returns 1 if one
of them fails. The cgroup needs the rights to make one, as root has.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

import derain

LIMIT_MIB = 512
"""Memory of the process, as of a small container: heap and stack, without shared libraries."""
CGROUPS = Path("/sys/fs/cgroup")
PHOTO, NETWORK, FOLDER = (Path(argument) for argument in sys.argv[1:4])
COMMAND = [str(PHOTO), "--model", str(NETWORK), "--overwrite", "-q"]


def restore(index: int = 0) -> int:
    """Restore a small array; return its first value."""
    restorer = derain.Restorer(NETWORK, precision="float32")
    return int(restorer(np.full((24, 32, 3), 100 + index, np.uint8))[0, 0, 0])


def in_threads() -> bool:
    """One restorer, four threads."""
    restorer = derain.Restorer(NETWORK, precision="float32")
    images = [np.full((24, 32, 3), 100 + index, np.uint8) for index in range(16)]
    with ThreadPoolExecutor(4) as pool:
        return [int(image[0, 0, 0]) for image in pool.map(restorer, images)] == [
            restore(index) for index in range(16)
        ]


def in_asyncio() -> bool:
    """Several restorations at once in an event loop."""

    async def restore_all() -> list[int]:
        return await asyncio.gather(*(asyncio.to_thread(restore, index) for index in range(4)))

    return asyncio.run(restore_all()) == [restore(index) for index in range(4)]


def in_workers(method: str) -> bool:
    """Two processes of multiprocessing."""
    expected = [restore(index) for index in range(4)] if method == "spawn" else None
    with multiprocessing.get_context(method).Pool(2) as pool:
        values = pool.map_async(restore, range(4)).get(timeout=120)
    return values == (expected or [restore(index) for index in range(4)])


def run(*flags: str, variables: dict[str, str] | None = None, **options: object) -> bool:
    """Run the command line in another process."""
    target = FOLDER / "out.png"
    target.unlink(missing_ok=True)
    process = subprocess.run(
        [sys.executable, *flags, "-m", "derain", *COMMAND, "-o", str(target)],
        env=os.environ if variables is None else variables,
        capture_output=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    if process.returncode or process.stderr:
        print(process.stderr.decode(errors="replace")[-600:])
    return process.returncode == 0 and target.exists() and not process.stderr


def with_one_cpu() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def with_little_memory() -> None:
    limit = LIMIT_MIB * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def find_memory_limit() -> tuple[Path, str] | None:
    """Return the folder for groups of processes and the file that limits the memory of one."""
    controllers = CGROUPS / "cgroup.subtree_control"
    if controllers.exists() and "memory" in controllers.read_text().split():  # version 2
        found = CGROUPS, "memory.max"
    else:
        found = CGROUPS / "memory", "memory.limit_in_bytes"
    return found if os.access(found[0], os.W_OK) else None


def in_cgroup(parent: Path, limit: str) -> bool:
    """Run the command line with all of its memory limited, as a container does."""
    group = parent / f"derain-{os.getpid()}"
    group.mkdir()
    try:
        (group / limit).write_text(str(LIMIT_MIB * 2**20))
        return run(preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())))
    finally:
        group.rmdir()


def without_terminal() -> None:
    os.setsid()


WAYS: dict[str, Callable[[], bool]] = {
    "forked workers": lambda: in_workers("fork"),
    "spawned workers": lambda: in_workers("spawn"),
    "threads": in_threads,
    "asyncio": in_asyncio,
    "python -I": lambda: run("-I"),
    "python -O": lambda: run("-O"),
    "python -OO": lambda: run("-OO"),
    "python -X dev": lambda: run("-X", "dev", "-W", "ignore"),
    "C locale": lambda: run(variables={"LC_ALL": "C", "PYTHONUTF8": "0"}),
    "no variables": lambda: run(variables={}),
    "read-only home": lambda: run(variables={"HOME": "/proc"}),
    "TERM=dumb, NO_COLOR": lambda: run(variables={"TERM": "dumb", "NO_COLOR": "1"}),
    "no terminal": lambda: run(preexec_fn=without_terminal, stdin=subprocess.DEVNULL),
    "one processor": lambda: run(preexec_fn=with_one_cpu),
    f"{LIMIT_MIB} MiB": lambda: run(preexec_fn=with_little_memory),
    "a limit of 32 files": lambda: run(
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    ),
}

if memory_limit := find_memory_limit():
    WAYS[f"a cgroup of {LIMIT_MIB} MiB"] = partial(in_cgroup, *memory_limit)


def main() -> int:
    """Work in every way; return 1 if one failed."""
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, Pillow "
    print(versions + __import__("PIL").__version__)
    failures = 0
    for name, work in WAYS.items():
        try:
            is_good = work()
        except Exception as error:  # the next way may be good
            print(f"{type(error).__name__}: {error}")
            is_good = False
        failures += not is_good
        print(f"{'ok    ' if is_good else 'FAILED'} {name}", flush=True)
    print(f"tried {len(WAYS)} failed {failures}")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
