"""MPRNet: a U-net on quarters of the picture, one on halves, and blocks at full resolution.

Zamir, Arora, Khan, Hayat, Khan, Yang and Shao, "Multi-Stage Progressive Image Restoration", CVPR
2021, arXiv 2102.02808. Sources: section 3 of the paper, and the code for deraining at
https://github.com/swz30/MPRNet.

Each of the first two stages ends with an estimate of its own, picture + Conv(features), and a gate
for the features that it passes on (SAM, supervised attention):

    features + Conv(features) * sigmoid(Conv(estimate))

The second encoder adds features of the first stage (CSFF, cross-stage feature fusion).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.rivals.rival import Rival, conv3x3, count_from_one, extend_to_multiples

MULTIPLE_PX = 8
"""The picture is halved once as a patch and twice in a U-net."""
LEVELS = 3


class CAB(nn.Module):
    """Channel attention block: x + CA(Conv(PReLU(Conv(x)))) (Zhang et al., ECCV 2018).

    (N, C, H, W) -> (N, C, H, W). CA scales each channel by a function of all channel means. The
    slope of the PReLU is one number for the whole network.
    """

    def __init__(self, channels: int, act: nn.PReLU, *, reduction: int = 4) -> None:
        super().__init__()
        self.first = conv3x3(channels, channels, bias=False)
        self.second = conv3x3(channels, channels, bias=False)
        self.squeeze = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.excite = nn.Conv2d(channels // reduction, channels, 1, bias=False)
        self.act = (act,)  # a tuple hides it from the parameters of this module

    def forward(self, x: Tensor) -> Tensor:
        branch = self.second(self.act[0](self.first(x)))
        scale = self.excite(self.squeeze(branch.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return x + branch * scale


def pairs_of_blocks(channels: Sequence[int], act: nn.PReLU) -> nn.ModuleList:
    """Build two blocks for each level of a U-net."""
    return nn.ModuleList(nn.Sequential(CAB(c, act), CAB(c, act)) for c in channels)


class Resize(nn.Module):
    """Resize by `factor`, bilinear, and change the channels."""

    def __init__(self, inputs: int, outputs: int, *, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        resized: Tensor = self.conv(F.interpolate(x, scale_factor=self.factor, mode="bilinear"))
        return resized


def full_size(channels: Sequence[int], outputs: int) -> nn.Sequential:
    """Build what brings maps of the last of the given levels to the size of the first."""
    steps = [Resize(c, finer, factor=2) for finer, c in pairwise(channels)]
    return nn.Sequential(*reversed(steps), nn.Conv2d(channels[0], outputs, 1, bias=False))


class Encoder(nn.Module):
    """Three levels down: (N, C, H, W), H and W multiples of 4 -> maps by level.

    `earlier` are the maps of encoder and decoder of the stage before, for CSFF.
    """

    def __init__(self, channels: Sequence[int], act: nn.PReLU, *, fuses: bool) -> None:
        super().__init__()
        self.levels = pairs_of_blocks(channels, act)
        self.down = nn.ModuleList(
            Resize(channels[i], channels[i + 1], factor=0.5) for i in range(LEVELS - 1)
        )
        self.fuse = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(c, c, 1, bias=False) for c in channels)
            for _ in range(2 * fuses)
        )

    def forward(self, x: Tensor, *earlier: Sequence[Tensor]) -> list[Tensor]:
        maps: list[Tensor] = []
        for index, level in enumerate(self.levels):
            x = level(self.down[index - 1](maps[-1]) if index else x)
            for fuse, stage in zip(self.fuse, earlier, strict=True):
                x = x + cast("nn.ModuleList", fuse)[index](stage[index])
            maps.append(x)
        return maps


class Decoder(nn.Module):
    """Three levels up, with a block on each skip connection: maps by level -> maps by level."""

    def __init__(self, channels: Sequence[int], act: nn.PReLU) -> None:
        super().__init__()
        self.levels = pairs_of_blocks(channels, act)
        self.skip = nn.ModuleList(CAB(c, act) for c in channels[:-1])
        self.up = nn.ModuleList(
            Resize(channels[i + 1], channels[i], factor=2) for i in range(LEVELS - 1)
        )

    def forward(self, encoded: Sequence[Tensor]) -> list[Tensor]:
        maps = [self.levels[-1](encoded[-1])]
        for index in reversed(range(LEVELS - 1)):
            x = self.up[index](maps[0]) + self.skip[index](encoded[index])
            maps.insert(0, self.levels[index](x))
        return maps


class SAM(nn.Module):
    """Supervised attention; see the module. Features and picture -> gated features, estimate."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(channels, channels, 1, bias=False)
        self.estimate = nn.Conv2d(channels, 3, 1, bias=False)
        self.gate = nn.Conv2d(3, channels, 1, bias=False)

    def forward(self, x: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
        estimate = picture + self.estimate(x)
        return x + self.features(x) * self.gate(estimate).sigmoid(), estimate


class ORSNet(nn.Module):
    """Original-resolution subnetwork: three groups of blocks, each joined by one level of stage 2.

    (N, C, H, W), maps of encoder and decoder by level -> (N, C, H, W)
    """

    def __init__(self, wide: int, channels: Sequence[int], act: nn.PReLU, *, blocks: int) -> None:
        super().__init__()
        self.groups = nn.ModuleList(
            nn.Sequential(*(CAB(wide, act) for _ in range(blocks)), conv3x3(wide, wide, bias=False))
            for _ in range(LEVELS)
        )
        self.join = nn.ModuleList(
            nn.ModuleList(full_size(channels[: level + 1], wide) for level in range(LEVELS))
            for _ in range(2)
        )

    def forward(self, x: Tensor, *stages: Sequence[Tensor]) -> Tensor:
        for level, group in enumerate(self.groups):
            x = x + group(x)
            for join, maps in zip(self.join, stages, strict=True):
                x = x + cast("nn.ModuleList", join)[level](maps[level])
        return x


class MPRNet(Rival):
    """Three stages; see `Rival`. Pictures are extended to multiples of 8 px by reflection."""

    NAMES = (
        (r"^act\.weight", "shallow_feat1.1.body.1.weight"),
        (r"^enter\.(\d)", count_from_one("shallow_feat{}")),
        (r"^encoders\.(\d)", count_from_one("stage{}_encoder")),
        (r"^decoders\.(\d)", count_from_one("stage{}_decoder")),
        (r"(?<=encoder)\.levels\.(\d)", count_from_one(".encoder_level{}")),
        (r"(?<=decoder)\.levels\.(\d)", count_from_one(".decoder_level{}")),
        (r"\.down\.(\d)\.conv", lambda m: f".down{int(m[1]) + 1}{int(m[1]) + 2}.down.1"),
        (r"\.up\.(\d)\.conv", lambda m: f".up{int(m[1]) + 2}{int(m[1]) + 1}.up.1"),
        (r"\.skip\.(\d)", count_from_one(".skip_attn{}")),
        (r"\.fuse\.0\.(\d)", count_from_one(".csff_enc{}")),
        (r"\.fuse\.1\.(\d)", count_from_one(".csff_dec{}")),
        (r"^(sam|concat)\.(\d)", lambda m: f"{m[1]}{int(m[2]) + 1}{int(m[2]) + 2}"),
        (r"^(sam\d+)\.features", r"\1.conv1"),
        (r"^(sam\d+)\.estimate", r"\1.conv2"),
        (r"^(sam\d+)\.gate", r"\1.conv3"),
        (r"^orsnet\.groups\.(\d)", count_from_one("stage3_orsnet.orb{}.body")),
        (r"^orsnet\.join\.0\.(\d)", r"stage3_orsnet.enc.\1"),
        (r"^orsnet\.join\.1\.(\d)", r"stage3_orsnet.dec.\1"),
        (r"(enc|dec)\.1\.0\.conv", r"up_\g<1>1.up.1"),
        (r"(enc|dec)\.2\.(\d)\.conv", r"up_\g<1>2.\2.up.1"),
        (r"(enc|dec)\.(\d)\.\2", lambda m: f"conv_{m[1]}{int(m[2]) + 1}"),
        (r"\.first\.", ".body.0."),
        (r"\.second\.", ".body.2."),
        (r"\.squeeze", ".CA.conv_du.0"),
        (r"\.excite", ".CA.conv_du.2"),
        (r"^leave", "tail"),
    )
    UNUSED = r"\.body\.1\.weight$"
    """Copies of the one slope."""

    def __init__(self, *, channels: int = 40, step: int = 20, wider: int = 16, blocks: int = 8):
        super().__init__()
        self.act = nn.PReLU()
        act, levels = self.act, [channels + step * level for level in range(LEVELS)]
        self.enter = nn.ModuleList(
            nn.Sequential(conv3x3(3, channels, bias=False), CAB(channels, act)) for _ in range(3)
        )
        self.encoders = nn.ModuleList(Encoder(levels, act, fuses=fuses) for fuses in (False, True))
        self.decoders = nn.ModuleList(Decoder(levels, act) for _ in range(2))
        self.orsnet = ORSNet(channels + wider, levels, act, blocks=blocks)
        self.sam = nn.ModuleList(SAM(channels) for _ in range(2))
        self.concat = nn.ModuleList(
            conv3x3(2 * channels, width, bias=False) for width in (channels, channels + wider)
        )
        self.leave = conv3x3(channels + wider, 3, bias=False)

    def forward(self, rainy: Tensor) -> Tensor:
        return self.outputs(rainy)[0]

    def outputs(self, rainy: Tensor) -> list[Tensor]:
        """Return the estimate of every stage, each (N, 3, H, W), the last one first."""
        height, width = rainy.shape[2:]
        x = extend_to_multiples(rainy, MULTIPLE_PX)
        halves = x.chunk(2, dim=2)
        encoded, decoded, gated, first = [], [], [], []
        for half in halves:
            quarters = [self.encoders[0](self.enter[0](q)) for q in half.chunk(2, dim=3)]
            encoded.append([torch.cat(maps, dim=3) for maps in zip(*quarters, strict=True)])
            decoded.append(self.decoders[0](encoded[-1]))
            features, estimate = self.sam[0](decoded[-1][0], half)
            gated.append(features)
            first.append(estimate)
        both = []
        for index, half in enumerate(halves):
            features = torch.cat([self.enter[1](half), gated[index]], dim=1)
            both.append(self.encoders[1](self.concat[0](features), encoded[index], decoded[index]))
        encoded_2 = [torch.cat(maps, dim=2) for maps in zip(*both, strict=True)]
        decoded_2 = self.decoders[1](encoded_2)
        features, second = self.sam[1](decoded_2[0], x)
        features = self.concat[1](torch.cat([self.enter[2](x), features], dim=1))
        third = x + self.leave(self.orsnet(features, encoded_2, decoded_2))
        estimates = (third, second, torch.cat(first, dim=2))
        return [estimate[:, :, :height, :width] for estimate in estimates]
