"""Compile and load the kernels, and explain which path the training takes."""

from __future__ import annotations

import functools
import hashlib
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
"""`auto`: the kernels if available; `vector`: without a matrix unit (AMX); `eager`: no kernels."""

LANES, MAX_CHANNELS, WINDOW_PX = 16, 64, 7
"""Limits of the C++: channels in multiples of LANES up to MAX_CHANNELS, windows of WINDOW_PX."""
FLAGS = {
    "AVX512": ("-O3", "-std=c++17", "-march=x86-64-v4", "-mavx512bf16"),
    "AVX2": ("-O3", "-std=c++17", "-march=x86-64-v3"),
}
"""Compiler flags by PyTorch's name for the capability of the processor."""
FOLDER = Path(__file__).parent
log = logging.getLogger(__name__)


def effective_choice(choice: Choice) -> Choice:
    """Return the choice, which DERAIN_KERNELS=eager or =vector overrides if it is `auto`."""
    override = os.environ.get("DERAIN_KERNELS")
    return override if choice == "auto" and override in ("vector", "eager") else choice  # type: ignore[return-value]


def describe(
    network: PLNLINConfiguration, choice: Choice = "auto", *, with_discriminator: bool = False
) -> str:
    """Return, for a log, which path CPU training of `network` takes and why."""
    choice = effective_choice(choice)
    if choice == "eager":
        return "PyTorch operations"
    if load_library() is None:
        return f"PyTorch operations ({_missing_requirement() or 'the kernels do not compile'})"
    unit = " with AMX" if choice == "auto" and has_matrix_unit() else ""
    unsupported = _unsupported(network, with_discriminator=with_discriminator)
    rest = f"; PyTorch operations for {', '.join(unsupported)}" if unsupported else ""
    return f"C++ kernels{unit}{rest}"


def _unsupported(network: PLNLINConfiguration, *, with_discriminator: bool) -> list[str]:
    """Return the settings of `network` for which there are no kernels."""
    compiled_for = {
        "window_px": WINDOW_PX,
        "attention_heads": 1,
        "mlp_ratio": 4,
        "bounded_sft": True,
    }
    units, channels = {network.unit}, {*network.channels}
    if with_discriminator:
        units |= {network.discriminator_unit}
        channels |= {*network.effective_discriminator_channels}
    return [
        *(
            f"{key} = {getattr(network, key)}"
            for key, value in compiled_for.items()
            if getattr(network, key) != value
        ),
        *(f"{count} channels" for count in sorted(channels) if count > MAX_CHANNELS),
        *(f"unit {unit}" for unit in sorted(units) if unit != "plnlim"),
    ]


def has_matrix_unit() -> bool:
    """True if the kernels are available and the processor multiplies bfloat16 in a matrix unit."""
    library = load_library()
    return library is not None and bool(library.use_matrix_unit(True))


@functools.cache
def load_library() -> Any | None:
    """Compile and load the operators, or return None if that is impossible.

    Compiling takes half a minute, once on each machine.
    """
    if _missing_requirement():
        return None
    from torch.utils import cpp_extension

    max_jobs = os.environ.get("MAX_JOBS")
    os.environ["MAX_JOBS"] = "1"  # leave the other cores to other programs
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
        log.warning("the C++ kernels do not compile, training continues without them: %s", error)
        return None
    finally:
        if max_jobs is None:
            del os.environ["MAX_JOBS"]
        else:
            os.environ["MAX_JOBS"] = max_jobs
    return torch.ops.derain


@contextmanager
def _build_lock() -> Iterator[Path]:
    """Yield the build folder of these sources, locked for this process.

    Each version of the sources has its own folder, so that no installation replaces a library that
    another one is using. PyTorch's own lock is a file. A killed process leaves it behind, and all
    later ones then wait forever, so it is removed here.
    """
    from torch.utils import cpp_extension

    root = os.environ.get("TORCH_EXTENSIONS_DIR") or cpp_extension.get_default_build_root()
    versions = f"py{sys.version_info.major}{sys.version_info.minor}_torch{torch.__version__}"
    capability = torch.backends.cpu.get_cpu_capability().lower()
    folder = Path(root) / versions / f"derain_kernels_{capability}_{_source_digest()}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "derain.lock"):
        (folder / "lock").unlink(missing_ok=True)
        yield folder


def _source_digest() -> str:
    """Return a short digest of the C++ sources and their location."""
    digest = hashlib.sha256(str(FOLDER).encode())
    for file in sorted([*FOLDER.glob("*.cpp"), *FOLDER.glob("*.h")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _missing_requirement() -> str | None:
    """Return what this machine lacks, or None."""
    from torch.utils import cpp_extension

    if sys.platform == "win32":
        return "Windows"
    if torch.backends.cpu.get_cpu_capability() not in FLAGS:
        return "no AVX2"
    if not cpp_extension.is_ninja_available():
        return "no ninja"
    return None
