"""glibc's allocator, told to keep the memory of large tensors instead of mapping it anew for each."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
KEPT_BELOW = (
    32 * 2**20
)  # glibc's own limit; larger blocks, whole pictures in validation, would fragment the heap by gigabytes


def tune_malloc() -> bool:
    """Stop malloc from returning blocks below 32 MiB to the system at once, and say whether that worked: only glibc can."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = (
        (M_MMAP_THRESHOLD, KEPT_BELOW),
        (M_TRIM_THRESHOLD, 2**31 - 1),
        (M_TOP_PAD, 64 * 2**20),
    )
    return all(mallopt(name, value) == 1 for name, value in settings)
