"""Training crops: each a function of (seed, index) and nothing else, so that runs repeat, resume and split over processes."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain import rain
from derain.data.pairs.pair import Image8
from derain.data.training_pictures import PairCollection, TrainingPictures
from derain.errors import DataError

Layer = NDArray[np.float32]

MAX_WEIGHT = 1e6
SHARES = (
    "jpeg",
    "transpose",
    "jitter",
    "zoom",
    "downscale",
)  # of `Mix`; what else is in it are weights and a switch
LARGEST_ZOOM, LARGEST_REDUCTION = 3.0, 2.5
MAX_LEAN = 0.25
"""Tangent of the angle by which a piece of a rain layer is made to lean."""


@dataclass(frozen=True)
class CropMix:
    """How often each kind of crop is drawn, relative to the others; `jpeg` and what follows it are shares of all, 0 to 1."""

    pair: float = 1.0
    """A pair as it was published."""
    recombined: float = 0.0
    """The rain layer of a pair over another background."""
    streaks: float = 0.0
    """Streak masks over a background."""
    rendered: float = 0.0
    """Rain that `derain.rain` draws, of a random kind."""
    rain_free: float = 0.0
    """No rain: what the network must leave alone."""
    jpeg: float = 0.0
    """Share of the crops whose background and rainy picture are JPEG-compressed (published pairs keep their clean side)."""
    flip: bool = True
    """Whether crops are mirrored at random, left to right and top to bottom."""
    transpose: float = 0.0
    """Share of the crops that are transposed, so that rain falls sideways."""
    jitter: float = 0.0
    """Share of the crops whose saturation, contrast and brightness are changed, on both sides alike."""
    zoom: float = 0.0
    """Share of the crops whose rain is enlarged, up to threefold, as a photo of many megapixels has it."""
    downscale: float = 0.0
    """Share of the backgrounds, those of published pairs apart, that are reduced, down to two fifths of their size."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= MAX_WEIGHT or (field.name in SHARES and value > 1):
                raise DataError(
                    f"mix.{field.name} = {value} is out of range; a weight is 0 to {MAX_WEIGHT:g}, a share at most 1"
                )


