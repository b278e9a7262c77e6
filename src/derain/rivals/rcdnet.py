"""RCDNet: proximal gradient steps for rain that is a sum of kernels times rain maps.

Wang, Xie, Zhao and Meng, "A Model-Driven Deep Neural Network for Single Image Rain Removal", CVPR
2020, arXiv 2005.01333. Sources: sections 3 and 4 of the paper, and the code at
https://github.com/hongwang01/RCDNet.

The model of a rainy picture is O = B + sum_n C_n * M_n, with rain kernels C and rain maps M. Stage
s unrolls one step for each unknown (equations 13 and 14):

    M = prox_M(M - eta_1 C^T * (C * M + B - O)),   B = prox_B(B - eta_2 (B + C * M - O))

Both proximal operators are residual networks. B carries dual channels Z along, which start as a
filter of the picture. The first stage has M = 0 and thresholds the residual instead.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.rivals.rival import Rival, conv3x3

WHITE = 255.0
"""White of the network."""
KERNEL_PX = 9
SPEED = 0.1
"""Factor of all kernels and step sizes, which the code divides by ten."""


class ResBlock(nn.Module):
    """ReLU(x + BN(Conv(ReLU(BN(Conv(x)))))): (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.first_norm = conv3x3(channels, channels), nn.BatchNorm2d(channels)
        self.second, self.second_norm = conv3x3(channels, channels), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.first_norm(self.first(x)).relu()
        return F.relu(x + self.second_norm(self.second(branch)))


class ProxB(nn.Sequential):
    """prox_B: four residual blocks on the picture and its dual channels."""

    def __init__(self, channels: int) -> None:
        super().__init__(*(ResBlock(channels) for _ in range(4)))


class ProxM(nn.Module):
    """prox_M: four residual blocks on the rain maps, and a threshold for each map."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(ResBlock(maps) for _ in range(4)))
        self.threshold = nn.Parameter(torch.full((1, maps, 1, 1), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.blocks(x) - self.threshold)


class RCDNet(Rival):
    """Seventeen stages, whose last estimate one more prox_B refines; see `Rival`."""

    NAMES = (
        (r"^enter\.", "xnet."),
        (r"^leave\.", "fxnet."),
        (r"^prox_b\.", "x_stage."),
        (r"^prox_m\.", "m_stage."),
        (r"^((?:xnet|fxnet|x_stage\.\d+)\.)(\d)", lambda m: f"{m[1]}resx{int(m[2]) + 1}"),
        (r"^(m_stage\.\d+\.)blocks\.(\d)", lambda m: f"{m[1]}resm{int(m[2]) + 1}"),
        (r"\.first\.", ".0."),
        (r"\.first_norm\.", ".1."),
        (r"\.second\.", ".3."),
        (r"\.second_norm\.", ".4."),
        (r"\.threshold", ".tau"),
        (r"^first_threshold", "tau"),
        (r"^first_kernels", "weight0"),
        (r"^kernels", "conv"),
        (r"^dual_filter", "w_z_f"),
        (r"^first_step", "eta2"),
        (r"^steps_m", "eta11"),
        (r"^steps_b", "eta12"),
    )
    UNUSED = r"^(mnet\.|eta1$)"
    """An operator and a step size of the initialisation that the code builds and skips."""

    def __init__(self, *, stages: int = 17, maps: int = 32, dual: int = 32) -> None:
        super().__init__()
        shape = (3, maps, KERNEL_PX, KERNEL_PX)
        self.first_kernels = nn.Parameter(torch.randn(shape) / KERNEL_PX)
        # one copy for each stage, of which the code reads the second in every stage
        self.kernels = nn.Parameter(self.first_kernels.detach().expand(stages - 1, *shape).clone())
        self.dual_filter = nn.Parameter(torch.full((dual, 3, 3, 3), 1 / 9))
        self.first_threshold = nn.Parameter(torch.ones(1))
        self.first_step = nn.Parameter(torch.full((1,), 5.0))
        self.steps_m = nn.Parameter(torch.ones(stages - 1, 1))
        self.steps_b = nn.Parameter(torch.full((stages - 1, 1), 5.0))
        self.enter = ProxB(3 + dual)
        self.prox_b = nn.ModuleList(ProxB(3 + dual) for _ in range(stages))
        self.prox_m = nn.ModuleList(ProxM(maps) for _ in range(stages))
        self.leave = ProxB(3 + dual)

    def forward(self, rainy: Tensor) -> Tensor:
        return self.outputs(rainy)[0]

    def outputs(self, rainy: Tensor) -> list[Tensor]:
        """Return the result, the estimates of B from the first on, and O - C * M of every stage."""
        observed = WHITE * rainy
        kernels = SPEED * self.kernels[1]
        dual = F.conv2d(observed, self.dual_filter, padding=1)
        b, z = self._split(self.enter(torch.cat([observed, dual], dim=1)))
        backgrounds, without_rain = [b], []
        excess = F.relu(observed - b - self.first_threshold)
        maps = _correlate(excess, SPEED * self.first_kernels)
        steps_b = SPEED * torch.cat([self.first_step[None], self.steps_b])
        for stage, (prox_b, prox_m) in enumerate(zip(self.prox_b, self.prox_m, strict=True)):
            maps = prox_m(maps)
            rain = F.conv2d(maps, kernels, padding=KERNEL_PX // 2)
            without_rain.append(observed - rain)
            moved = b - steps_b[stage] * (b - without_rain[-1])
            refined = prox_b(torch.cat([moved, z], dim=1))
            b, z = self._split(refined)
            backgrounds.append(b)
            if stage < len(self.steps_m):
                gradient = _correlate(rain + b - observed, kernels)
                maps = maps - SPEED * self.steps_m[stage] * gradient
        result = self._split(self.leave(refined))[0]
        return [picture / WHITE for picture in (result, *backgrounds, *without_rain)]

    @staticmethod
    def _split(x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, :3], x[:, 3:]


def _correlate(x: Tensor, kernels: Tensor) -> Tensor:
    """Apply C^T: (N, 3, H, W) -> a value for each rain map, (N, M, H, W)."""
    return F.conv_transpose2d(x, kernels, padding=KERNEL_PX // 2)
