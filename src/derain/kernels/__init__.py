"""C++ kernels for training on a CPU: Swin block, SFT and fusion, computed tile by tile, and 3x3
convolutions.

They replace chains of PyTorch operations. The modules of `derain.network` remain the reference,
with the same weights and the same result up to rounding. The kernels are compiled on first use.
They are used where there is a compiler, AVX2 or AVX-512, and a gradient to compute. The reference
runs everywhere else.
"""

from derain.kernels.attach import accelerate
from derain.kernels.build import Choice, describe

__all__ = ["Choice", "accelerate", "describe"]
