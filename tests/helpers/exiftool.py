"""exiftool, where it is installed: a reader of metadata that shares no code with derain."""

from __future__ import annotations

import atexit
import base64
import json
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

END = "{ready}\n"
"""exiftool prints this after each answer."""


class ExifTool:
    """One process for many files; a process for each would take 0.2 s."""

    def __init__(self, program: str) -> None:
        self._process = subprocess.Popen(
            [program, "-stay_open", "True", "-@", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        atexit.register(self._close)

    @staticmethod
    def block(value: str) -> bytes:
        """Return the bytes of a tag, in JSON base64 unless they are text."""
        return base64.b64decode(value[7:]) if value.startswith("base64:") else value.encode()

    def read(self, path: Path, *names: str) -> dict[str, Any]:
        """Return the tags of a file that it finds, with blocks of bytes as `base64:...`."""
        options = ["-json", "-n", "-b", "-charset", "exif=utf8", *[f"-{name}" for name in names]]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n".join([*options, str(path), "-execute\n"]))
        self._process.stdin.flush()
        text = ""
        while not text.endswith(END):
            line = self._process.stdout.readline()
            assert line, "exiftool ended"
            text += line
        (tags,) = json.loads(text.removesuffix(END))
        return dict(tags)

    def _close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("-stay_open\nFalse\n")
        self._process.stdin.close()
        self._process.wait(timeout=10)


@lru_cache(maxsize=1)
def exiftool() -> ExifTool | None:
    """Return the program, or None where it is not installed."""
    program = shutil.which("exiftool")
    return None if program is None else ExifTool(program)
