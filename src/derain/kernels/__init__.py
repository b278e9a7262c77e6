"""Kernels for training on a CPU: Swin block, SFT and fusion in C++, tile by tile, in place of chains of PyTorch's operations.

`derain.network.swin` and `blocks` stay the reference: same weights, same result up to rounding. The kernels are compiled when
they are first needed, and serve where there are a compiler, AVX2 or AVX-512, and gradients to compute; everywhere else the
reference runs.
"""

from derain.kernels.build import Choice, describe, select
from derain.kernels.fused import fused_fusion, fused_sft, fused_swin_block

__all__ = ["Choice", "select", "fused_fusion", "fused_sft", "fused_swin_block", "describe"]
