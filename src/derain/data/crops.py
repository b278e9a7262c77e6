"""Training crops. Each depends on (seed, index) only, so that runs can repeat, resume and split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from derain import rain
from derain.data.augment import (
    Floats,
    cut_enlarged,
    draw_factor,
    flip,
    jitter_colour,
    jpeg,
    stretch,
    to_planes,
)
from derain.data.pairs.pair import Image8
from derain.data.picture_cache import concatenate
from derain.data.training_pictures import PairCollection, TrainingPictures
from derain.errors import DataError

MAX_WEIGHT = 1e6
SHARES = ("jpeg", "transpose", "jitter", "zoom", "downscale")
"""Fields of `CropMix` that are shares; the others are weights and one switch."""
Sides = tuple[Image8, Image8]
"""Rainy and clean, uint8 (crop_px, crop_px, 3)."""
LayersAndGains = tuple[Sequence[Image8], NDArray[np.float64]]
"""Rain layers or streak masks, and the gain of each piece to draw."""
RAIN_FREE_KINDS = ("rain_free", "hard")
MAX_ZOOM = 3.0
MAX_DOWNSCALE = 2.5


@dataclass(frozen=True)
class CropMix:
    """Kinds of crops and their augmentation.

    `pair` to `hard` are weights: how often each kind is drawn, relative to the others. `jpeg`
    and the fields after it are shares of crops, 0 to 1, except for the switch `flip`.
    """

    pair: float = 1.0
    """A published pair."""
    recombined: float = 0.0
    """The rain layer of a pair over another background."""
    streaks: float = 0.0
    """Streak masks over a background."""
    rendered: float = 0.0
    """Rain from `derain.rain.render`, with random parameters."""
    styled: float = 0.0
    """Rain from `derain.rain.render_style`, in a random style.
    Styles that need streak masks are drawn only if there are some."""
    rain_free: float = 0.0
    """No rain on either side: pictures that the network must not change."""
    hard: float = 0.0
    """The same, from the pictures that networks damage most easily (`derain data hard-crops`)."""
    jpeg: float = 0.0
    """Share of crops with a JPEG-compressed background and rainy side.
    The clean side of published pairs is not compressed."""
    flip: bool = True
    """True to mirror crops at random, horizontally and vertically."""
    transpose: float = 0.0
    """Share of crops that are transposed, so that rain falls sideways."""
    jitter: float = 0.0
    """Share of crops with other saturation, contrast and brightness, the same on both sides."""
    zoom: float = 0.0
    """Share of crops whose rain is enlarged up to threefold, as in photos of many megapixels."""
    downscale: float = 0.0
    """Share of backgrounds that are downscaled, to 40 % of their size or more.
    Published pairs are not downscaled."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= MAX_WEIGHT or (field.name in SHARES and value > 1):
                raise DataError(
                    f"mix.{field.name} = {value} is out of range; "
                    f"weights are 0 to {MAX_WEIGHT:g}, shares 0 to 1"
                )


@dataclass(frozen=True, eq=False)
class Draw:
    """The random numbers of a crop, and what was drawn from them before its pictures."""

    rng: np.random.Generator
    kind: str
    """A weight in `CropMix`."""
    is_compressed: bool
    """True to compress the background and the rainy side."""
    zoom: float
    """Factor by which the rain is enlarged."""

    @property
    def scale(self) -> float | None:
        """Scale of rendered rain; None for that of the picture."""
        return self.zoom if self.zoom > 1 else None


