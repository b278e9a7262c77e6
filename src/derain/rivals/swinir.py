"""SwinIR: residual groups of Swin transformer blocks at full resolution.

Liang, Cao, Sun, Zhang, Van Gool and Timofte, "SwinIR: Image Restoration Using Swin Transformer",
ICCV Workshops 2021, arXiv 2108.10257. Sources: section 3 of the paper, and the code at
https://github.com/JingyunLiang/SwinIR with its settings for colour denoising, which have the 11.5
million parameters that Table 2 prints.

A block (Liu et al., ICCV 2021) attends within windows of 8x8 pixels, which every second block
shifts by half a window:

    x = x + MSA(LN(x)),   x = x + MLP(LN(x)),   MSA = softmax(q k^T / sqrt(d) + bias) v
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.rivals.rival import Rival, conv3x3, extend_to_multiples

WINDOW_PX = 8
MEAN = (0.4488, 0.4371, 0.4040)
"""Mean colour of DIV2K, which the network subtracts."""


class WindowAttention(nn.Module):
    """Multi-head attention within shifted windows: (N, H, W, C) -> (N, H, W, C).

    H and W are multiples of the window. The shift is cyclic; pixels that it brings together from
    opposite borders do not see each other.
    """

    def __init__(self, channels: int, *, heads: int, shift_px: int) -> None:
        super().__init__()
        self.heads, self.shift_px = heads, shift_px
        self.qkv = nn.Linear(channels, 3 * channels)
        self.leave = nn.Linear(channels, channels)
        self.position_bias = nn.Parameter(torch.zeros((2 * WINDOW_PX - 1) ** 2, heads))

    def forward(self, x: Tensor) -> Tensor:
        n, height, width, channels = x.shape
        shift = (-self.shift_px, -self.shift_px)
        windows = to_windows(x.roll(shift, (1, 2)))
        qkv = self.qkv(windows).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.movedim(-3, 0).transpose(-3, -2)  # each (N, windows, heads, pixels, d)
        bias = self.position_bias[offset_index(x.device)].movedim(-1, 0)
        if self.shift_px:
            bias = bias + self._mask(height, width, x)[:, None]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        windows = self.leave(attended.transpose(-3, -2).flatten(-2))
        return from_windows(windows, (n, height, width, channels)).roll(
            (self.shift_px, self.shift_px), (1, 2)
        )

    def _mask(self, height: int, width: int, x: Tensor) -> Tensor:
        """Return -100 for pairs of pixels from different sides of a border, else 0.

        (windows, pixels, pixels)
        """
        sides = []
        for size in (height, width):
            side = torch.zeros(size, device=x.device)
            side[-WINDOW_PX:] = 1
            side[-self.shift_px :] = 2
            sides.append(side)
        region = to_windows((3 * sides[0][:, None] + sides[1])[None, ..., None])[0, ..., 0]
        return -100.0 * (region[:, None] != region[:, :, None])


def to_windows(x: Tensor) -> Tensor:
    """Cut (N, H, W, C) into windows: (N, windows, pixels, C)."""
    n, height, width, channels = x.shape
    x = x.view(n, height // WINDOW_PX, WINDOW_PX, width // WINDOW_PX, WINDOW_PX, channels)
    return x.transpose(2, 3).reshape(n, -1, WINDOW_PX**2, channels)


def from_windows(windows: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    """Join windows (N, windows, pixels, C) to a map of `shape`, (N, H, W, C)."""
    n, height, width, channels = shape
    x = windows.view(n, height // WINDOW_PX, width // WINDOW_PX, WINDOW_PX, WINDOW_PX, channels)
    return x.transpose(2, 3).reshape(shape)


def offset_index(device: torch.device) -> Tensor:
    """Return the row of the bias table for each pair of pixels, (pixels, pixels)."""
    line = torch.arange(WINDOW_PX, device=device)
    rows, columns = (part.flatten() for part in torch.meshgrid(line, line, indexing="ij"))
    down = rows[:, None] - rows + WINDOW_PX - 1
    right = columns[:, None] - columns + WINDOW_PX - 1
    return down * (2 * WINDOW_PX - 1) + right


class STL(nn.Module):
    """Swin transformer layer; see the module. (N, H, W, C) -> (N, H, W, C)."""

    def __init__(self, channels: int, *, heads: int, shift_px: int, mlp_ratio: int = 2) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads=heads, shift_px=shift_px)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, mlp_ratio * channels),
            nn.GELU(),
            nn.Linear(mlp_ratio * channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class RSTB(nn.Module):
    """Residual Swin transformer block: layers, a convolution, and the sum with the input."""

    def __init__(self, channels: int, *, depth: int, heads: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(
                STL(channels, heads=heads, shift_px=WINDOW_PX // 2 * (index % 2))
                for index in range(depth)
            )
        )
        self.conv = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + convolve(self.conv, self.layers(x))


def convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a convolution to (N, H, W, C)."""
    return conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class SwinIR(Rival):
    """Shallow features, deep features, and a picture that is added to the input; see `Rival`.

    Pictures are extended to multiples of 8 px by reflection.
    """

    NAMES = (
        (r"^enter", "conv_first"),
        (r"^norm_first", "patch_embed.norm"),
        (r"^after", "conv_after_body"),
        (r"^leave", "conv_last"),
        (r"^groups\.(\d)\.layers\.(\d)", r"layers.\1.residual_group.blocks.\2"),
        (r"^groups\.(\d)\.conv", r"layers.\1.conv"),
        (r"\.attention\.leave", ".attn.proj"),
        (r"\.attention\.position_bias", ".attn.relative_position_bias_table"),
        (r"\.attention\.", ".attn."),
        (r"\.mlp\.0", ".mlp.fc1"),
        (r"\.mlp\.2", ".mlp.fc2"),
    )
    UNUSED = r"\.(relative_position_index|attn_mask)$"
    """Constants that follow from the sizes."""

    def __init__(
        self, *, channels: int = 180, depths: Sequence[int] = (6,) * 6, heads: int = 6
    ) -> None:
        super().__init__()
        self.enter = conv3x3(3, channels)
        self.norm_first = nn.LayerNorm(channels)
        self.groups = nn.Sequential(*(RSTB(channels, depth=depth, heads=heads) for depth in depths))
        self.norm = nn.LayerNorm(channels)
        self.after = conv3x3(channels, channels)
        self.leave = conv3x3(channels, 3)

    def forward(self, rainy: Tensor) -> Tensor:
        height, width = rainy.shape[2:]
        x = extend_to_multiples(rainy, WINDOW_PX)
        mean = torch.tensor(MEAN, device=x.device, dtype=x.dtype).view(3, 1, 1)
        shallow = self.enter(x - mean)
        deep = self.norm(self.groups(self.norm_first(shallow.permute(0, 2, 3, 1))))
        x = x + self.leave(self.after(deep.permute(0, 3, 1, 2)) + shallow)
        return x[:, :, :height, :width]
