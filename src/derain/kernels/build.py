"""Whether the kernels run: what the user chose, what the machine can, and whether they compile."""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock

from derain.network.configuration import PLNLINConfiguration

Choice = Literal["auto", "vector", "eager"]
"""`auto` takes the kernels where they run, `vector` too, but without a matrix unit (AMX), `eager` PyTorch's operations."""

LANES, MAX_CHANNELS, WINDOW_PX = 16, 64, 7  # what the C++ is compiled for: multiples of 16 channels
FLAGS = {
    "AVX512": ("-O3", "-std=c++17", "-march=x86-64-v4", "-mavx512bf16"),
    "AVX2": ("-O3", "-std=c++17", "-march=x86-64-v3"),
}
"""Of the compiler, by PyTorch's name of what the processor can."""
FOLDER = Path(__file__).parent
log = logging.getLogger(__name__)
_chosen: Choice = "eager"


def select(kernels: Choice) -> None:
    """Choose what computes the blocks from now on; `eager` does at the start.

    The environment variable DERAIN_KERNELS=eager or =vector outranks `auto`.
    """
    global _chosen
    wish = os.environ.get("DERAIN_KERNELS")
    _chosen = wish if kernels == "auto" and wish in ("vector", "eager") else kernels  # type: ignore[assignment]


def describe(network: PLNLINConfiguration, *, with_discriminator: bool = False) -> str:
    """Which path the training of `network` takes on the CPU, and why: for a log."""
    if _chosen == "eager":
        return "PyTorch's operations"
    if not load_library():
        return f"PyTorch's operations ({_missing_requirement() or 'the kernels do not compile'})"
    compiled_for = {
        "window_px": WINDOW_PX,
        "attention_heads": 1,
        "mlp_ratio": 4,
        "bounded_sft": True,
    }
    others = [
        f"{key} = {getattr(network, key)}"
        for key, value in compiled_for.items()
        if getattr(network, key) != value
    ]
    critic = {network.discriminator_unit: network.critic_channels} if with_discriminator else {}
    widths = {*network.channels, *(width for channels in critic.values() for width in channels)}
    others += [f"{width} channels" for width in sorted(widths) if width > MAX_CHANNELS]
    others += [f"the unit {unit}" for unit in sorted({network.unit, *critic}) if unit != "plnlim"]
    unit = " with AMX" if has_matrix_unit() else ""
    return f"C++ kernels{unit}" + (
        f", but PyTorch's operations for what they do not know: {', '.join(others)}"
        if others
        else ""
    )


def has_matrix_unit() -> bool:
    """Whether the kernels multiply bfloat16 by a matrix unit: it was not ruled out, and the processor has one."""
    operators = kernels()
    return operators is not None and bool(operators.use_matrix_unit(_chosen == "auto"))


def kernels() -> Any | None:
    """The compiled operators, told which unit to use, where they were chosen and can run, else None."""
    operators = None if _chosen == "eager" else load_library()
    if operators is not None:
        operators.use_matrix_unit(_chosen == "auto")
    return operators


@functools.cache
def load_library() -> Any | None:
    """Compile (once in the life of a machine, in half a minute) and load the operators; None where that cannot be done."""
    if _missing_requirement():
        return None
    from torch.utils import cpp_extension

    before = os.environ.get("MAX_JOBS")
    os.environ["MAX_JOBS"] = "1"  # whoever else works on this machine goes on
    try:
        with _build_lock() as folder:
            cpp_extension.load(
                "derain_kernels",
                [str(file) for file in sorted(FOLDER.glob("*.cpp"))],
                extra_cflags=list(FLAGS[torch.backends.cpu.get_cpu_capability()]),
                build_directory=str(folder),
                is_python_module=False,
            )
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        log.warning("the C++ kernels do not compile, training goes on without them: %s", error)
        return None
    finally:
        if before is None:
            del os.environ["MAX_JOBS"]
        else:
            os.environ["MAX_JOBS"] = before
    return torch.ops.derain


@contextmanager
def _build_lock() -> Iterator[Path]:
    """The folder that the operators are compiled in, for one process at a time.

    PyTorch's own lock is a file, which a process that is killed leaves behind, and for which all later ones wait without end.
    """
    from torch.utils import cpp_extension

    root = os.environ.get("TORCH_EXTENSIONS_DIR") or cpp_extension.get_default_build_root()
    versions = f"py{sys.version_info.major}{sys.version_info.minor}_torch{torch.__version__}"
    folder = (
        Path(root) / versions / f"derain_kernels_{torch.backends.cpu.get_cpu_capability().lower()}"
    )
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "derain.lock"):
        (folder / "lock").unlink(missing_ok=True)
        yield folder


def _missing_requirement() -> str | None:
    """What the machine lacks, or None."""
    from torch.utils import cpp_extension

    if sys.platform == "win32":
        return "Windows"
    if torch.backends.cpu.get_cpu_capability() not in FLAGS:
        return "no AVX2"
    if not cpp_extension.is_ninja_available():
        return "no ninja"
    return None
