"""A user for whom permissions count: root may do everything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# everything is imported before root's rights are given up, because nobody may not read the interpreter of root
GIVE_UP = "import os; from PIL import Image; Image.init(); {imports}; os.getuid() or os.setuid(65534); {statement}"


def as_nobody(imports: str, statement: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a statement as nobody, who may look into pytest's own folders; `imports` are run as whoever runs the tests."""
    for parent in [
        folder,
        folder.parent,
        folder.parent.parent,
    ]:  # pytest closes its folders to others
        parent.chmod(0o755)
    code = GIVE_UP.format(imports=imports, statement=statement)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=False
    )