class Crops:
    """`crops[index] -> (rainy, clean)`, float32 (3, crop_px, crop_px) in 0..1, for any index >= 0.

    A map-style data set for `torch.utils.data` that does not import torch. It has no length, so a
    `DataLoader` needs a sampler, such as `sampler=range(1000)`. Raises DataError if there are no
    pictures for a kind of crop that `mix` contains.
    """

    def __init__(
        self, pictures: TrainingPictures, *, crop_px: int, mix: CropMix, seed: int
    ) -> None:
        self.pictures, self.crop_px, self.mix, self.seed = pictures, crop_px, mix, seed
        self.backgrounds: Sequence[Image8] = concatenate(
            [pictures.backgrounds, *(collection.clean for collection in pictures.collections)]
        )
        self.with_layers = [c for c in pictures.collections if c.layers]
        self.masks = rain.StreakMasks(pictures.streaks)
        self.styles = [
            name for name, style in rain.STYLES.items() if pictures.streaks or not style.needs_masks
        ]
        sources = {
            "pair": pictures.collections,
            "recombined": self.with_layers,
            "streaks": pictures.streaks,
            "rendered": self.backgrounds,
            "styled": self.backgrounds,
            "rain_free": self.backgrounds,
            "hard": pictures.hard,
        }
        weights = {
            kind: weight for kind, weight in asdict(mix).items() if kind in sources and weight
        }
        for kind in weights:
            if not sources[kind]:
                raise DataError(
                    f"mix.{kind}: the recipe names no pictures for this kind of crop; "
                    "add some or set it to 0"
                )
        if not weights:
            raise DataError("mix: every kind has weight 0; give at least one a positive weight")
        self.kinds = list(weights)
        self.probabilities = np.array(list(weights.values())) / sum(weights.values())

    def __getitem__(self, index: int) -> tuple[Floats, Floats]:
        draw = self._draw_kind(index)
        rng = draw.rng
        rainy, clean = getattr(self, f"_{draw.kind}")(draw)
        # the sides of rain-free crops are compressed already
        if draw.is_compressed and draw.kind not in RAIN_FREE_KINDS:
            rainy = jpeg(rainy, quality=int(rng.integers(75, 96)))
        rainy, clean = flip(
            rng,
            rainy,
            clean,
            mirror=self.mix.flip,
            transpose=rng.random() < self.mix.transpose,
        )
        sides = to_planes(rainy), to_planes(clean)
        return jitter_colour(rng, *sides) if rng.random() < self.mix.jitter else sides

    def _draw_kind(self, index: int) -> Draw:
        rng = np.random.default_rng([self.seed, index])
        kind = self.kinds[rng.choice(len(self.kinds), p=self.probabilities)]
        compress = rng.random() < self.mix.jpeg
        zoom = 1.0
        if self.mix.zoom and rng.random() < self.mix.zoom:
            zoom = draw_factor(rng, MAX_ZOOM)
        return Draw(rng, kind, compress, zoom)

    def _pair(self, draw: Draw) -> Sides:
        collection = draw_collection(draw.rng, self.pictures.collections)
        i = int(draw.rng.integers(len(collection.rainy)))
        rainy, clean = cut_enlarged(
            draw.rng, draw.zoom, collection.rainy[i], collection.clean[i], crop_px=self.crop_px
        )
        return rainy, clean

    def _recombined(self, draw: Draw) -> Sides:
        return self._add_light(draw, *self._draw_layers(draw.rng))

    def _streaks(self, draw: Draw) -> Sides:
        return self._add_light(draw, *self._draw_streaks(draw.rng))

    def _draw_layers(self, rng: np.random.Generator) -> LayersAndGains:
        """Draw a collection of rain layers, and the gains of one or two of them."""
        layers = draw_collection(rng, self.with_layers).layers
        return layers, rng.uniform(0.5, 1.3, 1 + int(rng.random() < 0.2))

    def _draw_streaks(self, rng: np.random.Generator) -> LayersAndGains:
        """Return the streak masks, and the gains of one to three of them."""
        return self.pictures.streaks, rng.uniform(0.3, 1.2, int(rng.integers(1, 4)))

    def _rendered(self, draw: Draw) -> Sides:
        clean, rng = self._background(draw), draw.rng
        return rain.render(clean, rain=rain.random(rng), seed=rng, scale=draw.scale), clean

    def _styled(self, draw: Draw) -> Sides:
        clean, rng = self._background(draw), draw.rng
        style = self.styles[int(rng.integers(len(self.styles)))]
        return rain.render_style_pair(
            clean, style=style, seed=rng, scale=draw.scale, masks=self.masks
        )

    def _rain_free(self, draw: Draw) -> Sides:
        clean = self._background(draw)
        return clean, clean

    def _hard(self, draw: Draw) -> Sides:
        clean = self._background(draw, self.pictures.hard)
        return clean, clean

    def _add_light(self, draw: Draw, layers: Sequence[Image8], gains: NDArray[np.float64]) -> Sides:
        """Draw a background and add random pieces of random layers, one for each of `gains`."""
        rng = draw.rng
        pieces = [
            stretch(rng, layers[int(rng.integers(len(layers)))], self.crop_px, zoom=draw.zoom)
            for _ in gains
        ]
        weighted = (np.float32(gain) * piece for gain, piece in zip(gains, pieces, strict=True))
        light = np.asarray(sum(weighted), np.float32)
        clean = self._background(draw)
        if light.ndim == 2:
            light = light[..., None]
        return np.clip(clean + light + 0.5, 0, 255).astype(np.uint8), clean

    def _background(self, draw: Draw, pictures: Sequence[Image8] | None = None) -> Image8:
        """Draw a crop of `pictures`, by default of a background.

        It is enlarged by at most `draw.zoom`: it may be sharper than the rain.
        """
        pictures = pictures or self.backgrounds
        clean = self._square(draw.rng, pictures, self.crop_px, zoom=draw.zoom)
        return jpeg(clean, quality=int(draw.rng.integers(60, 96))) if draw.is_compressed else clean

    def _square(
        self, rng: np.random.Generator, pictures: Sequence[Image8], side_px: int, *, zoom: float
    ) -> Image8:
        """Draw a square of a picture; it is enlarged by at most `zoom`, or downscaled.

        A picture that is too small for it is continued by its reflection.
        """
        image = reflect_to(side_px, pictures[int(rng.integers(len(pictures)))])
        scale = draw_factor(rng, zoom) if zoom > 1 else 1.0
        if self.mix.downscale and rng.random() < self.mix.downscale:
            largest = min(MAX_DOWNSCALE, min(image.shape[:2]) / side_px)
            scale = 1 / draw_factor(rng, largest)
        (square,) = cut_enlarged(rng, scale, image, crop_px=side_px)
        return square


def reflect_to(side_px: int, image: Image8) -> Image8:
    """Continue a picture by its reflection if a side is below `side_px`."""
    missing = side_px - min(image.shape[:2])
    if missing <= 0:
        return image
    margin = -(-missing // 2)
    return np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")


def draw_collection(
    rng: np.random.Generator, collections: Sequence[PairCollection]
) -> PairCollection:
    """Draw one collection by its weight."""
    weights = np.array([collection.weight for collection in collections])
    return collections[rng.choice(len(collections), p=weights / weights.sum())]
