"""What this machine multiplies in a second, which decides the precision and gives `derain bench` its yardstick."""

from __future__ import annotations

import time

import torch

from derain.train.recipe import Precision


def matmul_gflops(dtype: torch.dtype, *, size: int = 1024, repeats: int = 5) -> float:
    """Measured GFLOP/s of a square matrix product of side `size` with the present number of threads; the best of `repeats`."""
    a, b = torch.randn(2, size, size).to(dtype).unbind(0)
    torch.mm(a, b)
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9


def bfloat16_is_faster(accelerator: str = "cpu", *, by: float = 1.3) -> bool:
    """Whether bfloat16 products beat float32 ones on what Fabric takes for `accelerator`.

    On a CPU by the factor `by`, which is measured; a CUDA device that has them in hardware is taken to, Apple's is not.
    """
    if accelerator != "cpu" and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if accelerator != "cpu" and torch.backends.mps.is_available():
        return False
    return matmul_gflops(torch.bfloat16, size=512) > by * matmul_gflops(torch.float32, size=512)


def fastest_precision(accelerator: str = "cpu") -> Precision:
    """What `machine.precision = "auto"` comes to here."""
    return "bf16-mixed" if bfloat16_is_faster(accelerator) else "32-true"
