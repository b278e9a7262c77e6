"""The kernels as replacements for the `forward` of `SwinBlock`, `SFT`, `Fusion` and `nn.Conv2d`.

Each computes the same as its module, in the dtype of autocast if that is enabled, and returns None
for what it does not support; the module has to compute that. The C++ has channels in multiples of
16: maps and parameters are padded with zeros to the next multiple. Only the norms and the scale of
the Swin block need to know the real number of channels. Convolutions are not padded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from derain.kernels.build import LANES, MAX_CHANNELS, WINDOW_PX
from derain.network.blocks import SFT, Fusion
from derain.network.swin import SwinBlock


def fused_swin_block(block: SwinBlock, x: Tensor, *, matrix_unit: bool) -> Tensor | None:
    """Return `block(x)`, or None if there is no kernel for it."""
    channels, attention = x.shape[1], block.attention
    first, second = cast("tuple[nn.Linear, nn.Linear]", (block.mlp[0], block.mlp[2]))
    layers = (attention.qkv, attention.projection, first, second)
    parameters = [
        attention.position_bias,
        *_tensors((block.attention_norm, block.mlp_norm, *layers)),
    ]
    if (
        block.window_px != WINDOW_PX
        or attention.heads != 1
        or (first.in_features, first.out_features) != (channels, 4 * channels)
        or not is_supported([x], parameters)
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
    y = _SwinBlock.apply(_pixels(x), matrix_unit, block.shift_px, channels, *weights)
    return _image(y, channels)


def fused_sft(sft: SFT, x: Tensor, guide: Tensor, *, matrix_unit: bool) -> Tensor | None:
    """Return `sft(x, guide)`, or None if there is no kernel for it."""
    channels, layers = x.shape[1], (sft.first, sft.scale, sft.shift)
    if (
        not sft.bounded
        or sft.first.in_features != channels
        or not is_supported([x, guide], _tensors(layers))
    ):
        return None
    weights = [tensor for layer in layers for tensor in _padded_layer(layer, channels)]
    return _image(_SFT.apply(_pixels(x), _pixels(guide), matrix_unit, *weights), channels)


def fused_fusion(fusion: Fusion, *maps: Tensor, matrix_unit: bool) -> Tensor | None:
    """Return `fusion(*maps)`, or None if there is no kernel for it."""
    channels = maps[0].shape[1]
    if (
        len(maps) not in (2, 3)
        or (fusion.in_features, fusion.out_features) != (len(maps) * channels, channels)
        or not is_supported(maps, _tensors([fusion]))
    ):
        return None
    y = _Fusion.apply(matrix_unit, *map(_pixels, maps), *_padded_layer(fusion, channels))
    return _image(y, channels)


def fused_convolution(layer: nn.Conv2d, x: Tensor, *, matrix_unit: bool) -> Tensor | None:
    """Return `layer(x)`, or None if there is no kernel for it.

    The kernel is for 3x3 convolutions in float32 on processors with AVX2 alone. There is no use
    for the matrix unit.
    """
    if (
        not is_computed(x)
        or x.shape[1:-2] != (layer.in_channels,)
        or (layer.kernel_size, layer.stride, layer.padding) != ((3, 3), (1, 1), (1, 1))
        or layer.padding_mode != "zeros"
        or (layer.dilation, layer.groups) != ((1, 1), 1)
        or layer.bias is None
        or (layer.in_channels % LANES, layer.out_channels % LANES) != (0, 0)
        or torch.backends.cpu.get_cpu_capability() != "AVX2"
        or (_dtype(x), layer.weight.dtype) != (torch.float32, torch.float32)
    ):
        return None
    y = _Convolution.apply(_pixels(x), layer.weight, layer.bias)
    return _image(y, layer.out_channels)


def is_computed(x: Tensor) -> bool:
    """True if PyTorch computes this map on a CPU, for a gradient."""
    return torch.is_grad_enabled() and not torch.compiler.is_compiling() and x.device.type == "cpu"


def is_supported(maps: Sequence[Tensor], weights: Sequence[Tensor]) -> bool:
    """True if gradients are computed and there are kernels for these feature maps and weights."""
    channels, height, width = maps[0].shape[1:]
    dtype = _dtype(maps[0])
    return (
        all(is_computed(x) and x.shape == maps[0].shape for x in maps)
        and (
            dtype == torch.float32
            or (dtype == torch.bfloat16 and torch.cpu._is_avx512_bf16_supported())
        )
        and channels <= MAX_CHANNELS
        and height % WINDOW_PX == 0
        and width % WINDOW_PX == 0
        and all(w.dtype == torch.float32 and w.is_contiguous() for w in weights)
    )


def _dtype(x: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


def _tensors(layers: Iterable[nn.Linear | nn.LayerNorm]) -> list[Tensor]:
    return [tensor for layer in layers for tensor in (layer.weight, layer.bias)]


def _pixels(x: Tensor) -> Tensor:
    """Return (N, C, H, W) as contiguous (N, H, W, padded C); without padding this is a view."""
    pixels = x.to(_dtype(x)).permute(0, 2, 3, 1)
    return F.pad(pixels, (0, rest)) if (rest := _padding(x.shape[1])) else pixels.contiguous()


def _image(pixels: Tensor, channels: int) -> Tensor:
    """Return (N, H, W, padded C) as (N, C, H, W)."""
    return pixels[..., :channels].permute(0, 3, 1, 2)


def _padded_layer(layer: nn.Linear, channels: int) -> tuple[Tensor, Tensor]:
    """Return weight (out, in) and bias (out,) of a layer, padded.

    Its inputs and outputs are one or more feature maps of `channels` each; every map is padded.
    """
    weight, bias, rest = layer.weight, layer.bias, _padding(channels)
    if not rest:
        return weight, bias
    by_map = weight.view(-1, channels, weight.shape[1] // channels, channels)
    padded = F.pad(by_map, (0, rest, 0, 0, 0, rest))
    return (
        padded.reshape(-1, by_map.shape[2] * (channels + rest)),
        F.pad(bias.view(-1, channels), (0, rest)).flatten(),
    )


def _padded_norm(norm: nn.LayerNorm) -> tuple[Tensor, Tensor]:
    rest = _padding(norm.weight.numel())
    if not rest:
        return norm.weight, norm.bias
    return F.pad(norm.weight, (0, rest)), F.pad(norm.bias, (0, rest))


def _padding(channels: int) -> int:
    """Return the number of channels missing to whole vectors."""
    return -channels % LANES


def _operators(matrix_unit: bool) -> Any:
    """Return the loaded operators, set to multiply bfloat16 with or without the matrix unit."""
    torch.ops.derain.use_matrix_unit(matrix_unit)
    return torch.ops.derain


class _SwinBlock(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, matrix_unit: bool, shift_px: int, channels: int, *weights: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, *weights)
        ctx.matrix_unit, ctx.geometry = matrix_unit, (shift_px, channels)
        return _operators(matrix_unit).swin_forward(x, weights, shift_px, channels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, *weights = ctx.saved_tensors
        trainable = any(ctx.needs_input_grad[4:])
        dx, *gradients = _operators(ctx.matrix_unit).swin_backward(
            x, dy.contiguous(), weights, *ctx.geometry, trainable
        )
        return dx, None, None, None, *(gradients or [None] * len(weights))


class _SFT(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, guide: Tensor, matrix_unit: bool, *weights: Tensor) -> Tensor:
        ctx.save_for_backward(x, guide, *weights)
        ctx.matrix_unit = matrix_unit
        return _operators(matrix_unit).sft_forward(x, guide, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, guide, *weights = ctx.saved_tensors
        trainable = any(ctx.needs_input_grad[3:])
        dx, d_guide, *gradients = _operators(ctx.matrix_unit).sft_backward(
            x, guide, dy.contiguous(), weights, trainable
        )
        return dx, d_guide, None, *(gradients or [None] * len(weights))


class _Fusion(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix_unit: bool, *maps_and_weights: Tensor) -> Tensor:
        ctx.save_for_backward(*maps_and_weights)
        ctx.matrix_unit = matrix_unit
        *maps, weight, bias = maps_and_weights
        return _operators(matrix_unit).fusion_forward(maps, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        *maps, weight, bias = ctx.saved_tensors
        trainable = any(ctx.needs_input_grad[-2:])
        gradients = _operators(ctx.matrix_unit).fusion_backward(
            maps, dy.contiguous(), weight, bias, trainable
        )
        return (None, *gradients) if trainable else (None, *gradients, None, None)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        taps = weight.permute(2, 3, 1, 0).contiguous()
        return torch.ops.derain.convolution(x, taps, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dy = dy.contiguous()
        dx = d_weight = d_bias = None
        if ctx.needs_input_grad[0]:
            taps = weight.flip(2, 3).permute(2, 3, 0, 1).contiguous()
            dx = torch.ops.derain.convolution(dy, taps, None)
        if any(ctx.needs_input_grad[1:]):
            d_taps, d_bias = torch.ops.derain.convolution_gradients(x, dy)
            d_weight = torch.empty_like(weight).copy_(d_taps.permute(3, 2, 0, 1))
        return dx, d_weight, d_bias
