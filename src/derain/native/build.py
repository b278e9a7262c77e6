"""Compile the C++ of this folder: one shared library for each instruction set.

As a program it compiles them into this folder, where an editable installation finds them. It does
not import derain, because the build of the wheel (`hatch_build.py`) loads it by its path where
derain and numpy are not installed.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
COMPILERS = ("g++", "clang++")
FLAGS = (
    "-O3",
    "-std=c++17",
    "-shared",
    "-fPIC",
    "-fvisibility=hidden",
    "-static-libstdc++",
    "-static-libgcc",
    "-pthread",
    "-s",  # no names for a debugger
)
GLIBC = re.compile(rb"\0GLIBC_2\.(\d+)(?:\.\d+)?(?=\0)")
"""A version of glibc's symbols, in the table of names of a shared library."""
OLDEST_GLIBC_MINOR = 5
"""The oldest that a wheel for x86-64 can name (PEP 600): manylinux_2_5."""


class InstructionSet(NamedTuple):
    """Instructions that a library is compiled for."""

    name: str
    """Part of the name of the library: libderain_NAME.so."""
    flags: tuple[str, ...]
    """Flags of the compiler."""
    needed: frozenset[str]
    """Instructions that the processor must have, as /proc/cpuinfo names them."""
    precisions: tuple[str, ...]
    """Precisions that the library computes in, the default first."""

    @property
    def file_name(self) -> str:
        """Name of the library."""
        return f"libderain_{self.name}.so"


X86_64_V3 = frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"})
X86_64_V4 = X86_64_V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
"""What `-march=x86-64-v4` lets the compiler use."""
INSTRUCTION_SETS = (
    InstructionSet(
        "avx512bf16",
        flags=("-march=x86-64-v4", "-mavx512bf16"),
        needed=X86_64_V4 | {"avx512_bf16"},
        precisions=("bfloat16", "float32"),
    ),
    InstructionSet("avx2", flags=("-march=x86-64-v3",), needed=X86_64_V3, precisions=("float32",)),
)
"""The best first. All sources are compiled for each of them."""


class BuildError(Exception):
    """The libraries cannot be built; the text is one sentence."""


def build(folder: Path, *, sources: Path = FOLDER) -> list[Path]:
    """Compile all .cpp files in `sources` into `folder`, and return the paths of the libraries.

    The compiler is that of the environment variable CXX, or else the first of COMPILERS. A library
    is replaced when it is complete, so that a process may have the former one open. Raises
    BuildError without a compiler, on another system than Linux on x86-64, and for sources that do
    not compile.
    """
    if not is_supported_system():
        raise BuildError(
            "the engine native is built on Linux on x86-64 only; unset DERAIN_NATIVE to install "
            "derain without it"
        )
    files = sorted(path.name for path in sources.glob("*.cpp"))
    if not files:
        raise BuildError(f"{sources}: holds no C++ sources; use a complete copy of derain")
    compiler = find_compiler()
    folder = folder.resolve()  # the compiler runs in the folder of the sources
    return [
        _compile([*compiler, *FLAGS, *each.flags, *files], folder / each.file_name, sources=sources)
        for each in INSTRUCTION_SETS
    ]


def is_supported_system() -> bool:
    """True on Linux on x86-64, which the libraries are for."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def find_compiler() -> list[str]:
    """Return the command of the C++ compiler. Raises BuildError if there is none."""
    command = shlex.split(os.environ.get("CXX", ""))
    names = [command] if command else [[name] for name in COMPILERS]
    for name, *options in names:
        if path := shutil.which(name):
            return [path, *options]
    raise BuildError(
        f"there is no C++ compiler ({' or '.join(name for name, *_ in names)}); install one, "
        "for example with `apt-get install g++`, or unset DERAIN_NATIVE"
    )


def platform_tag(libraries: Sequence[Path]) -> str:
    """Return the platform of a wheel with these libraries: the oldest glibc that has their symbols.

    Libraries for another C library, which need none of them, run on the system that built them.
    """
    versions = [int(text) for path in libraries for text in GLIBC.findall(path.read_bytes())]
    if not versions:
        return "linux_x86_64"
    return f"manylinux_2_{max(OLDEST_GLIBC_MINOR, *versions)}_x86_64"


def _compile(command: Sequence[str], library: Path, *, sources: Path) -> Path:
    temporary = library.with_name(f".{library.stem}-{os.getpid()}{library.suffix}")
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        result = subprocess.run(
            [*command, "-o", str(temporary)],
            cwd=sources,  # the names of the sources stay the same wherever they are
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if result.returncode == 0:
            temporary.replace(library)
            return library
    except OSError as error:
        raise BuildError(
            f"{library}: cannot be written ({error.strerror}); check the folder and its space"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
    lines = result.stderr.splitlines() or [f"exit code {result.returncode}"]
    reason = next((line for line in lines if "error" in line), lines[0])
    raise BuildError(
        f"{library.name}: does not compile ({reason.strip()}); use GCC 11, Clang 14 or a newer "
        "one, or unset DERAIN_NATIVE"
    )


if __name__ == "__main__":
    try:
        print(*build(FOLDER), sep="\n")
    except BuildError as problem:
        sys.exit(str(problem))
