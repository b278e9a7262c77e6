"""Training crops of three frames, of published clips and of still pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from derain import rain
from derain.data.augment import (
    Floats,
    cut_enlarged,
    flip,
    jitter_colour,
    jpeg,
    stretch_alike,
    to_planes,
)
from derain.data.camera import MARGIN_PX, random_path, see, undo
from derain.data.crops import RAIN_FREE_KINDS, CropMix, Crops, Draw, draw_collection
from derain.data.pairs.pair import Image8
from derain.data.training_pictures import TrainingPictures
from derain.errors import DataError

NOISE_SHARE, MAX_NOISE_LEVELS = 0.3, 4.0
"""Share of the clips with sensor noise, and its largest standard deviation, in levels of 255."""
OBJECT_SHARE = 0.3
"""Share of the clips with an object that moves on its own."""
OBJECT_PX = (16, 56)
MAX_OBJECT_SPEED_PX = 16.0
REPLACED_SHARE = 0.15
"""Share of the clips without one neighbour, or without both in a third of them, as at a cut. The
other neighbour takes its place, or the centre frame."""
AddRain = Callable[[list[Image8]], list[Image8]]
"""Adds rain to three views of one scene, other drops to each."""


@dataclass(frozen=True, eq=False)
class FrameCrop:
    """Three frames, uint8 (S, S, 3) each, and the clean side of the centre frame."""

    before: Image8
    centre: Image8
    after: Image8
    clean: Image8


class ClipCrops(Crops):
    """`crops[index] -> (rainy, clean)`: float32 (9, S, S) and (3, S, S) in 0..1, S = crop_px.

    The channels of `rainy` are R, G, B of the frame before, the centre frame and the frame after.
    Neighbours are aligned with the centre frame as when a clip is restored, with errors such as
    alignment leaves; without `is_aligned` they stay where the camera saw them.
    """

    def __init__(
        self,
        pictures: TrainingPictures,
        *,
        crop_px: int,
        mix: CropMix,
        seed: int,
        is_aligned: bool = True,
    ) -> None:
        super().__init__(pictures, crop_px=crop_px, mix=mix, seed=seed)
        self.is_aligned = is_aligned
        self.clips = [c for c in pictures.collections if c.neighbours]
        if mix.pair and not self.clips:
            raise DataError(
                "mix.pair: no folder of pairs is a clip; add `clip = true` to those with frames "
                "of clips, or set mix.pair to 0"
            )
        if mix.styled:
            raise DataError(
                "mix.styled: a style draws single pictures; set it to 0 for a network for clips"
            )

    def __getitem__(self, index: int) -> tuple[Floats, Floats]:
        draw = self._draw_kind(index)
        rng = draw.rng
        crop = self._of_clip(draw) if draw.kind == "pair" else self._of_still(draw)
        frames, clean = flip(
            rng,
            np.concatenate([crop.before, crop.centre, crop.after], axis=2),
            crop.clean,
            mirror=self.mix.flip,
            transpose=rng.random() < self.mix.transpose,
        )
        sides = to_planes(frames), to_planes(clean)
        if rng.random() >= self.mix.jitter:
            return sides
        by_frame, clean_side = jitter_colour(rng, sides[0].reshape(3, *sides[1].shape), sides[1])
        return by_frame.reshape(sides[0].shape), clean_side

    def _of_clip(self, draw: Draw) -> FrameCrop:
        """Cut a crop out of a published clip, which was aligned when it was loaded."""
        collection = draw_collection(draw.rng, self.clips)
        i = int(draw.rng.integers(len(collection.rainy)))
        before, after = collection.neighbours[i]
        return FrameCrop(
            *cut_enlarged(
                draw.rng,
                draw.zoom,
                before,
                collection.rainy[i],
                after,
                collection.clean[i],
                crop_px=self.crop_px,
            )
        )

    def _of_still(self, draw: Draw) -> FrameCrop:
        """Film a still picture with a moving camera, in rain of a kind."""
        rng = draw.rng
        pictures = self.pictures.hard if draw.kind == "hard" else self.backgrounds
        scene = self._scene(rng, pictures, draw.zoom)
        path = random_path(rng)
        views = [see(scene, path.before), scene, see(scene, path.after)]
        places = self._add_object(rng, views) if rng.random() < OBJECT_SHARE else None
        if rng.random() < NOISE_SHARE:
            views = add_noise(rng, views)
        if draw.is_compressed:
            quality = int(rng.integers(60, 96))
            views = [jpeg(view, quality=quality) for view in views]
        rainy = self._rain(draw)(views)
        if draw.is_compressed and draw.kind not in RAIN_FREE_KINDS:
            quality = int(rng.integers(75, 96))
            rainy = [jpeg(view, quality=quality) for view in rainy]
        middle = np.s_[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
        centre, clean = rainy[1][middle], views[1][middle]
        neighbours = []
        for view, motion in ((rainy[0], path.before), (rainy[2], path.after)):
            if not self.is_aligned:
                neighbours.append(view[middle])
                continue
            neighbour = undo(view, motion, rng=rng, crop_px=self.crop_px)
            if places is not None and rng.random() < 0.7:
                neighbour = replace_object(neighbour, centre, places[middle])
            neighbours.append(neighbour)
        if self.is_aligned and rng.random() < REPLACED_SHARE:
            missing = int(rng.integers(3))
            if missing < 2:
                neighbours[missing] = neighbours[1 - missing]
            else:
                neighbours = [centre, centre]
        return FrameCrop(neighbours[0], centre, neighbours[1], clean)

    def _scene(self, rng: np.random.Generator, pictures: Sequence[Image8], zoom: float) -> Image8:
        """Draw a square of a background with a margin."""
        return self._square(rng, pictures, self.crop_px + 2 * MARGIN_PX, zoom=zoom)

    def _rain(self, draw: Draw) -> AddRain:
        """Return a function that adds rain of the drawn kind."""
        rng = draw.rng
        if draw.kind == "rendered":
            drawn = rain.random_for_shutter(rng)
            return lambda views: rain.render_frames(views, rain=drawn, seed=rng, scale=draw.scale)
        if draw.kind == "recombined":
            layers, gains = self._draw_layers(rng)
        elif draw.kind == "streaks":
            layers, gains = self._draw_streaks(rng)
        else:
            return lambda views: views

        def add(views: list[Image8]) -> list[Image8]:
            light = np.zeros((len(views), *views[0].shape), np.float32)
            for gain in gains:
                layer = layers[int(rng.integers(len(layers)))]
                pieces = stretch_alike(rng, layer, len(light[0]), zoom=draw.zoom, count=len(views))
                for frame, piece in zip(light, pieces, strict=True):
                    frame += np.float32(gain) * (piece if piece.ndim == 3 else piece[..., None])
            return [
                np.clip(view + frame + 0.5, 0, 255).astype(np.uint8)
                for view, frame in zip(views, light, strict=True)
            ]

        return add

    def _add_object(self, rng: np.random.Generator, views: list[Image8]) -> Image8:
        """Paste an object, a piece of another background, that moves from view to view.

        Returns a mask of all its places, (S, S), 255 inside.
        """
        height, width = rng.integers(*OBJECT_PX, 2)
        piece = self._scene(rng, self.backgrounds, 1.0)[:height, :width]
        rows, columns = np.mgrid[-1 : 1 : 4j * height, -1 : 1 : 4j * width]
        disc = Image.fromarray(((rows**2 + columns**2 < 1) * 255).astype(np.uint8))
        shape = disc.resize((int(width), int(height)), Image.Resampling.BOX)
        places = Image.new("L", views[0].shape[1::-1])
        start = rng.uniform(0, len(views[0]) - np.array([width, height]))
        speed = rng.uniform(-MAX_OBJECT_SPEED_PX, MAX_OBJECT_SPEED_PX, 2)
        for index, view in enumerate(views):
            left, top = (int(v) for v in np.rint(start + (index - 1) * speed))
            image = Image.fromarray(view)
            image.paste(Image.fromarray(piece), (left, top), shape)
            places.paste(255, (left, top), shape)
            views[index] = np.asarray(image)
        return np.asarray(places)


def add_noise(rng: np.random.Generator, views: Sequence[Image8]) -> list[Image8]:
    """Add the noise of a sensor. It stays on the clean side too, since it is not rain."""
    deviation = rng.uniform(0.5, MAX_NOISE_LEVELS)
    return [
        np.clip(view + rng.normal(0, deviation, view.shape) + 0.5, 0, 255).astype(np.uint8)
        for view in views
    ]


def replace_object(neighbour: Image8, centre: Image8, places: Image8) -> Image8:
    """Replace the surroundings of a moving object by the centre frame, as alignment does."""
    grown = Image.fromarray(places).filter(ImageFilter.BoxBlur(6))
    weight = np.minimum(np.asarray(grown, np.float32) / 64, 1)[..., None]
    blend = neighbour + weight * (centre.astype(np.float32) - neighbour)
    return np.asarray(blend + np.float32(0.5), np.uint8)
