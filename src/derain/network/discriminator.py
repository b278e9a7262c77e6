"""The discriminator of MCDDL, which sees the generator's features at every level.

Section 3.3, equation (7).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.network.configuration import PLNLINConfiguration
from derain.network.variants import get_unit

STAGES = 2
"""N of every PLNLIM of the discriminator."""


class Discriminator(nn.Module):
    """Score a picture together with the generator's content for it, at each side layer.

    `image` (N, 3, H, W) in 0..1 and `features`, F_H of each level (N, C_k, H_k, W_k), give a map of
    logits (N, 1, H_k, W_k) for each level, high where the pair looks rain-free. `configuration` is
    the generator's; its `unshuffle` applies to the picture here too. `content_channels` are those
    of `features`, by default the generator's.

    The generator's features are normalised (docs/network.md). It computes those of the clean
    picture too, so that a step towards a higher score moves both sides alike and would repeat
    without end.
    """

    def __init__(
        self, configuration: PLNLINConfiguration, *, content_channels: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        channels = configuration.effective_discriminator_channels

        def module(c: int) -> nn.Module:
            unit = get_unit(configuration.discriminator_unit)
            return unit(c, stages=STAGES, configuration=configuration)

        self.unshuffle = configuration.unshuffle
        self.enter = nn.Conv2d(configuration.picture_channels, channels[0], 3, padding=1)
        self.image = module(channels[0])
        self.normalises = content_channels is None and configuration.normalised_content
        content = configuration.channels if content_channels is None else content_channels
        above = (channels[0], *channels[:-1])  # channels of the layer before
        joins = zip(content, above, channels, strict=True)
        self.join = nn.ModuleList(
            nn.Conv2d(own + before, c, 3, padding=1) for own, before, c in joins
        )
        self.side = nn.ModuleList(module(c) for c in channels)
        self.score = nn.ModuleList(nn.Conv2d(c, 1, 3, padding=1) for c in channels)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs

    def forward(self, image: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        x = F.pixel_unshuffle(image, self.unshuffle).contiguous(memory_format=torch.channels_last)
        x = self.image(self.enter(x))  # F_D^1, the layer j = 0 of the text
        scores = []
        layers = zip(self.join, self.side, self.score, features, strict=True)
        for join, side, score, content in layers:
            if self.normalises:
                content = normalised(content)
            x = side(join(torch.cat([content, x], dim=1)))
            scores.append(score(x))
            x = F.max_pool2d(x, 2)
        return scores


def normalised(features: Tensor) -> Tensor:
    """Divide each pixel by the root mean square of its channels, (N, C, H, W)."""
    channels_last = features.permute(0, 2, 3, 1)
    return F.rms_norm(channels_last, channels_last.shape[-1:], eps=1e-5).permute(0, 3, 1, 2)
