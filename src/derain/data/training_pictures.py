"""The pictures that crops are cut from, decoded when they are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from derain.data.clips import aligned_neighbours, neighbour_indices
from derain.data.pairs.file_names import is_picture
from derain.data.pairs.folder import PairFolder, select_pairs
from derain.data.pairs.pair import Image8, Pair, checked_size
from derain.data.pairs.pair_set import Problem
from derain.data.picture_cache import LazySequence, PictureCache
from derain.errors import DataError
from derain.files.messages import listing_error
from derain.files.paths import exists, is_folder

WHITE = 255
PATCH_PX = 15
MAX_WHITE_SHARE = 0.2
"""Share of white pixels in a square of PATCH_PX above which its rain cannot be measured."""
HALVE_ABOVE_PX = 1000
"""Backgrounds with a longer side are also kept at half size, so that crops show whole objects."""


@dataclass(frozen=True)
class PairCollection:
    """The pairs of one folder. All pictures are uint8 (H, W, 3)."""

    name: str
    weight: float
    """How often its pictures are drawn, relative to the other collections."""
    rainy: Sequence[Image8]
    clean: Sequence[Image8]
    layers: Sequence[Image8]
    """The rain layer of each pair; empty if the rain cannot be reused on other backgrounds."""
    problems: list[Problem] = field(default_factory=list)
    """Files of the folder without a pair."""
    pairs: list[Pair] = field(default_factory=list)
    """Paths of the pairs."""
    neighbours: Sequence[tuple[Image8, Image8]] = ()
    """Rainy frames before and after each pair of a clip, aligned with it; empty for pictures."""
    too_small: list[Path] = field(default_factory=list)
    """Rainy pictures of the pairs that were skipped, since no crop fits into them."""


@dataclass
class TrainingPictures:
    """Everything that crops are drawn from."""

    collections: list[PairCollection] = field(default_factory=list)
    backgrounds: Sequence[Image8] = ()
    """Rain-free pictures, uint8 (H, W, 3)."""
    streaks: Sequence[Image8] = ()
    """Streak masks, uint8 (H, W)."""
    too_small: list[Path] = field(default_factory=list)
    """Pictures that were skipped, since no crop fits into them."""
    hard: Sequence[Image8] = ()
    """Rain-free pictures that networks damage most easily, uint8 (H, W, 3)."""


def rain_layer(rainy: Image8, clean: Image8) -> Image8:
    """Estimate the light that rain added, rainy - clean, uint8 (H, W, 3); 0 where rain darkened.

    Where a channel of the rainy picture is clipped at white, the difference would show the
    background. The brightest channel replaces it, since added rain is grey. In patches that are
    white as a whole, such as skies, nothing can be measured. They are filled from the same layer,
    rotated by 180 degrees (which keeps the direction of the streaks) or mirrored.
    """
    light: Image8 = np.clip(rainy.astype(np.int16) - clean, 0, 255).astype(np.uint8)
    clipped = rainy == WHITE
    light = np.where(clipped, light.max(axis=2, keepdims=True), light)
    white = Image.fromarray((clipped.all(axis=2) * WHITE).astype(np.uint8))
    white_share = np.asarray(white.filter(ImageFilter.BoxBlur(PATCH_PX // 2)))
    unknown = white_share > WHITE * MAX_WHITE_SHARE
    missing, filled = unknown.copy(), light.copy()
    for mirrored in (np.s_[::-1, ::-1], np.s_[::-1], np.s_[:, ::-1]):
        fillable = missing & ~unknown[mirrored]
        filled[fillable] = light[mirrored][fillable]
        missing &= ~fillable
    return filled


def open_pairs(
    source: PairFolder,
    cache: PictureCache,
    *,
    with_layers: bool = True,
    with_neighbours: bool = False,
    is_aligned: bool = True,
    min_px: int = 0,
) -> PairCollection:
    """Return the pairs that `source` selects, which `cache` decodes when they are drawn.

    They have rain layers if both `with_layers` and `source.layers` are set, and neighbours if both
    `with_neighbours` and `source.clip` are; `is_aligned` aligns them. Pairs with a side below
    `min_px` are skipped; raises DataError if no other is left.
    """
    pair_set = select_pairs(source)
    too_small = [pair.rainy_path for pair in pair_set.pairs if min(pair.size_px) < min_px]
    pairs = [pair for pair in pair_set.pairs if min(pair.size_px) >= min_px]
    if not pairs:
        raise DataError(
            f"{source.folder}: all pairs are smaller than a crop of {min_px} px; "
            "lower data.crop_px, or leave the folder out"
        )
    rainy = LazySequence(pairs, cache.rainy)
    layers: Sequence[Image8] = ()
    if with_layers and source.layers:
        layers = LazySequence(pairs, partial(_cached_layer, cache))
    neighbours: Sequence[tuple[Image8, Image8]] = ()
    if with_neighbours and source.clip:
        triples = [
            (pair, pairs[before], pairs[after])
            for pair, (before, after) in zip(pairs, neighbour_indices(pairs), strict=True)
        ]
        neighbours = LazySequence(triples, partial(_cached_neighbours, cache, is_aligned))
    return PairCollection(
        name=source.folder,
        weight=source.weight,
        rainy=rainy,
        clean=LazySequence(pairs, cache.clean),
        layers=layers,
        problems=pair_set.problems,
        pairs=pairs,
        neighbours=neighbours,
        too_small=too_small,
    )


def _cached_layer(cache: PictureCache, pair: Pair) -> Image8:
    key = (pair.rainy_path, pair.clean_path, "layer")
    return cache.get(key, lambda: rain_layer(cache.rainy(pair), cache.clean(pair)))


def _cached_neighbours(
    cache: PictureCache, is_aligned: bool, triple: tuple[Pair, Pair, Pair]
) -> tuple[Image8, Image8]:
    """Return the neighbours of a pair from the pair itself and those before and after it."""

    def align_both() -> Image8:
        frames = LazySequence(triple, cache.rainy)
        own, before, after = map(triple.index, triple)  # a pair may be its own neighbour
        return np.stack(aligned_neighbours(frames, own, (before, after), is_aligned=is_aligned))

    first, second = cache.get((triple, is_aligned), align_both)
    return first, second


def open_pictures(
    folders: Iterable[str | Path],
    cache: PictureCache,
    *,
    exclude: Sequence[str] = (),
    min_px: int = 0,
    grey: bool = False,
) -> tuple[Sequence[Image8], list[Path]]:
    """Return the pictures of `folders`, subfolders not included, except stems in `exclude`.

    `cache` decodes them when they are drawn. Also returns the paths that are skipped because a
    side is below `min_px`. Large pictures are in the sequence a second time, at half size. Raises
    DataError for a missing folder, a folder without pictures, and a file whose header is not that
    of a picture.
    """
    items: list[tuple[Path, bool]] = []
    too_small: list[Path] = []
    for path in background_paths(folders, exclude=exclude):
        sides = checked_size(path)
        if min(sides) < min_px:
            too_small.append(path)
            continue
        items.append((path, False))
        if max(sides) > HALVE_ABOVE_PX and min(sides) // 2 >= min_px:
            items.append((path, True))
    return LazySequence(items, partial(_cached_picture, cache, grey)), too_small


def _cached_picture(cache: PictureCache, grey: bool, item: tuple[Path, bool]) -> Image8:
    path, is_halved = item
    return (cache.half_size if is_halved else cache.picture)(path, grey=grey)


def background_paths(folders: Iterable[str | Path], *, exclude: Sequence[str] = ()) -> list[Path]:
    """List the pictures of `folders` except stems in `exclude`; raises DataError as above."""
    paths = [path for folder in map(Path, folders) for path in _list_pictures(folder)]
    return [path for path in paths if path.stem not in exclude]


def unknown_stems(folders: Iterable[str | Path], names: Iterable[str]) -> list[str]:
    """Return the `names` that no picture of `folders` has as its stem, sorted."""
    return sorted(set(names) - {path.stem for path in background_paths(folders)})


def _list_pictures(folder: Path) -> list[Path]:
    if not is_folder(folder):
        reason = "is not a folder" if exists(folder) else "no such folder, or no access"
        raise DataError(f"{folder}: {reason}; name the folder that contains the pictures")
    try:
        paths = sorted(
            path for path in folder.iterdir() if is_picture(path) and path.name[0] != "."
        )
    except OSError as error:
        raise DataError(listing_error(error)) from error
    if not paths:
        raise DataError(
            f"{folder}: contains no pictures (subfolders are not searched); "
            "name the folders that contain them"
        )
    return paths
