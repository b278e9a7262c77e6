"""PLNLIN: the U-shaped generator with hierarchical heads (section 3.1, equations 10 and 11)."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.network.configuration import LEVELS, PLNLINConfiguration
from derain.network.variants import get_unit


class GeneratorOutput(NamedTuple):
    """Output of a generator with its heads.

    Index k - 1 holds level k, at 1 / (unshuffle * 2 ** (k - 1)) of the picture's size.
    """

    restored: Tensor
    """(N, 3, H, W)"""
    features: list[Tensor]
    """F_H of each level, (N, C_k, H_k, W_k): the discriminator's content (equation 7)."""
    scales: list[Tensor]
    """Output of each level's head, (N, 3, H_k, W_k) (equation 11)."""


class HierarchicalHead(nn.Module):
    """The head of one level (equation 11), which only training needs.

    F_H = PLNLIM(Conv3x3(cat[E, D])) and its picture Conv3x3(F_H):
    (N, C, H, W), (N, C, H, W) -> (N, C, H, W), (N, 3, H, W)
    """

    def __init__(self, channels: int, *, configuration: PLNLINConfiguration) -> None:
        super().__init__()
        self.join = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.module = get_unit(configuration.unit)(
            channels, stages=configuration.head_stages, configuration=configuration
        )
        self.picture = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, encoded: Tensor, decoded: Tensor) -> tuple[Tensor, Tensor]:
        features = self.module(self.join(torch.cat([encoded, decoded], dim=1)))
        return features, self.picture(features)


class PLNLIN(nn.Module):
    """Restore a rainy picture, or the centre frame of several.

    (N, 3 * frames, H, W) in 0..1 -> (N, 3, H, W), not clamped, for any H and W >= 1. Frames follow
    each other in the order of time, each as R, G, B. Sides that are not
    multiples of `configuration.multiple_px` are extended by reflection at the right and at the
    bottom, and the result is cropped. Any floating-point dtype.
    """

    def __init__(self, configuration: PLNLINConfiguration) -> None:
        super().__init__()
        self.configuration = configuration
        channels, stages = configuration.channels, configuration.stages

        def modules() -> nn.ModuleList:
            unit = get_unit(configuration.unit)
            return nn.ModuleList(
                unit(c, stages=n, configuration=configuration)
                for c, n in zip(channels, stages, strict=True)
            )

        self.enter = nn.Conv2d(
            configuration.frames * configuration.picture_channels, channels[0], 3, padding=1
        )
        self.encoder, self.decoder = modules(), modules()
        self.down = nn.ModuleList(
            nn.Conv2d(shallow, deep, 3, stride=2, padding=1) for shallow, deep in pairwise(channels)
        )
        self.up = nn.ModuleList(
            nn.Conv2d(deep, shallow, 3, padding=1) for shallow, deep in pairwise(channels)
        )
        self.join = nn.ModuleList(nn.Conv2d(2 * c, c, 3, padding=1) for c in channels[:-1])
        self.leave = nn.Conv2d(channels[0], configuration.picture_channels, 3, padding=1)
        self.heads = nn.ModuleList(
            HierarchicalHead(c, configuration=configuration) for c in channels
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs

    def forward(self, rainy: Tensor) -> Tensor:
        """Restore a picture of any size, without computing the heads."""
        height, width = rainy.shape[-2:]
        padded = reflect_to_multiple(rainy, self.configuration.multiple_px)
        _, decoded = self.encode_decode(padded)
        restored = padded[:, self.configuration.centre] + self.change(decoded[0])
        return restored[..., :height, :width]

    def forward_with_heads(self, rainy: Tensor) -> GeneratorOutput:
        """Return all outputs that training needs.

        H and W must be multiples of `configuration.multiple_px`.
        """
        encoded, decoded = self.encode_decode(rainy)
        heads = [head(e, d) for head, e, d in zip(self.heads, encoded, decoded, strict=True)]
        return GeneratorOutput(
            restored=rainy[:, self.configuration.centre] + self.change(decoded[0]),
            features=[features for features, _ in heads],
            scales=[picture for _, picture in heads],
        )

    def encode_decode(self, rainy: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Compute E_1..E_4 and D_1..D_4, each (N, C_k, H_k, W_k), from (N, 3 * frames, H, W)."""
        x = F.pixel_unshuffle(rainy, self.configuration.unshuffle)
        x = self.enter(x.contiguous(memory_format=torch.channels_last))
        encoded = [self.encoder[0](x)]
        for down, module in zip(self.down, self.encoder[1:], strict=True):
            encoded.append(module(down(encoded[-1])))
        decoded = [self.decoder[-1](encoded[-1])]
        for k in reversed(range(LEVELS - 1)):
            partner = encoded[k]
            up = self.up[k](F.interpolate(decoded[0], size=partner.shape[-2:], mode="nearest"))
            decoded.insert(0, self.decoder[k](self.join[k](torch.cat([partner, up], dim=1))))
        return encoded, decoded

    def change(self, decoded: Tensor) -> Tensor:
        """Compute from D_1 what is added to the rainy picture, (N, 3, H, W)."""
        return F.pixel_shuffle(self.leave(decoded), self.configuration.unshuffle)


def reflect_to_multiple(x: Tensor, multiple_px: int) -> Tensor:
    """Extend (N, C, H, W) by reflection until both sides are multiples of `multiple_px`.

    Pixels are added at the right and at the bottom. The reflection repeats if necessary. It is done
    by index because `F.pad` cannot reflect a picture that is smaller than its padding.
    """
    height, width = x.shape[-2:]
    rows = reflected(height, height + -height % multiple_px, device=x.device)
    columns = reflected(width, width + -width % multiple_px, device=x.device)
    return x[:, :, rows][:, :, :, columns]


def reflected(size: int, padded: int, *, device: torch.device) -> Tensor:
    """Return the source index, 0..size-1, of each of `padded` positions: (padded,).

    Positions are mirrored about the last and the first pixel.
    """
    period = max(2 * (size - 1), 1)
    position = torch.arange(padded, device=device) % period
    return torch.minimum(position, (period - position) % period)
