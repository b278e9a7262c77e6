"""MSPFN: recurrent units and seventeen rounds of attention at three scales, from coarse to fine.

Jiang, Wang, Yi, Chen, Huang, Luo, Ma and Jiang, "Multi-Scale Progressive Fusion Network for Single
Image Deraining", CVPR 2020, arXiv 2003.10985. Sources: section 3 of the paper, and the code at
https://github.com/kuijiang94/MSPFN, which is for TensorFlow 1.

Convolutions are transposed ones, with a PReLU that has one slope for each channel. They align as
TensorFlow's `SAME` does. The LSTM runs for a single step from zero, so that its state is

    h = sigmoid(o) tanh(sigmoid(i) tanh(j)),   [i, j, f, o] = W * [x, 0] + b
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.rivals.rival import Replacement, Rival, extend_to_multiples

MULTIPLE_PX = 4
CHANNELS = 64


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """Multiply negative values of (N, C, H, W) by a slope for each channel."""
    return F.prelu(x, slope)


class Deconv(nn.Module):
    """A transposed 3x3 convolution without bias, and a PReLU: (N, in, H, W) -> (N, out, H', W').

    `size` is the height and width of a result of twice the size; None keeps the size.
    """

    def __init__(self, inputs: int, outputs: int = CHANNELS, *, activated: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs, 3, 3))
        nn.init.xavier_uniform_(self.weight)
        self.alpha = nn.Parameter(torch.zeros(outputs)) if activated else None

    def forward(self, x: Tensor, size: torch.Size | None = None) -> Tensor:
        if size is None:
            x = F.conv_transpose2d(x, self.weight, padding=1)
        else:
            (top, left), (height, width) = (side % 2 for side in size), size
            x = F.conv_transpose2d(x, self.weight, stride=2)
            x = x[:, :, top : top + height, left : left + width]
        return x if self.alpha is None else prelu(x, self.alpha)


class Halve(nn.Module):
    """A 3x3 convolution at every second pixel, and a PReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(CHANNELS, CHANNELS, 3, 3))
        nn.init.xavier_uniform_(self.weight)
        self.alpha = nn.Parameter(torch.zeros(CHANNELS))

    def forward(self, x: Tensor) -> Tensor:
        top, left = (side % 2 for side in x.shape[2:])
        x = F.conv2d(F.pad(x, (left, 1, top, 1)), self.weight, stride=2)
        return prelu(x, self.alpha)


