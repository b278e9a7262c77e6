"""DCSFN: three encoder-decoders at three scales, whose features a recurrent unit passes on.

Wang, Xing, Wu, Su and Chen, "DCSFN: Deep Cross-scale Fusion Network for Single Image Rain Removal",
ACM MM 2020, arXiv 2008.00767. Sources: section 3 of the paper, and the code at
https://github.com/Ohraincu/DCSFN with its published settings (GRU, sixteen units of twenty
channels).

The features e of the encoders travel from coarse to fine, and back from fine to coarse; the state h
of each scale is the resized state of the scale before it, or a fusion of the two before it:

    h4 = GRU(e4),  h2 = GRU(e2, h4),  h1 = GRU(e1, fuse(h2, h4))
    g1 = GRU(h1),  g2 = GRU(h2, g1),  g4 = GRU(h4, fuse(g1, g2))
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.rivals.rival import LeakyConv, Rival, conv3x3, extend_to_side, resize_like

MIN_SIDE_PX = 32
"""The coarsest scale pools by 8 what was pooled by 4."""


class InnerScaleBlock(nn.Module):
    """Inner-scale connection block: four scales from coarse to fine, then all of them at once.

    (N, C, H, W) -> (N, C, H, W) with H, W >= 8
    """

    def __init__(self, channels: int, *, scales: int = 4, convs: int = 4) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            nn.Sequential(*(LeakyConv(channels, channels) for _ in range(convs)))
            for _ in range(scales)
        )
        self.fuse = nn.ModuleList(LeakyConv(2 * channels, channels, 1) for _ in range(scales - 1))
        self.join = LeakyConv(scales * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        coarsest = len(self.scales) - 1
        maps = [self.scales[coarsest](F.max_pool2d(x, 2**coarsest))]
        for index in reversed(range(coarsest)):
            finer = F.max_pool2d(x, 2**index) if index else x
            both = torch.cat([finer, resize_like(maps[0], finer)], dim=1)
            maps.insert(0, self.scales[index](self.fuse[index](both)))
        return x + self.join(torch.cat([resize_like(m, x) for m in maps], dim=1))


class DenseChain(nn.Module):
    """Units in a row, each of which reads a 1x1 fusion of everything before it.

    (N, C, H, W), and optionally maps to add to the input of each unit -> the result, and the
    results of the units.
    """

    def __init__(self, channels: int, units: Sequence[nn.Module]) -> None:
        super().__init__()
        self.units = nn.ModuleList(units)
        self.fuse = nn.ModuleList(
            LeakyConv((index + 2) * channels, channels, 1) for index in range(len(units))
        )

    def forward(
        self, x: Tensor, added: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        maps, out = [x], x
        for index, (unit, fuse) in enumerate(zip(self.units, self.fuse, strict=True)):
            maps.append(unit(out if added is None else out + added[index]))
            out = fuse(torch.cat(maps, dim=1))
        return out, maps[1:]


class ConvGRU(nn.Module):
    """A gated recurrent unit with a leaky ReLU: (N, C, H, W), state of that shape or None -> state.

    h = (1 - z) h + z tanh(W_n x + U_n (r h)), with sigmoid gates z and r.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.x_update, self.h_update = conv3x3(channels, channels), conv3x3(channels, channels)
        self.x_reset, self.h_reset = conv3x3(channels, channels), conv3x3(channels, channels)
        self.x_new, self.h_new = conv3x3(channels, channels), conv3x3(channels, channels)

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        update, new = self.x_update(x), self.x_new(x)
        if h is None:
            h = update.sigmoid() * new.tanh()
        else:
            z = (update + self.h_update(h)).sigmoid()
            r = (self.x_reset(x) + self.h_reset(h)).sigmoid()
            h = (1 - z) * h + z * (new + self.h_new(r * h)).tanh()
        return F.leaky_relu(h, 0.2)


