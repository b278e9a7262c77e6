"""The discriminator of MCDDL: it sees the generator's own features at every level (section 3.3, equation 7)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.network.configuration import PLNLINConfiguration
from derain.network.variants import get_unit

STAGES = 2  # N of every PLNLIM of the discriminator


class Discriminator(nn.Module):
    """Scores a picture together with the content that the generator made of it, at each side layer.

    `image` (N, 3, H, W) in 0..1 and `features`, F_H of each level (N, C_k, H / 2 ** (k - 1), W / 2 ** (k - 1)) -> a map of logits
    (N, 1, H_k, W_k) for each level, high where the pair looks rain-free. `configuration` is the generator's;
    `content_channels` are those of `features`, the generator's own unless a variant shows something else.

    The generator's features are normalised (docs/network.md): it makes those of the clean picture too, so that its step towards
    what scores high moves both sides alike, and would go on without end.
    """

    def __init__(
        self, configuration: PLNLINConfiguration, *, content_channels: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        channels = configuration.critic_channels

        def module(c: int) -> nn.Module:
            return get_unit(configuration.discriminator_unit)(
                c, stages=STAGES, configuration=configuration
            )

        above = (channels[0], *channels[:-1])  # what the layer before hands down
        self.enter = nn.Conv2d(3, channels[0], 3, padding=1)
        self.image = module(channels[0])
        self.normalises = content_channels is None and configuration.normalised_content
        content = configuration.channels if content_channels is None else content_channels
        joins = zip(content, above, channels, strict=True)
        self.join = nn.ModuleList(
            nn.Conv2d(shown + handed, c, 3, padding=1) for shown, handed, c in joins
        )
        self.side = nn.ModuleList(module(c) for c in channels)
        self.score = nn.ModuleList(nn.Conv2d(c, 1, 3, padding=1) for c in channels)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch declares it of tensors only

    def forward(self, image: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        x = self.image(
            self.enter(image.contiguous(memory_format=torch.channels_last))
        )  # F_D^1, the layer j = 0 of the text
        scores = []
        for join, side, score, content in zip(
            self.join, self.side, self.score, features, strict=True
        ):
            x = side(
                join(torch.cat([normalised(content) if self.normalises else content, x], dim=1))
            )
            scores.append(score(x))
            x = F.max_pool2d(x, 2)
        return scores


def normalised(features: Tensor) -> Tensor:
    """Divided by the root of the mean square over the channels at each pixel: (N, C, H, W) -> the same."""
    channels_last = features.permute(0, 2, 3, 1)
    return F.rms_norm(channels_last, channels_last.shape[-1:], eps=1e-5).permute(0, 3, 1, 2)
