"""Attach the kernels to a network, module by module."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from derain.kernels.build import Choice, effective_choice, load_library
from derain.kernels.fused import (
    fused_convolution,
    fused_fusion,
    fused_sft,
    fused_swin_block,
)
from derain.network.blocks import SFT, Fusion
from derain.network.swin import SwinBlock

KERNELS: dict[type[nn.Module], Callable[..., Tensor | None]] = {
    SwinBlock: fused_swin_block,
    SFT: fused_sft,
    Fusion: fused_fusion,
    nn.Conv2d: fused_convolution,
}
"""Each takes (module, *maps, matrix_unit=) and returns None for what it does not support."""


def accelerate(network: nn.Module, choice: Choice = "auto") -> None:
    """Let the kernels compute the modules of `network` that they support, or none with `eager`.

    Parameters, state dict and pickles of the network stay the same; a deep copy is accelerated too.
    The environment variable DERAIN_KERNELS=eager or =vector overrides `auto`. Without a compiler
    or a suitable processor nothing changes; `describe` tells why. The layers inside a
    module that a kernel computes are not called, and their hooks neither. Gradients that a kernel
    computes have no gradient of their own, and `torch.func` rejects it. Use `eager` for these.
    """
    choice = effective_choice(choice)
    available = choice != "eager" and load_library() is not None
    for module in network.modules():
        if kernel := KERNELS.get(type(module)):
            if available:
                module.forward = _ForwardWithKernel(module, kernel, matrix_unit=choice == "auto")
            else:
                module.__dict__.pop("forward", None)


class _ForwardWithKernel:
    """The `forward` of one module: by its kernel where that applies, else by the reference."""

    def __init__(
        self, module: nn.Module, kernel: Callable[..., Tensor | None], *, matrix_unit: bool
    ) -> None:
        self.module, self.kernel, self.matrix_unit = module, kernel, matrix_unit

    def __call__(self, *maps: Tensor) -> Tensor:
        fused = self.kernel(self.module, *maps, matrix_unit=self.matrix_unit)
        return type(self.module).forward(self.module, *maps) if fused is None else fused

    def __deepcopy__(self, memo: dict[int, Any]) -> _ForwardWithKernel:
        module = copy.deepcopy(self.module, memo)
        return _ForwardWithKernel(module, self.kernel, matrix_unit=self.matrix_unit)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[nn.Module, str]]:
        return getattr, (self.module, "forward")  # a pickle holds the reference
