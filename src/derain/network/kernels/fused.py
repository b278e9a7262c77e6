"""The kernels as drop-ins for the forward methods of `SwinBlock`, `SFT` and `Fusion`.

Each computes what its module's reference does, in the type of autocast where that is on, and returns None where it cannot: then
the reference has to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from derain.network.kernels.build import CHANNELS, WINDOW_PX, kernels

if TYPE_CHECKING:
    from derain.network.blocks import SFT, Fusion
    from derain.network.swin import SwinBlock


def fused_swin_block(block: SwinBlock, x: Tensor) -> Tensor | None:
    """`block(x)`, or None."""
    attention, mlp = block.attention, block.mlp
    layers = (block.attention_norm, attention.qkv, attention.projection, block.mlp_norm, mlp[0], mlp[2])
    weights = [tensor for layer in layers for tensor in (layer.weight, layer.bias)]
    weights.insert(4, attention.position_bias)
    known = block.window_px == WINDOW_PX and attention.heads == 1 and mlp[0].out_features == 4 * x.shape[1]
    if not known or not serve([x], weights):
        return None
    return _image(_SwinBlock.apply(_pixels(x), block.shift_px, *weights))


def fused_sft(sft: SFT, x: Tensor, guide: Tensor) -> Tensor | None:
    """`sft(x, guide)`, or None."""
    weights = [tensor for layer in (sft.first, sft.scale, sft.shift) for tensor in (layer.weight, layer.bias)]
    if not sft.bounded or not serve([x, guide], weights):
        return None
    return _image(_SFT.apply(_pixels(x), _pixels(guide), *weights))


def fused_fusion(fusion: Fusion, maps: Sequence[Tensor]) -> Tensor | None:
    """`fusion(*maps)`, or None."""
    weights = [fusion.weight, fusion.bias]
    known = len(maps) in (2, 3) and fusion.out_features == maps[0].shape[1]
    if not known or not serve(maps, weights):
        return None
    return _image(_Fusion.apply(*map(_pixels, maps), *weights))


def serve(maps: Sequence[Tensor], weights: Sequence[Tensor]) -> bool:
    """Whether the kernels are wanted, can be had and know feature maps and weights like these."""
    channels, height, width = maps[0].shape[1:]
    dtype = _dtype(maps[0])
    return (
        torch.is_grad_enabled()
        and all(x.device.type == "cpu" and x.shape == maps[0].shape for x in maps)
        and (dtype == torch.float32 or (dtype == torch.bfloat16 and torch.cpu._is_avx512_bf16_supported()))
        and channels in CHANNELS
        and height % WINDOW_PX == 0
        and width % WINDOW_PX == 0
        and all(w.dtype == torch.float32 and w.is_contiguous() for w in weights)
        and kernels() is not None
    )


def _dtype(x: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


def _pixels(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W, C), contiguous: a view, where the network keeps its memory format."""
    return x.to(_dtype(x)).permute(0, 2, 3, 1).contiguous()


def _image(pixels: Tensor) -> Tensor:
    """(N, H, W, C) -> (N, C, H, W)"""
    return pixels.permute(0, 3, 1, 2)


class _SwinBlock(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, shift_px: int, *weights: Tensor) -> Tensor:
        ctx.save_for_backward(x, *weights)
        ctx.shift_px = shift_px
        return torch.ops.derain.swin_forward(x, weights, shift_px)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, *weights = ctx.saved_tensors
        dx, *gradients = torch.ops.derain.swin_backward(x, dy.contiguous(), weights, ctx.shift_px)
        return dx, None, *gradients


class _SFT(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, guide: Tensor, *weights: Tensor) -> Tensor:
        ctx.save_for_backward(x, guide, *weights)
        return torch.ops.derain.sft_forward(x, guide, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        x, guide, *weights = ctx.saved_tensors
        return tuple(torch.ops.derain.sft_backward(x, guide, dy.contiguous(), weights))


class _Fusion(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *maps_and_weights: Tensor) -> Tensor:
        ctx.save_for_backward(*maps_and_weights)
        *maps, weight, bias = maps_and_weights
        return torch.ops.derain.fusion_forward(maps, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        *maps, weight, bias = ctx.saved_tensors
        return tuple(torch.ops.derain.fusion_backward(maps, dy.contiguous(), weight, bias))
