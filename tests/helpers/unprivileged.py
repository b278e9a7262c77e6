"""Run code as a user with few permissions: root ignores permissions, and tests may run as root."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NOBODY = 65534
# imports come first: another user may have no access to root's Python
CODE = """
import os
from PIL import Image
Image.init()
{imports}
if os.getuid() == 0:
    os.setuid({user})
{statement}
"""


def run_unprivileged(
    imports: str, statement: str, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run `imports` as the current user, then `statement` as a user who can read `folder`."""
    for parent in [folder, folder.parent, folder.parent.parent]:  # pytest's folders are private
        parent.chmod(0o755)
    code = CODE.format(imports=imports, statement=statement, user=NOBODY)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=False
    )
