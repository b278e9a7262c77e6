"""Kernels for training on a CPU: the Swin block in C++, window by window, in place of a chain of PyTorch's operations.

`derain.network.swin` stays the reference: same weights, same result up to rounding. The kernels are compiled when they are first
needed, and serve where there are a compiler, AVX-512 and gradients to compute; everywhere else the reference runs.
"""

from derain.network.kernels.build import Choice, choose, path
from derain.network.kernels.swin import fused_swin_block

__all__ = ["Choice", "choose", "fused_swin_block", "path"]
