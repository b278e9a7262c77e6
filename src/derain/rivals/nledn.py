"""NLEDN: an encoder-decoder of dense blocks with non-local operations.

Li, He, Zhang, Chang, Dong and Lin, "Non-locally Enhanced Encoder-Decoder Network for Single Image
De-raining", ACM MM 2018, arXiv 1808.01491. Sources: section 3 of the paper, and the code at
https://github.com/AlexHex7/NLEDN.

The non-local operation (Wang et al., CVPR 2018) is y_i = sum_j softmax_j(theta(x_i) . phi(x_j))
g(x_j), where j runs over a grid of half the resolution. At high resolution it is confined to the
cells of a grid (8x8, 4x4 and 2x2); pooling passes the places of the maxima to the decoder.
"""

from __future__ import annotations

from itertools import count

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.rivals.rival import Rival, conv3x3, count_from_one, extend


class NonLocal(nn.Module):
    """x + W(y), with y of the module's formula within each of cells x cells regions.

    (N, C, H, W) -> (N, C, H, W)
    """

    def __init__(self, channels: int, *, cells: int = 1) -> None:
        super().__init__()
        self.cells = cells
        self.theta = nn.Conv2d(channels, channels // 2, 1)
        self.phi = nn.Conv2d(channels, channels // 2, 1)
        self.g = nn.Conv2d(channels, channels // 2, 1)
        self.w = nn.Conv2d(channels // 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        bands = [
            torch.cat([self._attend(cell) for cell in band.chunk(self.cells, dim=3)], dim=3)
            for band in x.chunk(self.cells, dim=2)
        ]
        return x + self.w(torch.cat(bands, dim=2))

    def _attend(self, x: Tensor) -> Tensor:
        queries = self.theta(x)
        keys, values = F.max_pool2d(self.phi(x), 2), F.max_pool2d(self.g(x), 2)
        q, k, v = (maps.flatten(2).transpose(1, 2) for maps in (queries, keys, values))
        y = F.scaled_dot_product_attention(q, k, v, scale=1.0)
        return y.transpose(1, 2).reshape(queries.shape)


class NEDB(nn.Module):
    """Non-locally enhanced dense block: (N, C, H, W) -> (N, C, H, W).

    Each of four convolutions reads all maps before it; a 1x1 convolution fuses them, and the input
    is added.
    """

    def __init__(self, channels: int, *, cells: int = 1, growth: int = 32, layers: int = 4) -> None:
        super().__init__()
        self.non_local = NonLocal(channels, cells=cells)
        self.dense = nn.ModuleList(
            conv3x3(channels + index * growth, growth) for index in range(layers)
        )
        self.fuse = nn.Conv2d(channels + layers * growth, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.non_local(x)
        for layer in self.dense:
            maps = torch.cat([maps, layer(maps).relu()], dim=1)
        return x + self.fuse(maps)


class NLEDN(Rival):
    """Three levels down and up; predicts the rain layer, which is subtracted. See `Rival`.

    Pictures with a side that the grids cannot divide, below 64 px, are extended by reflection.
    """

    NAMES = (
        (r"^enter\.(\d)", count_from_one("conv{}")),
        (r"^encoder\.(\d)", count_from_one("up_{}")),
        (r"^decoder\.(\d)", count_from_one("down_{}")),
        (r"^join\.(\d)", count_from_one("down_{}_fusion")),
        (r"^fuse\.", "fusion."),
        (r"^leave", "final_conv.0"),
        (r"\.dense\.(\d)", r".group_\1.0"),
        (r"\.fuse\.", ".fusion.0."),
        (r"^(?!down_3)(\w+)\.non_local", r"\1.region_non_local.non_local_block"),
        (r"\.(phi|g)\.", r".\1.0."),
        (r"\.w\.", ".W."),
    )

    def __init__(self, *, channels: int = 64) -> None:
        super().__init__()
        self.enter = nn.Sequential(conv3x3(3, channels), conv3x3(channels, channels))
        self.encoder = nn.ModuleList(NEDB(channels, cells=cells) for cells in (8, 4, 2))
        self.decoder = nn.ModuleList(NEDB(channels, cells=cells) for cells in (4, 2, 1))
        self.join = nn.ModuleList(nn.Conv2d(2 * channels, channels, 1) for _ in range(2))
        self.fuse = nn.Sequential(nn.Conv2d(3 * channels, channels, 1), conv3x3(channels, channels))
        self.leave = conv3x3(channels, 3)

    def forward(self, rainy: Tensor) -> Tensor:
        height, width = rainy.shape[2:]
        x = extend(rainy, height=_divisible(height), width=_divisible(width))
        return rainy - self.rain_layer(x)[:, :, :height, :width]

    def rain_layer(self, rainy: Tensor) -> Tensor:
        """Predict the rain layer in -1..1, (N, 3, H, W)."""
        shallow = self.enter[0](rainy)
        levels, places = [self.enter[1](shallow)], []
        encoded = []
        for block in self.encoder:
            encoded.append(block(levels[-1]))
            pooled, maxima = F.max_pool2d(encoded[-1], 2, return_indices=True)
            levels.append(pooled)
            places.append(maxima)
        x = levels.pop()
        for index in (2, 1, 0):
            skipped = levels.pop()
            x = F.max_unpool2d(
                self.decoder[index](x), places[index], (2, 2), output_size=skipped.shape[2:]
            )
            x = torch.cat([skipped, x], dim=1)
            if index:
                x = self.join[index - 1](x)
        return self.leave(self.fuse(torch.cat([x, encoded[0]], dim=1)) + shallow).tanh()


def _divisible(size: int) -> int:
    """Return the smallest size from `size` on that the grids cut into cells of 2 px or more."""
    return next(longer for longer in count(max(size, 16)) if _has_cells(longer))


def _has_cells(size: int) -> bool:
    """True if no level has a cell of one pixel; cells are as even as `torch.chunk` makes them."""
    for cells in (8, 4, 2, 1):
        side = -(-size // cells)
        if side < 2 or size % side == 1:
            return False
        size //= 2
    return True
