"""The non-local unit: a Swin Transformer block for feature maps of any size (Liu et al., ICCV 2021).

Inside the block a feature map is (N, H, W, C), which in channels-last memory is a view of (N, C, H, W): no copy is made.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.kernels import fused_swin_block
from derain.network.initialisation import scale_init

BLOCKED = -1000.0  # added to the logit of a pair that must not see each other; Swin has -100, whose exp is not quite 0


def window_partition(x: Tensor, window_px: int) -> Tensor:
    """Cut (N, H, W, C) into (N * windows, window_px ** 2, C), row by row. H and W are multiples of window_px."""
    n, h, w, c = x.shape
    x = x.view(n, h // window_px, window_px, w // window_px, window_px, c)
    return x.transpose(2, 3).reshape(-1, window_px * window_px, c)


def window_merge(windows: Tensor, height: int, width: int) -> Tensor:
    """Undo `window_partition`: (N * windows, window_px ** 2, C) -> (N, height, width, C)."""
    _, area, c = windows.shape
    window_px = int(area**0.5)
    x = windows.view(-1, height // window_px, width // window_px, window_px, window_px, c)
    return x.transpose(2, 3).reshape(-1, height, width, c)


def relative_position_index(window_px: int) -> Tensor:
    """(window_px ** 2, window_px ** 2): which of the (2 * window_px - 1) ** 2 offsets lies between two pixels of a window."""
    row, column = torch.meshgrid(torch.arange(window_px), torch.arange(window_px), indexing="ij")
    row, column = row.flatten(), column.flatten()
    return (row[:, None] - row + window_px - 1) * (2 * window_px - 1) + (
        column[:, None] - column + window_px - 1
    )


def shift_mask(
    height: int, width: int, *, window_px: int, shift_px: int, device: torch.device | None = None
) -> Tensor:
    """(windows, window_px ** 2, window_px ** 2): 0 where two pixels may see each other, BLOCKED across the wrap.

    After the cyclic shift the last row and the last column of windows hold pixels from opposite edges of the picture.
    """
    row = torch.arange(height, device=device) >= height - shift_px
    column = torch.arange(width, device=device) >= width - shift_px
    part = row[:, None].long() * 2 + column.long()
    part = window_partition(part[None, :, :, None], window_px).squeeze(-1)
    return (part[:, :, None] != part[:, None, :]).float() * BLOCKED


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, with a learned bias for each relative position.

    (N * windows, area, C) -> the same; `mask` (windows, area, area) is added to the logits.
    """

    position_index: Tensor

    def __init__(self, channels: int, *, window_px: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (channels // heads) ** -0.5
        self.qkv = nn.Linear(channels, 3 * channels)
        self.projection = nn.Linear(channels, channels)
        self.position_bias = nn.Parameter(torch.zeros((2 * window_px - 1) ** 2, heads))
        self.register_buffer(
            "position_index", relative_position_index(window_px).flatten(), persistent=False
        )
        nn.init.trunc_normal_(self.position_bias, std=0.02)
        scale_init(self.projection)

    def bias(self) -> Tensor:
        """(heads, area, area)"""
        area = int(self.position_index.numel() ** 0.5)
        return self.position_bias[self.position_index].view(area, area, self.heads).permute(2, 0, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        b, area, c = x.shape
        qkv = self.qkv(x)
        bias = self.bias().to(qkv.dtype)
        if self.heads == 1:
            q, k, v = qkv.chunk(3, dim=-1)
            logits = torch.baddbmm(bias, q, k.transpose(1, 2), alpha=self.scale)
            if mask is not None:
                logits = (logits.view(-1, len(mask), area, area) + mask.to(logits.dtype)).view(
                    b, area, area
                )
            return self.projection(logits.softmax(dim=-1) @ v)
        q, k, v = qkv.view(b, area, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        logits = (q * self.scale) @ k.transpose(-2, -1) + bias
        if mask is not None:
            logits = (
                logits.view(-1, len(mask), self.heads, area, area) + mask[:, None].to(logits.dtype)
            ).view_as(logits)
        return self.projection((logits.softmax(dim=-1) @ v).transpose(1, 2).reshape(b, area, c))


class SwinBlock(nn.Module):
    """STB of equations (2) and (5): x + attention(norm(x)), then x + MLP(norm(x)).

    (N, C, H, W) -> (N, C, H, W) for any H and W. Sides that are no multiple of the window are padded with zeros at the right
    and at the bottom, and cropped again.
    """

    def __init__(
        self, channels: int, *, window_px: int, shift_px: int, heads: int, mlp_ratio: int
    ) -> None:
        super().__init__()
        self.window_px, self.shift_px = window_px, shift_px
        self.attention_norm = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, window_px=window_px, heads=heads)
        self.mlp_norm = nn.LayerNorm(channels)
        expand, contract = (
            nn.Linear(channels, mlp_ratio * channels),
            nn.Linear(mlp_ratio * channels, channels),
        )
        scale_init(contract)
        self.mlp = nn.Sequential(expand, nn.GELU(), contract)

    def forward(self, x: Tensor) -> Tensor:
        if (fused := fused_swin_block(self, x)) is not None:
            return fused
        height, width = x.shape[-2:]
        x = x.permute(0, 2, 3, 1)
        right, bottom = -width % self.window_px, -height % self.window_px
        if right or bottom:
            x = F.pad(x, (0, 0, 0, right, 0, bottom))
        mask = None
        if self.shift_px:
            x = x.roll((-self.shift_px, -self.shift_px), dims=(1, 2))
            mask = shift_mask(
                *x.shape[1:3], window_px=self.window_px, shift_px=self.shift_px, device=x.device
            )
        padded = x.shape[1:3]
        x = window_partition(x, self.window_px)
        x = x + self.attention(self.attention_norm(x), mask)
        x = x + self.mlp(
            self.mlp_norm(x)
        )  # each pixel for itself: the order of the windows serves as well
        x = window_merge(x, *padded)
        if self.shift_px:
            x = x.roll((self.shift_px, self.shift_px), dims=(1, 2))
        return x[:, :height, :width].permute(0, 3, 1, 2)
