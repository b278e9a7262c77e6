"""The discriminative manners of Table 1: what a discriminator sees, and where it judges.

| manner | content | judges at |
|---|---|---|
| `mcddl`, ours | the generator's features | every side layer |
| `content-final` | the generator's features | the last layer |
| `deep-image` | none, only the picture (Zhu et al., AAAI 2019) | every side layer |
| `msg-gan` | pictures of the generator's heads (Karnewar and Wang, CVPR 2020) | the last layer |
| `classical` | none, only the picture | the last layer |

A manner that judges only at the last layer uses that layer's weight, mu_4 of equation (12). This is
our reading.
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
    """Builds (image, content) -> score maps, of every side layer or only of the last."""
    restored_content: Callable[[GeneratorOutput], list[Tensor]]
    """Returns the content of a restored picture, from full resolution down; empty if there is
    none."""
    clean_content: Callable[[nn.Module, Tensor, bool], list[Tensor]]
    """Returns the content of a clean picture, (N, 3, H, W).
    Takes the generator, the picture, and whether the content has a gradient for the generator."""


class FinalLayerOnly(nn.Module):
    """A discriminator that judges only at its last layer.

    (N, 3, H, W), content -> list of one score map
    """

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        discriminator.score = nn.ModuleList(
            [*(NoScore() for _ in range(LEVELS - 1)), discriminator.score[-1]]
        )
        self.discriminator = discriminator

    def forward(self, image: Tensor, content: Sequence[Tensor]) -> list[Tensor]:
        """Return a list of one score map."""
        scores: list[Tensor] = self.discriminator(image, content)
        return scores[-1:]


class NoScore(nn.Module):
    """A placeholder for layers that do not judge."""

    def forward(self, x: Tensor) -> Tensor:
        """Return an empty tensor."""
        return x[:, :0]


class ImageOnly(Discriminator):
    """A discriminator without content: each side layer sees only the output of the one before."""

    def __init__(self, configuration: PLNLINConfiguration) -> None:
        super().__init__(configuration, content_channels=(0,) * LEVELS)

    def forward(self, image: Tensor, content: Sequence[Tensor]) -> list[Tensor]:
        """Return the score maps. `content` is ignored."""
        height, width = (side // self.unshuffle for side in image.shape[2:])
        empty = [image.new_zeros(len(image), 0, height >> k, width >> k) for k in range(LEVELS)]
        return super().forward(image, empty)


class ImagePyramidDiscriminator(Discriminator):
    """A discriminator that sees a picture at each level instead of features."""

    def __init__(self, configuration: PLNLINConfiguration) -> None:
        super().__init__(configuration, content_channels=(3,) * LEVELS)


def rain_free_features(
    generator: nn.Module, clean: Tensor, with_gradient: bool = False
) -> list[Tensor]:
    """Return F_H of the clean picture: the generator's own features of it (section 3.3).

    They are computed with gradients enabled, like those of the rainy picture, so that the same
    kernels compute both. Under `no_grad` PyTorch's operations would round differently, and a
    discriminator would notice.
    """
    features: list[Tensor] = generator.forward_with_heads(clean).features  # type: ignore[operator]
    return features if with_gradient else [content.detach() for content in features]


def _features(output: GeneratorOutput) -> list[Tensor]:
    return output.features


def _pictures(output: GeneratorOutput) -> list[Tensor]:
    return output.scales


def _clean_pyramid(generator: nn.Module, clean: Tensor, _: bool) -> list[Tensor]:
    largest: int = generator.configuration.unshuffle  # type: ignore[union-attr,assignment]
    return pyramid(clean, levels=LEVELS, largest=largest)


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
        _clean_pyramid,
    ),
    "classical": Manner(lambda c: FinalLayerOnly(ImageOnly(c)), _none, _none),
}


def get_manner(name: str) -> Manner:
    """Return the manner of that name. Raises RecipeError, which lists the names."""
    if name not in MANNERS:
        raise RecipeError(
            f"adversarial.manner = {name!r} is unknown; choose one of {', '.join(MANNERS)}"
        )
    return MANNERS[name]
