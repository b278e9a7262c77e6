"""The non-local unit: a Swin Transformer block for feature maps of any size.

Liu et al., ICCV 2021. Inside the block a feature map is (N, H, W, C), which in channels-last memory
is a view of (N, C, H, W): nothing is copied.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.network.initialisation import scale_init

BLOCKED = -1000.0
"""Added to the logit of two pixels that must not attend to each other.

Its exponential is exactly 0, which that of Swin's -100 is not. It is finite, so that a softmax
over masked logits is always defined, in float16 too.
"""


def window_partition(x: Tensor, window_px: int) -> Tensor:
    """Cut (N, H, W, C) into (N * windows, window_px ** 2, C), row by row.

    H and W must be multiples of `window_px`.
    """
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
    """Return the offset between each two pixels of a window, numbered row by row.

    The result is (window_px ** 2, window_px ** 2), in 0..(2 * window_px - 1) ** 2 - 1.
    """
    row, column = torch.meshgrid(torch.arange(window_px), torch.arange(window_px), indexing="ij")
    row, column = row.flatten(), column.flatten()
    rows_apart = row[:, None] - row + window_px - 1
    columns_apart = column[:, None] - column + window_px - 1
    return rows_apart * (2 * window_px - 1) + columns_apart


def shift_mask(
    height: int, width: int, *, window_px: int, shift_px: int, device: torch.device | None = None
) -> Tensor:
    """Return the attention mask of shifted windows, (windows, window_px ** 2, window_px ** 2).

    It is 0 where two pixels may attend to each other and BLOCKED across the wrap: after the cyclic
    shift, the last row and the last column of windows hold pixels from opposite edges of the map.
    """
    row = torch.arange(height, device=device) >= height - shift_px
    column = torch.arange(width, device=device) >= width - shift_px
    part = row[:, None].long() * 2 + column.long()
    part = window_partition(part[None, :, :, None], window_px).squeeze(-1)
    return (part[:, :, None] != part[:, None, :]).float() * BLOCKED


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, with a learned bias for each relative position.

    (N * windows, area, C) -> the same shape. `mask`, (windows, area, area), is added to the logits.
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
        """Return the position bias of each pair of pixels, (heads, area, area)."""
        area = int(self.position_index.numel() ** 0.5)
        return self.position_bias[self.position_index].view(area, area, self.heads).permute(2, 0, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        b, area, c = x.shape
        qkv = self.qkv(x)  # (N * windows, area, 3 * C)
        bias = self.bias()[None]  # (1, heads, area, area)
        if mask is not None:
            bias = bias + mask[:, None]  # (windows, heads, area, area)
        # windows and heads share an axis, so that the bias broadcasts over the batch
        qkv = qkv.view(-1, len(bias), area, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5).flatten(2, 3)  # (N, windows * heads, area, C/heads)
        bias = bias.flatten(0, 1).to(q.dtype)  # (windows * heads, area, area)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        y = y.view(-1, self.heads, area, c // self.heads)  # (N * windows, heads, area, C/heads)
        return self.projection(y.transpose(1, 2).reshape(b, area, c))


class SwinBlock(nn.Module):
    """STB of equations (2) and (5): x + attention(norm(x)), then x + MLP(norm(x)).

    (N, C, H, W) -> (N, C, H, W) for any H and W. Sides that are not multiples of the window are
    padded with zeros at the right and at the bottom, and the result is cropped.
    """

    def __init__(
        self, channels: int, *, window_px: int, shift_px: int, heads: int, mlp_ratio: int
    ) -> None:
        super().__init__()
        self.window_px, self.shift_px = window_px, shift_px
        self.attention_norm = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, window_px=window_px, heads=heads)
        self.mlp_norm = nn.LayerNorm(channels)
        expand = nn.Linear(channels, mlp_ratio * channels)
        contract = nn.Linear(mlp_ratio * channels, channels)
        scale_init(contract)
        self.mlp = nn.Sequential(expand, nn.GELU(), contract)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        x = x.permute(0, 2, 3, 1)  # (N, H, W, C)
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
        x = window_partition(x, self.window_px)  # (N * windows, area, C)
        x = x + self.attention(self.attention_norm(x), mask)
        x = x + self.mlp(self.mlp_norm(x))  # pixel by pixel, so that windows need no merging first
        x = window_merge(x, *padded)
        if self.shift_px:
            x = x.roll((self.shift_px, self.shift_px), dims=(1, 2))
        return x[:, :height, :width].permute(0, 3, 1, 2)
