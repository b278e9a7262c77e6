"""PRN and PReNet: one shallow network, applied stage after stage.

Ren, Zuo, Hu, Zhu and Meng, "Progressive Image Deraining Networks: A Better and Simpler Baseline",
CVPR 2019, arXiv 1901.09221. Sources: sections 3.1 and 3.2 of the paper, and the code at
https://github.com/csdwren/PReNet.

With the rainy picture y and the estimate x of the stage before (x = y at first), stage t computes

    PRN:     x' = f_in(x, y),                          x = y + f_out(f_res(x'))
    PReNet:  x' = f_in(x, y), s = f_recurrent(s, x'),  x = y + f_out(f_res(s))

The paper writes x = f_out(...); its final models learn the residual, and add y.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.rivals.rival import Rival, conv3x3, count_from_one


class ResBlock(nn.Module):
    """A residual block with a ReLU after each convolution and after the sum.

    ReLU(x + ReLU(Conv(ReLU(Conv(x))))): (N, C, H, W) -> (N, C, H, W)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv3x3(channels, channels)
        self.second = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + F.relu(self.second(F.relu(self.first(x)))))


class ConvLSTM(nn.Module):
    """f_recurrent: an LSTM with convolutions as products (Shi et al., NeurIPS 2015), no peepholes.

    c = f * c + i * g, h = o * tanh(c). The gates i, f and o are sigmoids of convolutions of [x, h],
    g is a tanh of one. (N, C, H, W) and the states (h, c) -> the states (h, c)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = conv3x3(2 * channels, channels)
        self.forget = conv3x3(2 * channels, channels)
        self.cell = conv3x3(2 * channels, channels)
        self.output = conv3x3(2 * channels, channels)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        both = torch.cat([x, h], dim=1)
        kept = self.forget(both).sigmoid() * c
        c = kept + self.input(both).sigmoid() * self.cell(both).tanh()
        return self.output(both).sigmoid() * c.tanh(), c


class PReNet(Rival):
    """A progressive network; see `Rival` for the contract.

    `recurrent` passes an LSTM's state from stage to stage (PReNet), `recursive` uses one residual
    block five times instead of five blocks (PRN_r, PReNet_r).
    """

    NAMES = (
        (r"^f_in", "conv0.0"),
        (r"^f_out", "conv.0"),
        (r"^f_recurrent\.input", "conv_i.0"),
        (r"^f_recurrent\.forget", "conv_f.0"),
        (r"^f_recurrent\.cell", "conv_g.0"),
        (r"^f_recurrent\.output", "conv_o.0"),
        (r"^f_res\.(\d)\.first", count_from_one("res_conv{}.0")),
        (r"^f_res\.(\d)\.second", count_from_one("res_conv{}.2")),
    )
    BYTES_PER_PX = 3200

    def __init__(
        self,
        *,
        recurrent: bool = True,
        recursive: bool = False,
        stages: int = 6,
        blocks: int = 5,
        channels: int = 32,
    ) -> None:
        super().__init__()
        self.stages = stages
        self.repeats = blocks if recursive else 1
        self.f_in = conv3x3(6, channels)
        self.f_recurrent = ConvLSTM(channels) if recurrent else None
        self.f_res = nn.Sequential(*(ResBlock(channels) for _ in range(1 if recursive else blocks)))
        self.f_out = conv3x3(channels, 3)

    def forward(self, rainy: Tensor) -> Tensor:
        return self.restore_in_stages(rainy)[-1]

    def restore_in_stages(self, rainy: Tensor) -> list[Tensor]:
        """Return the estimate of every stage, each (N, 3, H, W), for losses on all of them."""
        estimates = [rainy]
        h = c = rainy.new_zeros(len(rainy), self.f_in.out_channels, *rainy.shape[2:])
        for _ in range(self.stages):
            x = F.relu(self.f_in(torch.cat([rainy, estimates[-1]], dim=1)))
            if self.f_recurrent is not None:
                x, c = self.f_recurrent(x, h, c)
                h = x
            for _ in range(self.repeats):
                x = self.f_res(x)
            estimates.append(rainy + self.f_out(x))
        return estimates[1:]