class DCSFN(Rival):
    """Predicts the rain layer, which is subtracted; see `Rival`.

    Channels are B, G, R inside, because the authors' data loader reads them in that order. Pictures
    with a side below 32 px are extended by reflection.
    """

    NAMES = (
        (r"^enter\.", "convert.0."),
        (r"^(en|de)coders\.(\d)", lambda m: f"{m[1]}coder_scale{2 ** int(m[2])}"),
        (r"\.scales\.(\d)\.(\d)", lambda m: f".scale{2 ** int(m[1])}.{m[2]}.0"),
        (r"(?<=\d)\.fuse\.(\d)\.(?=\w+$)", r".fuse.\1."),
        (
            r"(units\.\d+)\.fuse\.(\d)",
            lambda m: f"{m[1]}.fusion{2 ** (int(m[2]) + 1)}{2 ** int(m[2])}.0",
        ),
        (r"(scale\d)\.fuse\.(\d+)", r"\1.conv1x1.\2.0"),
        (r"\.join", ".fusion_all.0"),
        (r"^up\.(\d)", lambda m: f"rec1_{2 ** int(m[1])}"),
        (r"^down\.(\d)", lambda m: f"rec2_{2 ** int(m[1])}"),
        (r"^fuse_up", "fusion_1_2_1.0"),
        (r"^fuse_down", "fusion_2_2_1.0"),
        (r"\.(x|h)_update", r".conv_\1z"),
        (r"\.(x|h)_reset", r".conv_\1r"),
        (r"\.(x|h)_new", r".conv_\1n"),
        (r"^merge", "merge.0"),
        (r"^leave", "merge.2"),
    )
    UNUSED = r"^fusion_\d_2_2\."
    """Fusions of the second state of an LSTM, which the published settings do not use."""

    def __init__(self, *, channels: int = 20, units: int = 16) -> None:
        super().__init__()

        def chain() -> DenseChain:
            return DenseChain(channels, [InnerScaleBlock(channels) for _ in range(units)])

        self.enter = LeakyConv(3, channels)
        self.encoders = nn.ModuleList(chain() for _ in range(3))
        self.up = nn.ModuleList(ConvGRU(channels) for _ in range(3))
        self.fuse_up = LeakyConv(2 * channels, channels, 1)
        self.down = nn.ModuleList(ConvGRU(channels) for _ in range(3))
        self.fuse_down = LeakyConv(2 * channels, channels, 1)
        self.decoders = nn.ModuleList(chain() for _ in range(3))
        self.merge = LeakyConv(3 * channels, 3, 1)
        self.leave = conv3x3(3, 3)

    def forward(self, rainy: Tensor) -> Tensor:
        height, width = rainy.shape[2:]
        x = extend_to_side(rainy, MIN_SIDE_PX)
        return rainy - self.rain_layer(x.flip(1)).flip(1)[:, :, :height, :width]

    def rain_layer(self, rainy: Tensor) -> Tensor:
        """Predict the rain layer of B, G, R, (N, 3, H, W) with H, W >= 32."""
        x = self.enter(rainy)
        scales = [x, F.max_pool2d(x, 2), F.max_pool2d(x, 4)]
        encoded = [encode(maps) for encode, maps in zip(self.encoders, scales, strict=True)]
        fine, half, quarter = self._pass_on([out for out, _ in encoded])
        decoded = [
            decode(state, features)[0]
            for decode, state, (_, features) in zip(
                self.decoders, (fine, half, quarter), encoded, strict=True
            )
        ]
        merged = self.merge(torch.cat([resize_like(maps, x) for maps in decoded], dim=1))
        rain: Tensor = self.leave(merged)
        return rain

    def _pass_on(self, encoded: list[Tensor]) -> list[Tensor]:
        """Exchange features between the scales; see the module. Fine, half, quarter."""
        e1, e2, e4 = encoded
        h4 = self.up[2](e4)
        h2 = self.up[1](e2, resize_like(h4, e2))
        both = torch.cat([resize_like(h2, e1), resize_like(h4, e1)], dim=1)
        h1 = self.up[0](e1, self.fuse_up(both))
        g1 = self.down[0](h1)
        g2 = self.down[1](h2, resize_like(g1, h2))
        both = torch.cat([resize_like(g1, h4), resize_like(g2, h4)], dim=1)
        return [g1, g2, self.down[2](h4, self.fuse_down(both))]
