"""What this machine multiplies in a second, which decides the precision and gives `derain bench` its yardstick."""

from __future__ import annotations

import time

import torch


def product_rate(dtype: torch.dtype, *, size: int = 1024, repeats: int = 5) -> float:
    """Measured GFLOP/s of a square matrix product of side `size` with the present number of threads; the best of `repeats`."""
    a, b = torch.randn(2, size, size).to(dtype).unbind(0)
    torch.mm(a, b)
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9


def bfloat16_is_faster(*, by: float = 1.3) -> bool:
    """Whether bfloat16 products beat float32 ones by the factor `by` on the device of the run (a GPU is taken to)."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return product_rate(torch.bfloat16, size=512) > by * product_rate(torch.float32, size=512)
