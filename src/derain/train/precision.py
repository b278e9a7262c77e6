"""Measures matrix products on this machine.

The rate selects the precision of training and is the yardstick of `derain bench`.
"""

from __future__ import annotations

import time

import torch

from derain.train.recipe import Precision


def matmul_gflops(dtype: torch.dtype, *, size: int = 1024, repeats: int = 5) -> float:
    """Return the measured GFLOP/s of a square matrix product, the best of `repeats`.

    The matrices have side `size`; the current number of threads is used.
    """
    a, b = torch.randn(2, size, size).to(dtype).unbind(0)
    torch.mm(a, b)
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9


def bfloat16_is_faster(accelerator: str = "cpu", *, by: float = 1.3) -> bool:
    """True if bfloat16 products beat float32 ones on the device that Fabric selects.

    On a CPU the factor is measured and must exceed `by`. A CUDA device is faster if it supports
    bfloat16 in hardware; Apple's GPUs count as slower.
    """
    if accelerator != "cpu" and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if accelerator != "cpu" and torch.backends.mps.is_available():
        return False
    return matmul_gflops(torch.bfloat16, size=512) > by * matmul_gflops(torch.float32, size=512)


def fastest_precision(accelerator: str = "cpu") -> Precision:
    """Return the precision that `machine.precision = "auto"` selects on this machine."""
    return "bf16-mixed" if bfloat16_is_faster(accelerator) else "32-true"
