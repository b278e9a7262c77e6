"""The pictures and crops that a recipe names, and warnings about them."""

from __future__ import annotations

from collections.abc import Iterator

from derain.data.clip_crops import ClipCrops
from derain.data.crops import Crops
from derain.data.pairs.pair import Pair
from derain.data.pairs.pair_set import Problem
from derain.data.picture_cache import PictureCache
from derain.data.training_pictures import (
    TrainingPictures,
    background_paths,
    open_pairs,
    open_pictures,
    unknown_stems,
)
from derain.train.recipe import Data, Recipe
from derain.train.shared_pictures import shared_background_warnings, shared_pair_warnings


def open_training_pictures(recipe: Recipe) -> TrainingPictures:
    """Return all pictures that the recipe names, with neighbours for a network for clips."""
    data, machine = recipe.data, recipe.machine
    cache = PictureCache(machine.cache_mib / max(1, machine.workers))
    min_px, with_layers = data.crop_px, data.mix.recombined > 0
    collections = [
        open_pairs(
            pairs,
            cache,
            with_layers=with_layers,
            with_neighbours=recipe.network.frames > 1 and data.mix.pair > 0,
            is_aligned=data.aligned,
            min_px=min_px,
        )
        for pairs in data.pairs
    ]
    backgrounds, small = open_pictures(data.backgrounds, cache, exclude=data.exclude, min_px=min_px)
    streaks, small_streaks = open_pictures(data.streaks, cache, min_px=min_px, grey=True)
    hard, small_hard = open_pictures(data.hard, cache, min_px=min_px)
    small_pairs = [path for collection in collections for path in collection.too_small]
    too_small = [*small_pairs, *small, *small_streaks, *small_hard]
    return TrainingPictures(collections, backgrounds, streaks, too_small, hard)


def make_crops(recipe: Recipe, pictures: TrainingPictures) -> Crops:
    """Return the crops of a recipe: of three frames for a network for clips."""
    data = recipe.data
    if recipe.network.frames == 1:
        return Crops(pictures, crop_px=data.crop_px, mix=data.mix, seed=recipe.seed)
    return ClipCrops(
        pictures,
        crop_px=data.crop_px,
        mix=data.mix,
        seed=recipe.seed,
        is_aligned=data.aligned,
    )


def data_warnings(
    data: Data,
    pictures: TrainingPictures,
    pairs: list[tuple[str, Pair]],
    problems: dict[str, list[Problem]],
) -> Iterator[str]:
    """Yield warnings: small pictures, unpaired files, unused exclusions, shared validation data.

    `pairs` are the validation pairs, `problems` the unpaired files of their folders.
    """
    if small := pictures.too_small:
        yield (
            f"{len(small)} pictures are smaller than a crop of {data.crop_px} px and are skipped, "
            f"the first: {small[0]}"
        )
    collections = pictures.collections
    unpaired = [(c.name, c.problems) for c in collections] + list(problems.items())
    for name, files in unpaired:
        if files:
            yield (
                f"{name}: {len(files)} files have no counterpart and are skipped, the first: "
                f"{files[0]}; `derain data check` lists all"
            )
    if unknown := unknown_stems(data.backgrounds, data.exclude):
        yield (
            f"data.exclude: {len(unknown)} of {len(data.exclude)} names are not those of a "
            f"background, the first: {unknown[0]}; check their spelling"
        )
    trained = [(c.name, c.pairs) for c in collections]
    rain_free = {
        "data.backgrounds": background_paths(data.backgrounds, exclude=data.exclude),
        "data.hard": background_paths(data.hard),
    }
    for shared in [
        *shared_pair_warnings(trained, pairs),
        *shared_background_warnings(rain_free, pairs),
    ]:
        yield f"{shared}; exclude them from one of the two, or the scores are not meaningful"