class RCAB(nn.Module):
    """Residual channel attention block (Zhang et al., ECCV 2018): (N, C, H, W) -> the same."""

    def __init__(self, *, reduction: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.first_alpha = nn.Parameter(torch.zeros(CHANNELS))
        self.second = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.squeeze = nn.Conv2d(CHANNELS, CHANNELS // reduction, 1)
        self.squeeze_alpha = nn.Parameter(torch.zeros(CHANNELS // reduction))
        self.excite = nn.Conv2d(CHANNELS // reduction, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.second(prelu(self.first(x), self.first_alpha))
        scale = prelu(self.squeeze(branch.mean((2, 3), keepdim=True)), self.squeeze_alpha)
        return x + branch * self.excite(scale).sigmoid()


class ConvLSTM(nn.Module):
    """One step from zero; see the module. (N, 32, H, W) -> (N, C, H, W).

    The kernels of the state and the forget gate, which cannot act, stay for the checkpoint.
    """

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs + channels, 4 * channels, 3, padding=1)
        self.inputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        gates = F.conv2d(x, self.conv.weight[:, : self.inputs], self.conv.bias, padding=1)
        i, j, _, o = gates.chunk(4, dim=1)
        return o.sigmoid() * (i.sigmoid() * j.tanh()).tanh()


class RMM(nn.Module):
    """Recurrent memory: x (or x with coarser maps added), the LSTM, and the sum with x."""

    def __init__(self, channels: int, *, squeezed: int = 32) -> None:
        super().__init__()
        self.enter = Deconv(CHANNELS, squeezed)
        self.lstm = ConvLSTM(squeezed, channels)
        self.leave = Deconv(channels)

    def forward(self, x: Tensor, coarser: Tensor | None = None) -> Tensor:
        joined = x if coarser is None else x + coarser
        return x + self.leave(self.lstm(self.enter(joined)))


class URAB(nn.Module):
    """U-shaped residual attention: blocks at half the size. (N, C, H, W) -> what is added."""

    def __init__(self, *, blocks: int) -> None:
        super().__init__()
        self.down = Halve()
        self.blocks = nn.Sequential(*(RCAB() for _ in range(blocks)))
        self.up = Deconv(2 * CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        short = self.down(x)
        joined = torch.cat([short, self.blocks(short)], dim=1)
        added: Tensor = self.up(joined, x.shape[2:])
        return added


class MSPFN(Rival):
    """Predicts the rain layer of pictures in -1..1, which is subtracted; see `Rival`.

    Channels are B, G, R inside, because the authors' data loader reads them in that order. Pictures
    are extended to multiples of 4 px by reflection.
    """

    NAMES: ClassVar[tuple[tuple[str, Replacement], ...]] = (
        (r"^enter\.(\d)\.", lambda m: f"rnn{2 ** int(m[1])}/"),
        (r"^memory\.(\d)\.lstm\.conv\.weight", r"residual_memory/LSTM\1/weights"),
        (r"^memory\.(\d)\.lstm\.conv\.bias", r"residual_memory/LSTM\1/biases"),
        (r"LSTM0", "lstm_group/convLSTM/LSTM_conv"),
        (r"LSTM(\d)", lambda m: f"lstm_group{2 ** int(m[1])}/convLSTM/LSTM_conv"),
        (r"^memory\.(\d)\.enter\.", lambda m: f"residual_memory/rain{_level(m[1])}_res1/"),
        (r"^memory\.(\d)\.leave\.", lambda m: f"residual_memory/rain{_level(m[1])}_res2/"),
        (r"^memory_up\.0\.", "residual_memory/upRMM4_2/"),
        (r"^memory_up\.1\.", "residual_memory/upRMM4_1/"),
        (r"^memory_up\.2\.", "residual_memory/upRMM2_1/"),
        (r"^coarse_up\.(\d+)\.0\.", r"URAB2_\1/upURAB4_2_\1/"),
        (r"^coarse_up\.(\d+)\.1\.", r"URAB_\1/upURAB4to1_\1/"),
        (r"^coarse_up\.(\d+)\.2\.", r"URAB_\1/upURAB2to1_\1/"),
        (
            r"^rounds\.(\d+)\.(\d)\.down\.",
            lambda m: f"URAB{_level(m[2])}_{m[1]}/down{_level(m[2])}_{int(m[1]) + 1}/",
        ),
        (
            r"^rounds\.(\d+)\.(\d)\.up\.",
            lambda m: f"URAB{_level(m[2])}_{m[1]}/up_{int(m[1]) + 1}/",
        ),
        (
            r"^rounds\.(\d+)\.(\d)\.blocks\.(\d)\.",
            lambda m: f"URAB{_level(m[2])}_{m[1]}/group_{int(m[1]) + 1}_RCAB{int(m[3]) + 1}/",
        ),
        (r"^reconstruct\.(\d)\.", lambda m: f"rnn_recon{_level(m[1])}/"),
        (r"^up\.0\.", "up4_2/"),
        (r"^up\.1\.", "up2_1/"),
        (r"^merge\.", "rnn5/"),
        (r"^leave\.", "rnn7/"),
        (r"first_alpha", "conv2d/alpha"),
        (r"squeeze_alpha", "conv2d_2/alpha"),
        (r"first\.", "conv2d/"),
        (r"second\.", "conv2d_1/"),
        (r"squeeze\.", "conv2d_2/"),
        (r"excite\.", "conv2d_3/"),
        (r"(conv2d\w*)/weight", r"\1/kernel"),
        (r"^", "generator/"),
    )

    def __init__(self, *, rounds: int = 17, blocks: Sequence[int] = (3, 3, 1)) -> None:
        super().__init__()
        self.enter = nn.ModuleList(Deconv(3) for _ in range(3))
        self.memory = nn.ModuleList(RMM(channels) for channels in (256, 128, 64))
        self.memory_up = nn.ModuleList(Deconv(CHANNELS) for _ in range(3))
        self.rounds = nn.ModuleList(
            nn.ModuleList(URAB(blocks=count) for count in blocks) for _ in range(rounds)
        )
        self.coarse_up = nn.ModuleList(
            nn.ModuleList(Deconv(CHANNELS) for _ in range(3)) for _ in range(rounds)
        )
        self.reconstruct = nn.ModuleList(Deconv(2 * CHANNELS) for _ in range(3))
        self.up = nn.ModuleList([Deconv(CHANNELS), Deconv(2 * CHANNELS)])
        self.merge = Deconv(2 * CHANNELS, 32)
        self.leave = Deconv(32, 3, activated=False)

    def forward(self, rainy: Tensor) -> Tensor:
        height, width = rainy.shape[2:]
        x = extend_to_multiples(2 * rainy.flip(1) - 1, MULTIPLE_PX)
        return rainy - self.rain_layer(x).flip(1)[:, :, :height, :width] / 2

    def rain_layer(self, rainy: Tensor) -> Tensor:
        """Predict the rain layer: (N, 3, H, W) in -1..1, H and W multiples of 4 -> the same."""
        pyramid = [rainy, F.avg_pool2d(rainy, 2), F.avg_pool2d(rainy, 4)]
        full, half, quarter = (enter(x) for enter, x in zip(self.enter, pyramid, strict=True))
        full_size, half_size = full.shape[2:], half.shape[2:]
        quarter = self.memory[2](quarter)
        raised = self.memory_up[0](quarter, half_size)
        half = self.memory[1](half, raised)
        raised = self.memory_up[1](raised, full_size)
        full = self.memory[0](full, raised + self.memory_up[2](half, full_size))
        remembered = (full, half, quarter)
        for attend, raise_to in zip(self.rounds, self.coarse_up, strict=True):
            at_full, at_half, at_quarter = cast("nn.ModuleList", attend)
            up_4_2, up_4_1, up_2_1 = cast("nn.ModuleList", raise_to)
            quarter = quarter + at_quarter(quarter)
            raised = up_4_2(quarter, half_size)
            half = half + at_half(half + raised)
            raised = up_4_1(raised, full_size)
            full = full + at_full(full + raised + up_2_1(half, full_size))
        full, half, quarter = (
            layer(torch.cat([x, before], dim=1))
            for layer, x, before in zip(
                self.reconstruct, (full, half, quarter), remembered, strict=True
            )
        )
        raised = self.up[0](quarter, half_size)
        raised = self.up[1](torch.cat([raised, half], dim=1), full_size)
        rain: Tensor = self.leave(self.merge(torch.cat([full, raised], dim=1)))
        return rain


class MSPFNBaseline(MSPFN):
    """The smaller network of the published weights (M17N1): one block of attention everywhere."""

    NAMES = (*MSPFN.NAMES, (r"URAB", "BCM"))

    def __init__(self, *, rounds: int = 17) -> None:
        super().__init__(rounds=rounds, blocks=(1, 1, 1))


def _level(index: str) -> str:
    """Return how the code names a scale: nothing, 2 or 4."""
    return ("", "2", "4")[int(index)]
