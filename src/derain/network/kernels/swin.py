"""The fused Swin block as a drop-in for `SwinBlock.forward`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from derain.network.kernels.build import kernels

if TYPE_CHECKING:
    from derain.network.swin import SwinBlock

CHANNELS, WINDOW_PX = (16, 32, 48, 64), 7  # what swin.cpp is compiled for


def fused_swin_block(block: SwinBlock, x: Tensor) -> Tensor | None:
    """`block(x)` by the kernels, in the type of autocast where that is on; None where the kernels do not serve."""
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    if not _fits(block, x, dtype) or kernels() is None:
        return None
    pixels = x.to(dtype).permute(0, 2, 3, 1).contiguous()
    return _Fused.apply(pixels, block.shift_px, *parameters(block)).permute(0, 3, 1, 2)


def parameters(block: SwinBlock) -> list[Tensor]:
    """The block's parameters in the order of `enum Parameter` in swin.cpp."""
    attention, mlp = block.attention, block.mlp
    return [
        block.attention_norm.weight,
        block.attention_norm.bias,
        attention.qkv.weight,
        attention.qkv.bias,
        attention.position_bias,
        attention.projection.weight,
        attention.projection.bias,
        block.mlp_norm.weight,
        block.mlp_norm.bias,
        mlp[0].weight,
        mlp[0].bias,
        mlp[2].weight,
        mlp[2].bias,
    ]


def _fits(block: SwinBlock, x: Tensor, dtype: torch.dtype) -> bool:
    _, channels, height, width = x.shape
    return (
        torch.is_grad_enabled()
        and x.device.type == "cpu"
        and (dtype == torch.float32 or (dtype == torch.bfloat16 and torch.cpu._is_avx512_bf16_supported()))
        and block.window_px == WINDOW_PX
        and block.attention.heads == 1
        and channels in CHANNELS
        and block.mlp[0].out_features == 4 * channels
        and height % WINDOW_PX == 0
        and width % WINDOW_PX == 0
        and all(p.dtype == torch.float32 and p.is_contiguous() for p in parameters(block))
    )


class _Fused(torch.autograd.Function):
    """(N, H, W, C), contiguous -> the same."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shift_px: int, *weights: Tensor) -> Tensor:
        ctx.save_for_backward(x, *weights)
        ctx.shift_px = shift_px
        return torch.ops.derain.swin_forward(x, list(weights), shift_px)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, *weights = ctx.saved_tensors
        dx, *gradients = torch.ops.derain.swin_backward(x, dy.contiguous(), weights, ctx.shift_px)
        return dx, None, *gradients
