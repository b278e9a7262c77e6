"""Compiled networks in the user's cache folder: a later start loads one instead of compiling it.

The environment variable DERAIN_CACHE names another folder, or switches the cache off with `off`. A
file that is damaged, or that cannot be read or written, is as good as none.
"""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from pathlib import Path

from derain.files.atomic import atomic_write, remove_stale_temporaries

VARIABLE = "DERAIN_CACHE"
OFF = "off"
SUFFIX = ".compiled"
MAX_FILES = 8
"""The files that were used last are kept; each is about twice as large as its network."""
CHECKSUM_BYTES = hashlib.sha256().digest_size


def cache_folder() -> Path | None:
    """Return the folder for compiled networks, whether it exists or not; None without a cache."""
    if setting := os.environ.get(VARIABLE):
        return None if setting == OFF else Path(setting)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / "derain" if base else None
    except RuntimeError:  # the user has no home
        return None


def cache_key(*facts: bytes) -> str:
    """Return a name for a compiled network: the checksum of everything that it depends on."""
    digest = hashlib.sha256()
    for fact in facts:
        digest.update(hashlib.sha256(fact).digest())
    return digest.hexdigest()


def read_compiled(key: str) -> bytes | None:
    """Return a compiled network, or None if the cache has none that matches its checksum."""
    folder = cache_folder()
    if folder is None:
        return None
    path = folder / f"{key}{SUFFIX}"
    try:
        data = path.read_bytes()
    except OSError:
        return None
    checksum, compiled = data[:CHECKSUM_BYTES], data[CHECKSUM_BYTES:]
    if hashlib.sha256(compiled).digest() != checksum:
        return None
    with suppress(OSError):
        os.utime(path)
    return compiled


def write_compiled(key: str, compiled: bytes) -> None:
    """Keep a compiled network, and remove those that were not used for the longest time."""
    folder = cache_folder()
    if folder is None:
        return
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_stale_temporaries(folder)
        with atomic_write(folder / f"{key}{SUFFIX}") as file:
            file.write(hashlib.sha256(compiled).digest())
            file.write(compiled)
        by_age = sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)
        for path in by_age[:-MAX_FILES]:
            path.unlink(missing_ok=True)