class Crops:
    """`crops[index] -> (rainy, clean)`, float32 (3, crop_px, crop_px) in 0..1; indices never end.

    A map-style data set for `torch.utils.data`, without torch. Raises DataError if a kind that `mix` asks for has no source.
    """

    def __init__(self, sources: TrainingPictures, *, crop_px: int, mix: CropMix, seed: int) -> None:
        self.sources, self.crop_px, self.mix, self.seed = sources, crop_px, mix, seed
        self.backgrounds = [
            *sources.backgrounds,
            *(clean for c in sources.collections for clean in c.clean),
        ]
        self.layered = [c for c in sources.collections if c.layers]
        missing = {
            "pair": not sources.collections,
            "recombined": not self.layered,
            "streaks": not sources.streaks,
            "rendered": not self.backgrounds,
            "rain_free": not self.backgrounds,
        }
        weights = {
            kind: weight for kind, weight in asdict(mix).items() if kind in missing and weight
        }
        for kind in weights:
            if missing[kind]:
                raise DataError(
                    f"mix.{kind}: the recipe names no pictures to draw it from; add them or set it to 0"
                )
        if not weights:
            raise DataError("mix: every kind has weight 0; give at least one a positive weight")
        self.kinds = list(weights)
        self.shares = np.array(list(weights.values())) / sum(weights.values())

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rng = np.random.default_rng([self.seed, index])
        kind = self.kinds[rng.choice(len(self.kinds), p=self.shares)]
        compress = rng.random() < self.mix.jpeg
        zoom = (
            enlargement(rng, LARGEST_ZOOM)
            if self.mix.zoom and rng.random() < self.mix.zoom
            else 1.0
        )
        rainy, clean = getattr(self, f"_{kind}")(rng, compress, zoom)
        if (
            compress and kind != "rain_free"
        ):  # whose rainy side is the clean one, which is compressed already
            rainy = jpeg(rainy, quality=int(rng.integers(75, 96)))
        sides = flip(
            rng, rainy, clean, flip=self.mix.flip, transpose=rng.random() < self.mix.transpose
        )
        return jitter_colour(rng, *sides) if rng.random() < self.mix.jitter else sides

    def _pair(self, rng: np.random.Generator, compress: bool, zoom: float) -> tuple[Image8, Image8]:
        collection = drawn(rng, self.sources.collections)
        i = rng.integers(len(collection.rainy))
        rainy, clean = self._enlarged(rng, zoom, collection.rainy[i], collection.clean[i])
        return rainy, clean

    def _recombined(
        self, rng: np.random.Generator, compress: bool, zoom: float
    ) -> tuple[Image8, Image8]:
        collection = drawn(rng, self.layered)
        gains = rng.uniform(0.5, 1.3, 1 + int(rng.random() < 0.2))
        return self._lit(rng, self._light(rng, collection.layers, gains, zoom), compress, zoom)

    def _streaks(
        self, rng: np.random.Generator, compress: bool, zoom: float
    ) -> tuple[Image8, Image8]:
        gains = rng.uniform(0.3, 1.2, int(rng.integers(1, 4)))
        return self._lit(rng, self._light(rng, self.sources.streaks, gains, zoom), compress, zoom)

    def _rendered(
        self, rng: np.random.Generator, compress: bool, zoom: float
    ) -> tuple[Image8, Image8]:
        clean = self._background(rng, compress, zoom)
        rainy = rain.render(
            clean, rain=rain.random(rng), seed=rng, scale=zoom if zoom > 1 else None
        )
        return rainy, clean

    def _rain_free(
        self, rng: np.random.Generator, compress: bool, zoom: float
    ) -> tuple[Image8, Image8]:
        clean = self._background(rng, compress, zoom)
        return clean, clean

    def _light(
        self,
        rng: np.random.Generator,
        layers: Sequence[Image8],
        gains: NDArray[np.float64],
        zoom: float,
    ) -> Layer:
        """Return the sum of a piece of a random layer for each of `gains`, times that."""
        pieces = [
            stretch(rng, layers[int(rng.integers(len(layers)))], self.crop_px, zoom=zoom)
            for _ in gains
        ]
        return np.asarray(
            sum(np.float32(gain) * piece for gain, piece in zip(gains, pieces, strict=True)),
            np.float32,
        )

    def _lit(
        self, rng: np.random.Generator, light: Layer, compress: bool, zoom: float
    ) -> tuple[Image8, Image8]:
        clean = self._background(rng, compress, zoom)
        rainy = np.clip(
            clean + (light if light.ndim == 3 else light[..., None]) + 0.5, 0, 255
        ).astype(np.uint8)
        return rainy, clean

    def _background(self, rng: np.random.Generator, compress: bool, zoom: float) -> Image8:
        """Return a background, which may be sharper than the rain before it: enlarged by `zoom` or less, or reduced."""
        image = self.backgrounds[rng.integers(len(self.backgrounds))]
        scale = enlargement(rng, zoom) if zoom > 1 else 1.0
        if self.mix.downscale and rng.random() < self.mix.downscale:
            scale = 1 / enlargement(
                rng, min(LARGEST_REDUCTION, min(image.shape[:2]) / self.crop_px)
            )
        (clean,) = self._enlarged(rng, scale, image)
        return jpeg(clean, quality=int(rng.integers(60, 96))) if compress else clean

    def _enlarged(
        self, rng: np.random.Generator, zoom: float, *images: Image8
    ) -> tuple[Image8, ...]:
        """Cut the same random square out of each of `images`, and make it `zoom` times as large, `crop_px`."""
        side = round(self.crop_px / zoom)
        return tuple(
            resized(piece, self.crop_px, self.crop_px) for piece in cut(rng, side, side, *images)
        )


def drawn(rng: np.random.Generator, collections: Sequence[PairCollection]) -> PairCollection:
    """Draw one collection by weight."""
    weights = np.array([collection.weight for collection in collections])
    return collections[rng.choice(len(collections), p=weights / weights.sum())]


