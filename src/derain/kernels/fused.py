"""The kernels as drop-ins for the forward methods of `SwinBlock`, `SFT` and `Fusion`.

Each computes what its module's reference does, in the type of autocast where that is on, and returns None where it cannot: then
the reference has to. The C++ knows channels in multiples of 16: maps and parameters of other counts are padded with zeros, which
only the Swin block's norms and its scale have to be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from derain.kernels.build import LANES, MAX_CHANNELS, WINDOW_PX, kernels

if TYPE_CHECKING:
    from derain.network.blocks import SFT, Fusion
    from derain.network.swin import SwinBlock


def fused_swin_block(block: SwinBlock, x: Tensor) -> Tensor | None:
    """`block(x)`, or None."""
    channels, attention = x.shape[1], block.attention
    first, second = cast("tuple[nn.Linear, nn.Linear]", (block.mlp[0], block.mlp[2]))
    layers = (attention.qkv, attention.projection, first, second)
    known = (
        block.window_px == WINDOW_PX and attention.heads == 1 and first.out_features == 4 * channels
    )
    if not known or not is_supported(
        [x], [attention.position_bias, *_tensors((block.attention_norm, block.mlp_norm, *layers))]
    ):
        return None
    qkv, projection, expand, contract = (_padded_layer(layer, channels) for layer in layers)
    weights = (
        *_padded_norm(block.attention_norm),
        *qkv,
        attention.position_bias,
        *projection,
        *_padded_norm(block.mlp_norm),
        *expand,
        *contract,
    )
    return _image(_SwinBlock.apply(_pixels(x), block.shift_px, channels, *weights), channels)


def fused_sft(sft: SFT, x: Tensor, guide: Tensor) -> Tensor | None:
    """`sft(x, guide)`, or None."""
    channels, layers = x.shape[1], (sft.first, sft.scale, sft.shift)
    if not sft.bounded or not is_supported([x, guide], _tensors(layers)):
        return None
    weights = [tensor for layer in layers for tensor in _padded_layer(layer, channels)]
    return _image(_SFT.apply(_pixels(x), _pixels(guide), *weights), channels)


def fused_fusion(fusion: Fusion, maps: Sequence[Tensor]) -> Tensor | None:
    """`fusion(*maps)`, or None."""
    channels = maps[0].shape[1]
    known = len(maps) in (2, 3) and fusion.out_features == channels
    if not known or not is_supported(maps, _tensors([fusion])):
        return None
    return _image(_Fusion.apply(*map(_pixels, maps), *_padded_layer(fusion, channels)), channels)


def is_supported(maps: Sequence[Tensor], weights: Sequence[Tensor]) -> bool:
    """Whether the kernels are wanted, can be had and know feature maps and weights like these."""
    channels, height, width = maps[0].shape[1:]
    dtype = _dtype(maps[0])
    return (
        torch.is_grad_enabled()
        and all(x.device.type == "cpu" and x.shape == maps[0].shape for x in maps)
        and (
            dtype == torch.float32
            or (dtype == torch.bfloat16 and torch.cpu._is_avx512_bf16_supported())
        )
        and channels <= MAX_CHANNELS
        and height % WINDOW_PX == 0
        and width % WINDOW_PX == 0
        and all(w.dtype == torch.float32 and w.is_contiguous() for w in weights)
        and kernels() is not None
    )


def _dtype(x: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


def _tensors(layers: Iterable[nn.Linear | nn.LayerNorm]) -> list[Tensor]:
    return [tensor for layer in layers for tensor in (layer.weight, layer.bias)]


def _pixels(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W, padded C), contiguous: where nothing is padded, a view of what the network hands on."""
    pixels = x.to(_dtype(x)).permute(0, 2, 3, 1)
    return F.pad(pixels, (0, rest)) if (rest := _padding(x.shape[1])) else pixels.contiguous()


def _image(pixels: Tensor, channels: int) -> Tensor:
    """(N, H, W, padded C) -> (N, C, H, W)"""
    return pixels[..., :channels].permute(0, 3, 1, 2)


def _padded_layer(layer: nn.Linear, channels: int) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer between feature maps of so many channels, each of which is padded: (out, in), (out,)."""
    weight, bias, rest = layer.weight, layer.bias, _padding(channels)
    if not rest:
        return weight, bias
    by_map = weight.view(-1, channels, weight.shape[1] // channels, channels)
    padded = F.pad(by_map, (0, rest, 0, 0, 0, rest)).reshape(
        -1, by_map.shape[2] * (channels + rest)
    )
    return padded, F.pad(bias.view(-1, channels), (0, rest)).flatten()


def _padded_norm(norm: nn.LayerNorm) -> tuple[Tensor, Tensor]:
    rest = _padding(norm.weight.numel())
    return (
        (F.pad(norm.weight, (0, rest)), F.pad(norm.bias, (0, rest)))
        if rest
        else (norm.weight, norm.bias)
    )


def _padding(channels: int) -> int:
    """What is missing to whole vectors."""
    return -channels % LANES


class _SwinBlock(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, shift_px: int, channels: int, *weights: Tensor) -> Tensor:
        ctx.save_for_backward(x, *weights)
        ctx.facts = shift_px, channels
        return torch.ops.derain.swin_forward(x, weights, shift_px, channels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, *weights = ctx.saved_tensors
        learnt = any(ctx.needs_input_grad[3:])
        dx, *gradients = torch.ops.derain.swin_backward(
            x, dy.contiguous(), weights, *ctx.facts, learnt
        )
        return dx, None, None, *(gradients or [None] * len(weights))


class _SFT(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, guide: Tensor, *weights: Tensor) -> Tensor:
        ctx.save_for_backward(x, guide, *weights)
        return torch.ops.derain.sft_forward(x, guide, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, guide, *weights = ctx.saved_tensors
        learnt = any(ctx.needs_input_grad[2:])
        dx, d_guide, *gradients = torch.ops.derain.sft_backward(
            x, guide, dy.contiguous(), weights, learnt
        )
        return dx, d_guide, *(gradients or [None] * len(weights))


class _Fusion(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *maps_and_weights: Tensor) -> Tensor:
        ctx.save_for_backward(*maps_and_weights)
        *maps, weight, bias = maps_and_weights
        return torch.ops.derain.fusion_forward(maps, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        *maps, weight, bias = ctx.saved_tensors
        learnt = any(ctx.needs_input_grad[-2:])
        gradients = torch.ops.derain.fusion_backward(maps, dy.contiguous(), weight, bias, learnt)
        return tuple(gradients) if learnt else (*gradients, None, None)
