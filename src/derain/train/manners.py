"""The discriminative manners of Table 1: what a discriminator is shown, and where it judges.

| manner | content | judged at |
|---|---|---|
| `mcddl`, ours | the generator's features | every side layer |
| `content-final` | the generator's features | the last layer |
| `deep-image` | nothing but the picture (Zhu et al., AAAI 2019) | every side layer |
| `msg-gan` | the pictures of the generator's heads (Karnewar and Wang, CVPR 2020) | the last layer |
| `classical` | nothing but the picture | the last layer |

A manner that judges at the last layer alone has that layer's weight mu_4 of equation (12): our reading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from derain.errors import RecipeError
from derain.network.configuration import LEVELS, PLNLINConfiguration
from derain.network.discriminator import Discriminator
from derain.network.generator import GeneratorOutput
from derain.train.losses import pyramid


@dataclass(frozen=True)
class Manner:
    """One row of Table 1."""

    discriminator: Callable[[PLNLINConfiguration], nn.Module]
    """(image, content) -> score maps, of every side layer or of the last alone."""
    of_restored: Callable[[GeneratorOutput], list[Tensor]]
    """The content that belongs to a restored picture, from full resolution down; empty where there is none."""
    of_clean: Callable[[nn.Module, Tensor, bool], list[Tensor]]
    """The content that belongs to a clean picture, (N, 3, H, W), given the generator, and whether it has a gradient for that."""


class FinalLayerOnly(nn.Module):
    """A discriminator that judges at its last layer only."""

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        discriminator.score = nn.ModuleList(
            [*(NoScore() for _ in range(LEVELS - 1)), discriminator.score[-1]]
        )
        self.discriminator = discriminator

    def forward(self, image: Tensor, content: Sequence[Tensor]) -> list[Tensor]:
        """A list of the one score map."""
        scores: list[Tensor] = self.discriminator(image, content)
        return scores[-1:]


class NoScore(nn.Module):
    """Stands where nothing is judged."""

    def forward(self, x: Tensor) -> Tensor:
        """No score: an empty tensor."""
        return x[:, :0]


class ImageOnly(Discriminator):
    """A discriminator that is shown no content: each side layer has what the one before hands down."""

    def __init__(self, configuration: PLNLINConfiguration) -> None:
        super().__init__(configuration, content_channels=(0,) * LEVELS)

    def forward(self, image: Tensor, content: Sequence[Tensor]) -> list[Tensor]:
        """`content` is empty."""
        empty = [
            image.new_zeros(len(image), 0, image.shape[2] >> k, image.shape[3] >> k)
            for k in range(LEVELS)
        ]
        return super().forward(image, empty)


class ImagePyramidDiscriminator(Discriminator):
    """A discriminator that is shown a picture at each level in the place of features."""

    def __init__(self, configuration: PLNLINConfiguration) -> None:
        super().__init__(configuration, content_channels=(3,) * LEVELS)


def rain_free_features(
    generator: nn.Module, clean: Tensor, with_gradient: bool = False
) -> list[Tensor]:
    """F_H of the clean picture: rain-free features come from the generator fed with it (section 3.3).

    They are computed as those of the rainy picture are, by the same kernels: under `no_grad` PyTorch's operations would round
    otherwise, and a discriminator would see it.
    """
    features: list[Tensor] = generator.hierarchy(clean).features  # type: ignore[operator]
    return features if with_gradient else [content.detach() for content in features]


def _features(made: GeneratorOutput) -> list[Tensor]:
    return made.features


def _pictures(made: GeneratorOutput) -> list[Tensor]:
    return made.scales


def _none(*_: object) -> list[Tensor]:
    return []


MANNERS = {
    "mcddl": Manner(Discriminator, _features, rain_free_features),
    "content-final": Manner(
        lambda c: FinalLayerOnly(Discriminator(c)), _features, rain_free_features
    ),
    "deep-image": Manner(ImageOnly, _none, _none),
    "msg-gan": Manner(
        lambda c: FinalLayerOnly(ImagePyramidDiscriminator(c)),
        _pictures,
        lambda _, clean, __: pyramid(clean, levels=LEVELS),
    ),
    "classical": Manner(lambda c: FinalLayerOnly(ImageOnly(c)), _none, _none),
}


def get_manner(name: str) -> Manner:
    """The manner of that name. Raises RecipeError, which lists the names."""
    if name not in MANNERS:
        raise RecipeError(
            f"adversarial.manner = {name!r} is not known; choose one of {', '.join(MANNERS)}"
        )
    return MANNERS[name]
