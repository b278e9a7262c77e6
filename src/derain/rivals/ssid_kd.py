"""SSID-KD: three nested encoder-decoders at three scales, for training with real photos as well.

Cui, Wang, Ren, Chen and Zuo, "Semi-Supervised Image Deraining Using Knowledge Distillation", IEEE
TCSVT 2022, doi 10.1109/TCSVT.2022.3190516. Sources: the method section of the paper, and the code
at https://github.com/cuiyixin555/SSID-KD (`ODE_DerainNet`), which is the student and the teacher.

Each scale has a chain of one unit, applied again and again. The finer a network is, the more scales
it passes through itself; the results of the coarser network at the same scale are added to the
input of each unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.rivals.dcsfn import InnerScaleBlock
from derain.rivals.rival import LeakyConv, Rival, extend_to_side

MIN_SIDE_PX = 32
"""The coarsest scale pools by 8 what was reduced by 4."""
SCALES = 3


class MultiScaleFusion(nn.Module):
    """MSFB: 3x3 and 5x5 convolutions that read each other's results (Li et al., ECCV 2018).

    (N, C, H, W) -> (N, C, H, W)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.ModuleList(LeakyConv(channels, channels, size) for size in (3, 5))
        self.second = nn.ModuleList(LeakyConv(2 * channels, 2 * channels, size) for size in (3, 5))
        self.fuse = nn.Conv2d(4 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([conv(x) for conv in self.first], dim=1)
        return x + self.fuse(torch.cat([conv(both) for conv in self.second], dim=1))


class Chain(nn.Module):
    """One unit, applied `repeats` times, each time to a 1x1 fusion of everything before it.

    (N, C, H, W), and optionally maps to add to the input of each repetition -> the result, and the
    result of each repetition.
    """

    def __init__(self, channels: int, *, repeats: int) -> None:
        super().__init__()
        self.unit = nn.Sequential(InnerScaleBlock(channels), MultiScaleFusion(channels))
        self.fuse = nn.ModuleList(
            LeakyConv((index + 2) * channels, channels, 1) for index in range(repeats)
        )

    def forward(
        self, x: Tensor, added: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        maps, out = [x], x
        for index, fuse in enumerate(self.fuse):
            maps.append(self.unit(out if added is None else out + added[index]))
            out = fuse(torch.cat(maps, dim=1))
        return out, maps[1:]


class Nested(nn.Module):
    """Pyramid fusion: chains from scale `finest` to the coarsest and back.

    (N, C, H, W), and maps of the coarser networks by (way, scale) -> the result, and its own maps.
    """

    def __init__(self, finest: int, channels: Sequence[int], repeats: Sequence[int]) -> None:
        super().__init__()
        self.finest = finest
        self.down = nn.ModuleList(
            Chain(channels[scale], repeats=repeats[scale]) for scale in range(finest, SCALES)
        )
        self.up = nn.ModuleList(
            Chain(channels[scale], repeats=repeats[scale]) for scale in range(finest, SCALES - 1)
        )
        self.shrink = nn.ModuleList(
            LeakyConv(repeats[scale] * channels[scale], channels[scale + 1])
            for scale in range(finest, SCALES - 1)
        )
        self.grow = nn.ModuleList(
            LeakyConv(repeats[scale + 1] * channels[scale + 1], channels[scale])
            for scale in range(finest, SCALES - 1)
        )

    def forward(
        self, x: Tensor, coarser: dict[tuple[str, int], list[Tensor]]
    ) -> tuple[Tensor, dict[tuple[str, int], list[Tensor]]]:
        height, width = x.shape[2:]
        results: dict[tuple[str, int], list[Tensor]] = {}
        inputs, size = [x], (height, width)
        sizes = [size]
        for index, chain in enumerate(self.down):
            scale = self.finest + index
            out, maps = chain(inputs[-1], coarser.get(("down", scale)))
            results["down", scale] = maps
            if index < len(self.shrink):
                sizes.append((height // 2 ** (index + 1), width // 2 ** (index + 1)))
                inputs.append(self.shrink[index](joined(maps, sizes[-1])))
        for index in reversed(range(len(self.up))):
            scale = self.finest + index
            x = self.grow[index](joined(maps, sizes[index]))
            skipped = coarser.get(("up", scale), results["down", scale])
            out, maps = self.up[index](x, skipped)
            out = out + inputs[index]
            results["up", scale] = maps
            maps = [*maps[:-1], out]  # the way up takes the sum instead of the last map
        if not len(self.up):
            out = out + inputs[0]
        return out, results


def joined(maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """Resize maps to (height, width), bilinear, and join their channels."""
    return torch.cat([F.interpolate(m, size=size, mode="bilinear") for m in maps], dim=1)


class SSIDKD(Rival):
    """Predicts the rain layer, which is subtracted; see `Rival`.

    Channels are B, G, R inside, because the authors' data loader reads them in that order. Pictures
    with a side below 32 px are extended by reflection.
    """

    NAMES = (
        (r"^enter\.(\d)", lambda m: f"head.convLayer_{2 ** int(m[1])}.0"),
        (r"^leave", "tail.catLayer.0"),
        (r"^nested\.(\d)\.(down|up)\.(\d)", lambda m: _chain_name(*m.groups())),
        (r"^nested\.(\d)\.(shrink|grow)\.(\d)", lambda m: _resize_name(*m.groups())),
        (r"(Layer_\d)\.fuse\.(\d)", r"\1.conv1x1.\2.0"),
        (r"(Layer_\d)\.unit\.", r"\1.units.0.unit."),
        (r"\.scales\.(\d)\.(\d)", lambda m: f".scale{2 ** int(m[1])}.{m[2]}.0"),
        (
            r"unit\.0\.fuse\.(\d)",
            lambda m: f"unit.0.fusion{2 ** (int(m[1]) + 1)}{2 ** int(m[1])}.0",
        ),
        (r"\.join", ".fusion_all.0"),
        (r"unit\.1\.fuse", "unit.1.confusion"),
        (r"\.first\.(\d)", lambda m: f".conv_{3 + 2 * int(m[1])}_1"),
        (r"\.second\.(\d)", lambda m: f".conv_{3 + 2 * int(m[1])}_2"),
    )
    UNUSED = r"\.units\.[1-9]\."
    """Copies of the unit of a chain."""

    def __init__(
        self,
        *,
        channels: Sequence[int] = (24, 32, 48),
        repeats: Sequence[int] = (10, 4, 2),
    ) -> None:
        super().__init__()
        self.enter = nn.ModuleList(LeakyConv(3, width) for width in channels)
        self.nested = nn.ModuleList(Nested(scale, channels, repeats) for scale in range(SCALES))
        self.leave = LeakyConv(sum(channels), 3)

    def forward(self, rainy: Tensor) -> Tensor:
        height, width = rainy.shape[2:]
        x = extend_to_side(rainy, MIN_SIDE_PX).flip(1)
        maps: dict[tuple[str, int], list[Tensor]] = {}
        results: list[Tensor] = []
        for scale in reversed(range(SCALES)):
            size = (x.shape[2] // 2**scale, x.shape[3] // 2**scale)
            resized = F.interpolate(x, size=size, mode="bilinear") if scale else x
            enter, nested = self.enter[scale], cast("Nested", self.nested[scale])
            result, maps = nested(enter(resized), maps)
            results.insert(0, result)
        rain = self.leave(joined(results, (x.shape[2], x.shape[3])))
        return rainy - rain.flip(1)[:, :, :height, :width]


def _chain_name(network: str, way: str, index: str) -> str:
    """Return the official name of a chain of the network that starts at scale `network`."""
    kind, scale = {"down": "en", "up": "de"}[way], int(network) + int(index)
    return f"encoder_decoder_{2 ** int(network)}.{kind}Layer_{2**scale}"


def _resize_name(network: str, way: str, index: str) -> str:
    """Return the official name of the convolution between two scales; 1 and 2 lead down."""
    scale = int(network) + int(index)
    number = 1 + scale if way == "shrink" else 4 - scale
    return f"encoder_decoder_{2 ** int(network)}.catLayer_{number}.0"
