"""PLNLIM: convolution and window attention that inform each other stage by stage (section 3.2)."""

from __future__ import annotations

from torch import Tensor, nn

from derain.network.blocks import SFT, Fusion, ResidualBlock
from derain.network.configuration import PLNLINConfiguration
from derain.network.swin import SwinBlock


class PLNLIM(nn.Module):
    """Progressive local and non-local interactive module, equations (2) to (6).

    (N, C, H, W) -> (N, C, H, W) for any H and W.
    """

    def __init__(self, channels: int, *, stages: int, configuration: PLNLINConfiguration) -> None:
        super().__init__()

        def sft() -> SFT:
            return SFT(channels, bounded=configuration.bounded_sft)

        # one local and one non-local unit for each stage, and one each for the end (equation 6)
        self.local = nn.ModuleList(ResidualBlock(channels) for _ in range(stages + 1))
        self.nonlocal_ = nn.ModuleList(
            swin_block(channels, i, configuration) for i in range(stages + 1)
        )
        self.to_local = nn.ModuleList(sft() for _ in range(stages - 1))
        self.to_nonlocal = nn.ModuleList(sft() for _ in range(stages - 1))
        self.fusion = nn.ModuleList(
            Fusion((2 if i == 0 else 3) * channels, channels) for i in range(stages)
        )
        self.end = Fusion(3 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        local, nonlocal_ = self.local[0](x), self.nonlocal_[0](x)  # equation (2)
        fusion = self.fusion[0](local, nonlocal_)  # equation (3)
        stages = zip(
            self.local[1:-1],
            self.nonlocal_[1:-1],
            self.to_local,
            self.to_nonlocal,
            self.fusion[1:],
            strict=True,
        )
        for rb, stb, to_local, to_nonlocal, fuse in stages:
            # equations (4) and (5); both interactions read the state before this stage
            local, nonlocal_ = rb(to_local(local, nonlocal_)), stb(to_nonlocal(nonlocal_, local))
            fusion = fuse(fusion, local, nonlocal_)
        end = self.end(fusion, local, nonlocal_)
        return self.local[-1](local) + self.nonlocal_[-1](nonlocal_) + end  # equation (6)


def swin_block(channels: int, index: int, configuration: PLNLINConfiguration) -> SwinBlock:
    """Build the Swin block at position `index` of a sequence; every second one is shifted."""
    return SwinBlock(
        channels,
        window_px=configuration.window_px,
        shift_px=configuration.shift_px if index % 2 else 0,
        heads=configuration.attention_heads,
        mlp_ratio=configuration.mlp_ratio,
    )
