"""HCT-FFN: two convolutional stages of experts around a stage of attention.

Chen, Pan, Lu, Fan and Li, "Hybrid CNN-Transformer Feature Fusion for Single Image Deraining", AAAI
2023, doi 10.1609/aaai.v37i1.25111. Sources: the method section of the paper, and the code at
https://github.com/cschenxiang/HCT-FFN.

Every stage is guided by the residue channel of the estimate before it (Li et al., CVPR 2018), which
is the largest minus the smallest of R, G and B: rain is grey, so that it cancels there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.rivals.rival import Rival, SqueezeExcitation, conv3x3, count_from_one, extend_to_side

WHITE = 255.0
"""White of the network: the published weights expect and return values in 0..255."""
MIN_SIDE_PX = 4
"""Reflection needs two pixels, the bands of the attention sixteen."""
BANDS, HEADS = 16, 8


class ReflectConv(nn.Conv2d):
    """A 3x3 convolution of concatenated maps, with reflection at the border, and a ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3)

    def forward(self, *maps: Tensor) -> Tensor:
        x = F.pad(torch.cat(maps, dim=1), (1, 1, 1, 1), mode="reflect")
        return super().forward(x).relu()


def entrance(channels: int) -> nn.Sequential:
    """Build the two convolutions that read a picture."""
    return nn.Sequential(ReflectConv(3, channels // 2), ReflectConv(channels // 2, channels))


class ResBlock(nn.Module):
    """x + SE(ReLU(Conv(ReLU(Conv(x))))): (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv3x3(channels, channels) for _ in range(2))
        self.se = SqueezeExcitation(channels, squeezed=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.se(self.convs[1](self.convs[0](x).relu()).relu())


class ResidueFeatures(nn.Module):
    """Features of the residue channel of a picture: (N, 3, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int, *, blocks: int) -> None:
        super().__init__()
        self.enter = entrance(channels)
        self.blocks = nn.Sequential(*(ResBlock(channels) for _ in range(blocks)))
        self.leave = conv3x3(channels, channels)

    def forward(self, picture: Tensor) -> Tensor:
        residue = picture.amax(1, keepdim=True) - picture.amin(1, keepdim=True)
        x = self.enter(residue.expand_as(picture))
        return (x + self.leave(self.blocks(x))).relu()


class PriorFusion(nn.Module):
    """Join features with those of the residue: twice (N, C, H, W) -> (N, C, H, W).

    The product of both gives a common attention A = sigmoid(q(x) k(prior)); each side becomes a
    weighted sum of itself and A times itself, with weights at each pixel.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = conv3x3(channels, channels)
        self.key = conv3x3(channels, channels)
        self.mix = nn.ModuleList(conv3x3(2 * channels, 2) for _ in range(2))
        self.fuse = ReflectConv(2 * channels, channels)

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        attention = (self.query(x) * self.key(prior)).sigmoid()
        sides = []
        for side, mix in zip((x, prior), self.mix, strict=True):
            own, attended = mix(torch.cat([side, side * attention], dim=1)).chunk(2, dim=1)
            sides.append(side * own + side * attention * attended)
        return self.fuse(*sides)


class Expert(nn.Sequential):
    """Depthwise and 1x1 convolutions without bias, `repeats` times with a ReLU between."""

    def __init__(self, channels: int, size: int, *, dilation: int = 1, repeats: int = 1) -> None:
        layers: list[nn.Module] = []
        for _ in range(repeats):
            depthwise = nn.Conv2d(
                channels, channels, size, 1, dilation * (size // 2), dilation, channels, bias=False
            )
            layers += [depthwise, nn.Conv2d(channels, channels, 1, bias=False), nn.ReLU()]
        super().__init__(*layers[:-1])


class ExpertLayer(nn.Module):
    """Eight experts, weighted by (N, 8), and a 1x1 convolution that joins them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(
            [
                *(Expert(channels, size, repeats=2) for size in (1, 3, 5, 7)),
                *(Expert(channels, size, dilation=2) for size in (3, 5, 7)),
                nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
            ]
        )
        self.join = nn.Conv2d(len(self.experts) * channels, channels, 1, bias=False)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        scales = weights[:, :, None, None, None].unbind(1)
        opinions = [expert(x) * scale for expert, scale in zip(self.experts, scales, strict=True)]
        return (x + self.join(torch.cat(opinions, dim=1)).relu()).relu()


class DaMoE(nn.Module):
    """Degradation-aware mixture of experts: twice (N, C, H, W) -> (N, C, H, W).

    A gate weights the experts of all layers from the means of the channels.
    """

    def __init__(self, channels: int, *, layers: int = 4, experts: int = 8) -> None:
        super().__init__()
        self.prior = PriorFusion(channels)
        n = layers * experts
        self.gate = nn.Sequential(nn.Linear(channels, 2 * n), nn.ReLU(), nn.Linear(2 * n, n))
        self.enter = nn.Conv2d(channels, channels, 1, bias=False)
        self.layers = nn.ModuleList(ExpertLayer(channels) for _ in range(layers))

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        x = self.prior(x, prior)
        weights = self.gate(x.mean((2, 3))).view(len(x), len(self.layers), -1).softmax(-1)
        x = self.enter(x).relu()
        for index, layer in enumerate(self.layers):
            x = layer(x, weights[:, index])
        return x


class BandAttention(nn.Module):
    """Multi-head attention within bands of the picture: (N, H W, D) -> (N, H W, D).

    A band holds a sixteenth of the pixels, row by row; the rest of the division is one more band.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = (dim // HEADS) ** -0.5  # of the width before the reduction
        self.reduce = nn.Linear(dim, dim // 2, bias=False)
        self.qkv = nn.Linear(dim // 2, 3 * (dim // 2), bias=False)
        self.proj = nn.Linear(dim // 2, dim)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(self.reduce(x)).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        bands = qkv.split(x.shape[1] // BANDS, dim=3)
        attended = [F.scaled_dot_product_attention(q, k, v, scale=self.scale) for q, k, v in bands]
        return self.proj(torch.cat(attended, dim=2).transpose(1, 2).flatten(2))


class BaViT(nn.Module):
    """Background-aware transformer: one block, applied three times to all 3x3 patches.

    Twice (N, C, H, W) -> (N, C, H, W)
    """

    def __init__(self, channels: int, *, repeats: int = 3) -> None:
        super().__init__()
        dim = 9 * channels
        self.repeats = repeats
        self.prior = PriorFusion(channels)
        self.norm1 = nn.LayerNorm(dim)
        self.attention = BandAttention(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, dim // 4), nn.ReLU(), nn.Linear(dim // 4, dim))
        self.leave = conv3x3(channels, channels)

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        x = self.prior(x, prior)
        patches = F.unfold(x, 3, padding=1).transpose(1, 2)
        for _ in range(self.repeats):
            patches = patches + self.attention(self.norm1(patches))
            patches = patches + self.mlp(self.norm2(patches))
        return self.leave(F.fold(patches.transpose(1, 2), x.shape[2:], 3, padding=1))


class HCTFFN(Rival):
    """DaMoE, BaViT, DaMoE, each with features of the stages before; see `Rival`."""

    NAMES = (
        (r"^enter\.(\d)", count_from_one("conv_init{}.conv")),
        (r"^leave\.(\d)", count_from_one("output{}")),
        (r"^join\.(\d)", count_from_one("ag{}.conv")),
        (r"^fuse\.0", "ag2_en.conv"),
        (r"^fuse\.1", "ag_en.conv"),
        (r"^residues\.(\d)", count_from_one("res_extra{}")),
        (r"(?<=res_extra\d)\.enter\.(\d)", count_from_one(".conv_init{}.conv")),
        (r"(?<=res_extra\d)\.blocks", ".extra.module_body"),
        (r"(?<=res_extra\d)\.leave", ".extra.module_body.3"),
        (r"\.convs\.(\d)", lambda m: f".module_body.{2 * int(m[1])}"),
        (r"\.squeeze", ".fc.0"),
        (r"\.excite", ".fc.2"),
        (r"^stages\.(\d)", count_from_one("sub{}")),
        (r"\.prior\.(query|key)", r".prior.\1_conv"),
        (r"\.mix\.(\d)", count_from_one(".gamma{}")),
        (r"\.prior\.fuse", ".fuse_res.conv"),
        (r"\.layers\.(\d)\.experts\.(\d)", r".layers.1._ops.\1._ops.\2.op"),
        (r"\.layers\.(\d)\.join", r".layers.1._ops.\1._out.0"),
        (r"\.gate", ".layers.0.ca_fc"),
        (r"(?<=sub\d)\.enter", ".layers.1.preprocess.op.0"),
        (r"\.attention\.", ".attention.atten."),
        (r"(?<=sub\d)\.norm", ".attention.norm"),
        (r"\.mlp\.(\d)", lambda m: f".attention.mlp.fc{1 + int(m[1]) // 2}"),
        (r"(?<=sub\d)\.leave", ".c2"),
    )
    UNUSED = r"\.ins\.(weight|bias)$"
    """Normalisations that the code builds and skips."""

    def __init__(self, *, channels: int = 32, blocks: int = 3) -> None:
        super().__init__()
        self.enter = entrance(channels)
        self.residues = nn.ModuleList(ResidueFeatures(channels, blocks=blocks) for _ in range(3))
        self.stages = nn.ModuleList([DaMoE(channels), BaViT(channels), DaMoE(channels)])
        self.leave = nn.ModuleList(conv3x3(channels, 3) for _ in range(3))
        self.join = nn.ModuleList(ReflectConv(n * channels, channels) for n in (2, 3))
        self.fuse = nn.ModuleList(ReflectConv(n * channels, channels) for n in (2, 3))

    def forward(self, rainy: Tensor) -> Tensor:
        return self.outputs(rainy)[0]

    def outputs(self, rainy: Tensor) -> list[Tensor]:
        """Return the estimate of every stage, each (N, 3, H, W), the last one first."""
        height, width = rainy.shape[2:]
        x = WHITE * extend_to_side(rainy, MIN_SIDE_PX)
        shallow = self.enter(x)
        first = self.stages[0](shallow, self.residues[0](x))
        estimates = [self.leave[0](first)]
        second = self.stages[1](self.join[0](first, shallow), self.residues[1](estimates[0]))
        estimates.append(self.leave[1](self.fuse[0](second, first)))
        third = self.stages[2](self.join[1](second, first, shallow), self.residues[2](estimates[1]))
        estimates.append(self.leave[2](self.fuse[1](third, second, first)))
        return [estimate[:, :, :height, :width] / WHITE for estimate in reversed(estimates)]
