"""One line that says where a figure was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import derain


def machine(*packages: str) -> str:
    """Date, processor, threads, versions (of `packages`, numpy and the engines) and, in a checkout, the commit."""
    date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    versions = [f"{name} {found}" for name in (*packages, "numpy", "openvino", "onnxruntime") if (found := _version(name))]
    parts = [date, _processor(), f"{os.cpu_count()} threads", f"derain {derain.__version__}", *versions]
    return ", ".join(part for part in [*parts, _commit()] if part)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str:
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "-C", str(here), "log", "-1", "--format=commit %h"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
