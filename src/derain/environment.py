"""The environment of a measurement: machine, versions and commit."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import derain

PACKAGES = ("numpy", "openvino", "onnxruntime")
"""Packages on which figures depend, in addition to derain itself."""
MODULES = {"pillow": "PIL", "pillow-heif": "pillow_heif", "lightning-fabric": "lightning_fabric"}
"""Modules of packages, where their names differ."""
UNKNOWN_VERSION = "(unknown version)"


@dataclass(frozen=True)
class Environment:
    """Everything except the command that is needed to repeat a measurement."""

    date: str
    """Day and minute, UTC."""
    processor: str
    threads: int
    versions: dict[str, str]
    """Version by package; packages that are not installed are absent."""
    python: str
    system: str
    commit: str | None
    """Short hash, with `-dirty` after local changes; None outside a checkout of derain."""

    @staticmethod
    def now(*packages: str) -> Environment:
        """Describe this machine now; `packages` are listed in addition to PACKAGES."""
        versions = {name: installed_version(name) for name in (*packages, *PACKAGES)}
        return Environment(
            date=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            processor=processor_name(),
            threads=os.cpu_count() or 1,
            versions={
                "derain": derain.__version__,
                **{name: number for name, number in versions.items() if number},
            },
            python=platform.python_version(),
            system=platform.platform(),
            commit=git_commit(),
        )

    def __str__(self) -> str:
        versions = [f"{name} {number}" for name, number in self.versions.items()]
        parts = [
            self.date,
            self.processor,
            f"{self.threads} threads",
            *versions,
            f"Python {self.python}",
            self.system,
        ]
        return ", ".join([*parts, *([f"commit {self.commit}"] if self.commit else [])])


def available_cores() -> int:
    """Return the number of processors this process may use; a scheduler may reserve some."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def environment_line(*packages: str) -> str:
    """Return one line: date, processor, threads, versions (also of `packages`), commit."""
    return str(Environment.now(*packages))


def processor_name() -> str:
    """Return the name of the processor, or of its architecture if the system has none."""
    return _processor_facts("model name") or platform.processor() or platform.machine()


@functools.cache
def processor_flags() -> frozenset[str]:
    """Return the instructions of the CPU as Linux names them; none on other systems."""
    return frozenset((_processor_facts("flags") or _processor_facts("Features")).split())


def _processor_facts(name: str) -> str:
    """Return one line about the first CPU; empty without it, and on other systems than Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def installed_version(package: str) -> str | None:
    """Return the version of an installed package, or None.

    Frozen applications, and copies on PYTHONPATH, have the modules without their metadata. Then the
    version is that of the module, or UNKNOWN_VERSION before it is imported.
    """
    try:
        return version(package)
    except PackageNotFoundError:
        name = MODULES.get(package, package)
    module = sys.modules.get(name)
    if module is None and find_spec(name) is None:
        return None
    return str(getattr(module, "__version__", UNKNOWN_VERSION))


def git_commit() -> str | None:
    """Return the commit of derain's own repository, with `-dirty` after local changes.

    None if derain is installed, even inside the working tree of another project.
    """
    here = Path(__file__)
    top = _git(here.parent, "rev-parse", "--show-toplevel")
    if top is None or Path(top, "src", "derain", "environment.py").resolve() != here.resolve():
        return None
    return _git(here.parent, "describe", "--always", "--dirty", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            # git prints UTF-8 on Windows, too, and paths as they are
            encoding="utf-8",
            errors="surrogateescape",
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None
