"""Where figures are taken: the machine, the versions and the commit."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import derain

PACKAGES = ("numpy", "openvino", "onnxruntime")
"""The packages on which figures depend, besides derain itself."""


@dataclass(frozen=True)
class Environment:
    """What one needs, beside the command, to take figures again."""

    date: str
    "Day and minute, UTC."
    processor: str
    threads: int
    versions: dict[str, str]
    "By package; those that are not installed are left out."
    python: str
    system: str
    commit: str | None
    "`-dirty` where files were changed since; None outside a checkout of derain."

    @staticmethod
    def now(*packages: str) -> Environment:
        """This machine at this minute; `packages` are named besides PACKAGES."""
        found = {name: installed_version(name) for name in (*packages, *PACKAGES)}
        return Environment(
            date=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            processor=_processor(),
            threads=os.cpu_count() or 1,
            versions={
                "derain": derain.__version__,
                **{name: number for name, number in found.items() if number},
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
    """Processors that this process may run on: fewer than the machine's where a scheduler sets some of them aside."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def environment_line(*packages: str) -> str:
    """One line of date, processor, threads, versions (of `packages`, numpy and the engines) and, in a checkout, the commit."""
    return str(Environment.now(*packages))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    named = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    return named or platform.machine()


def installed_version(package: str) -> str | None:
    """The version of a package that is here, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git_commit() -> str | None:
    """The commit of the repository that derain is developed in, `-dirty` where files were changed since, and of no other.

    An installed derain may lie below somebody's project: that gives None.
    """
    here = Path(__file__)
    top = _git(here.parent, "rev-parse", "--show-toplevel")
    if top is None or Path(top, "src", "derain", "about.py").resolve() != here.resolve():
        return None
    return _git(here.parent, "describe", "--always", "--dirty", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