def cut(rng: np.random.Generator, height: int, width: int, *images: Image8) -> tuple[Image8, ...]:
    """Cut the same random rectangle out of each of `images`, which have one size."""
    top, left = (
        rng.integers(whole - side + 1)
        for whole, side in zip(images[0].shape, (height, width), strict=False)
    )
    return tuple(image[top : top + height, left : left + width] for image in images)


def enlargement(rng: np.random.Generator, largest: float) -> float:
    """Draw a factor from 1 to `largest`, by its logarithm."""
    return math.exp(rng.uniform(0, math.log(largest)))


def stretch(rng: np.random.Generator, layer: Image8, crop_px: int, *, zoom: float = 1.0) -> Layer:
    """Cut a piece out of a rain layer and make it a square of `crop_px`, so that no two crops have the same rain.

    The piece has 0.7 to 1.4 times `crop_px / zoom` each way. Half of the pieces are mirrored, and half lean over by up to 14
    degrees more, to either side.
    """
    lean = rng.uniform(-MAX_LEAN, MAX_LEAN) if rng.random() < 0.5 else 0.0
    height, width = crop_px / zoom * rng.uniform(0.7, 1.4, 2) * (1, 1 + abs(lean))
    (piece,) = cut(
        rng, min(round(height), layer.shape[0]), min(round(width), layer.shape[1]), layer
    )
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    piece = resized(piece, crop_px, round(crop_px * (1 + abs(lean))), Image.Resampling.BILINEAR)
    return (leaning(piece, crop_px, lean) if lean else piece).astype(np.float32)


def leaning(piece: Image8, crop_px: int, lean: float) -> Image8:
    """Shift each row by `lean` times its distance from the first, (crop_px, crop_px * (1 + |lean|)) -> (crop_px, crop_px)."""
    image = Image.fromarray(piece)
    rows = (
        1,
        lean,
        max(0.0, -lean) * crop_px,
        0,
        1,
        0,
    )  # x and y in `piece` of a pixel, as factors of its own x and y
    return np.asarray(
        image.transform((crop_px, crop_px), Image.Transform.AFFINE, rows, Image.Resampling.BILINEAR)
    )


def resized(
    image: Image8, height: int, width: int, filter: Image.Resampling = Image.Resampling.BICUBIC
) -> Image8:
    """Return a picture of another size; itself if that is its own."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((width, height), filter))


def jpeg(image: Image8, *, quality: int) -> Image8:
    """Return what is left of `image` after JPEG compression."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as compressed:
        return np.asarray(compressed.convert("RGB"))


def flip(
    rng: np.random.Generator, rainy: Image8, clean: Image8, *, flip: bool, transpose: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mirror both crops alike at random, if asked to, and transpose them; (H, W, 3) uint8 -> (3, H, W) float32 in 0..1."""
    across, down = (
        slice(None, None, int(step)) for step in (rng.choice([1, -1], 2) if flip else (1, 1))
    )

    def turn(image: Image8) -> NDArray[np.float32]:
        image = image[down, across].transpose((2, 1, 0) if transpose else (2, 0, 1))
        return np.ascontiguousarray(image, dtype=np.float32) / np.float32(255)

    return turn(rainy), turn(clean)


def jitter_colour(
    rng: np.random.Generator, rainy: NDArray[np.float32], clean: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Change saturation, contrast and brightness of both sides alike at random; (3, H, W) in 0..1, clipped there."""
    saturation, contrast = np.exp(rng.uniform(np.log([0.4, 0.6]), np.log([2.5, 2.0]))).astype(
        np.float32
    )
    brightness = np.float32(rng.uniform(-0.1, 0.1))

    def change(side: NDArray[np.float32]) -> NDArray[np.float32]:
        grey = side.mean(axis=0, keepdims=True)
        changed: NDArray[np.float32] = (
            (grey + saturation * (side - grey) - 0.5) * contrast + 0.5 + brightness
        )
        return np.asarray(changed.clip(0, 1), np.float32)

    return change(rainy), change(clean)
