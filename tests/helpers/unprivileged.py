"""Run code as a user with few permissions: root ignores permissions, and tests may run as root."""

from __future__ import annotations

import importlib
import io
import os
import subprocess
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from PIL import Image

NOBODY = 65534


def run_unprivileged(
    imports: str, statement: str, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run `imports` as the current user, then `statement` as a user who can read `folder`.

    Runs in this process, but returns what a process of its own would: stdout, and stderr with the
    traceback.
    """
    Image.init()  # the plugins are imported before permissions are dropped
    names: dict[str, Any] = {}
    exec(imports, names)
    for parent in [folder, *folder.parents]:  # pytest's folders are private
        if Path(tempfile.gettempdir()) not in parent.parents:
            break
        parent.chmod(0o755)
    stdout, stderr, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(stdout), redirect_stderr(stderr):
        try:
            with _dropped_permissions():
                exec(statement, names)
        except Exception:
            traceback.print_exc()
            code = 1
    return subprocess.CompletedProcess(statement, code, stdout.getvalue(), stderr.getvalue())


@contextmanager
def _dropped_permissions() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        importlib.invalidate_caches()  # folders of modules that could not be listed
