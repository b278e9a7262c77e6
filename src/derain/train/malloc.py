"""Tunes glibc's allocator to keep the memory of large tensors instead of mapping it each time."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
MAX_KEPT_BYTES = 32 * 2**20
"""glibc's own limit. Larger blocks, such as whole pictures in validation, would fragment the heap
by gigabytes."""


def tune_malloc() -> bool:
    """Stop malloc from returning blocks below 32 MiB to the system at once.

    True if that worked: only glibc supports it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = (
        (M_MMAP_THRESHOLD, MAX_KEPT_BYTES),
        (M_TRIM_THRESHOLD, 2**31 - 1),
        (M_TOP_PAD, 64 * 2**20),
    )
    return all(mallopt(name, value) == 1 for name, value in settings)
