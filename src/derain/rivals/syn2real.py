"""Syn2Real: a U-net of Res2Net blocks, trained with real photos through a Gaussian process.

Yasarla, Sindagi and Patel, "Syn2Real Transfer Learning for Image Deraining Using Gaussian
Processes", CVPR 2020, arXiv 2006.05580. Sources: section 3 of the paper, and the code at
https://github.com/rajeevyasarla/Syn2Real (`DeRain_v2`). The Gaussian process is a loss on the
features z at an eighth of the size; the network is a plain feed-forward one.

A block (Gao et al., TPAMI 2021) splits its maps x_1 ... x_6 and passes them on in a row:

    y_1 = K_1(x_1),  y_i = K_i(x_i + y_(i-1)),  y_6 = x_6,  K = Conv(ReLU(BN(.)))
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.rivals.rival import Rival, conv3x3, extend_to_multiples

MULTIPLE_PX = 16
"""The authors resize pictures to multiples of this; here they are extended."""
CARDINALITY = 8
BASE_WIDTH = 12


class Res2Block(nn.Module):
    """See the module: (N, C, H, W) -> its input and the result, (N, 2 C, H, W)."""

    def __init__(self, channels: int, *, scales: int = 6) -> None:
        super().__init__()
        self.width = channels * BASE_WIDTH // 64 * CARDINALITY
        total = scales * self.width
        self.enter_norm, self.enter = norm_and_conv(channels, total)
        self.norms = nn.ModuleList(nn.BatchNorm2d(self.width) for _ in range(scales - 1))
        self.convs = nn.ModuleList(
            nn.Conv2d(self.width, self.width, 3, padding=1, groups=CARDINALITY, bias=False)
            for _ in range(scales - 1)
        )
        self.leave_norm, self.leave = norm_and_conv(total, channels)

    def forward(self, x: Tensor) -> Tensor:
        *parts, last = self.enter(self.enter_norm(x).relu()).split(self.width, dim=1)
        results: list[Tensor] = []
        for part, norm, conv in zip(parts, self.norms, self.convs, strict=True):
            total = part + results[-1] if results else part
            results.append(conv(norm(total).relu()))
        joined = torch.cat([*results, last], dim=1)
        return torch.cat([x, x + self.leave(self.leave_norm(joined).relu())], dim=1)


def norm_and_conv(inputs: int, outputs: int) -> tuple[nn.BatchNorm2d, nn.Conv2d]:
    """Build a batch normalisation and the 1x1 convolution behind it."""
    return nn.BatchNorm2d(inputs), nn.Conv2d(inputs, outputs, 1, bias=False)


class Transition(nn.Module):
    """Conv(ReLU(BN(x))) with a 1x1 convolution, then halved by means or doubled by repetition."""

    def __init__(self, inputs: int, outputs: int, *, resize: str = "") -> None:
        super().__init__()
        self.resize = resize
        self.norm = nn.BatchNorm2d(inputs)
        # the checkpoints hold it as a transposed convolution
        self.conv = nn.ConvTranspose2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.norm(x).relu())
        if self.resize == "halve":
            return F.avg_pool2d(x, 2)
        return F.interpolate(x, scale_factor=2, mode="nearest") if self.resize else x


class Syn2Real(Rival):
    """Predicts the picture through a sigmoid; see `Rival`."""

    NAMES = (
        (r"^enter\.", "conv_input."),
        (r"^blocks\.(\d)", lambda m: f"dense_block{int(m[1]) + 1}"),
        (r"^before\.(\d)", r"trans_block\1"),
        (r"^after\.(\d)", r"trans_block\1_o"),
        (r"^bottleneck", "zout"),
        (r"^refine\.0", "conv_refin"),
        (r"^refine\.1", "refine3"),
        (r"^refine\.2", "refineclean1"),
        (r"^refine\.3", "refineclean2"),
        (r"\.enter_norm", ".bn1"),
        (r"(?<=\d)\.enter\.", ".conv1."),
        (r"\.leave_norm", ".bn3"),
        (r"(?<=\d)\.leave\.", ".conv3."),
        (r"(dense_block\d)\.norms", r"\1.bns"),
        (r"(trans_block\w+)\.norm", r"\1.bn1"),
        (r"(trans_block\w+)\.conv\.", r"\1.conv1."),
    )
    UNUSED = r"\.SE\."
    """Squeeze and excitation that the code builds and skips."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 32, 128, 128, 128, 128, 64, 80)
        self.enter = conv3x3(3, 16)
        self.blocks = nn.ModuleList(Res2Block(width) for width in widths)
        before = {2: (32, 32), 3: (32, 32), 4: (64, 128), 7: (32, 64), 8: (32, 32), 9: (32, 32)}
        self.before = nn.ModuleDict(
            {
                str(block): Transition(*size, resize="halve" if block < 5 else "double")
                for block, size in before.items()
            }
        )
        outputs = (32, 64, 128, 128, 128, 32, 32, 16)
        self.after = nn.ModuleDict(
            {
                str(block): Transition(2 * widths[block - 1], size)
                for block, size in enumerate(outputs, start=2)
            }
        )
        self.bottleneck = conv3x3(128, 32)
        self.refine = nn.ModuleList(
            [conv3x3(16, 16), conv3x3(16, 3), nn.Conv2d(3, 8, 7, padding=3), conv3x3(8, 3)]
        )

    def forward(self, rainy: Tensor) -> Tensor:
        height, width = rainy.shape[2:]
        x = extend_to_multiples(2 * rainy - 1, MULTIPLE_PX)
        shallow = self.enter(x)
        maps = [self.blocks[0](shallow)]
        for block in (2, 3, 4, 5, 6):
            maps.append(self._stage(block, maps[-1]))
        x = self.bottleneck(F.leaky_relu(maps[-1], 0.2))
        x = self._stage(7, x, maps[2])
        x = self._stage(8, x, maps[1])
        x = self._stage(9, x, maps[0], shallow)
        smooth, estimate, wider, leave = self.refine
        x = estimate(shallow - F.leaky_relu(smooth(x), 0.2)).tanh()
        return leave(F.leaky_relu(wider(x), 0.2)).sigmoid()[:, :, :height, :width]

    def _stage(self, block: int, x: Tensor, *skipped: Tensor) -> Tensor:
        """Apply block `block`, counted from one, to its resized input and to skipped maps."""
        key = str(block)
        if key in self.before:
            x = self.before[key](x)
        after: Tensor = self.after[key](self.blocks[block - 1](torch.cat([x, *skipped], dim=1)))
        return after
