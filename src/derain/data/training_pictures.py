"""The pictures that crops are cut from, decoded once and kept in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from derain.data.clips import aligned_neighbours, neighbour_indices
from derain.data.pairs.file_names import is_picture
from derain.data.pairs.folder import PairFolder, select_pairs
from derain.data.pairs.pair import Image8, Pair, decode
from derain.data.pairs.pair_set import Problem
from derain.errors import DataError
from derain.files.messages import listing_error
from derain.files.paths import is_folder

WHITE = 255
PATCH_PX = 15
MAX_WHITE_SHARE = 0.2
"""Share of white pixels in a square of PATCH_PX above which its rain cannot be measured."""
HALVE_ABOVE_PX = 1000
"""Backgrounds with a longer side are also kept at half size, so that crops show whole objects."""


@dataclass(frozen=True)
class PairCollection:
    """The decoded pairs of one folder. All pictures are uint8 (H, W, 3)."""

    name: str
    weight: float
    """How often its pictures are drawn, relative to the other collections."""
    rainy: list[Image8]
    clean: list[Image8]
    layers: list[Image8]
    """The rain layer of each pair; empty if the rain cannot be reused on other backgrounds."""
    problems: list[Problem] = field(default_factory=list)
    """Files of the folder without a pair."""
    pairs: list[Pair] = field(default_factory=list)
    """Paths of the pairs."""
    neighbours: list[tuple[Image8, Image8]] = field(default_factory=list)
    """Rainy frames before and after each pair of a clip, aligned with it; empty for pictures."""


@dataclass
class TrainingPictures:
    """Everything that crops are drawn from."""

    collections: list[PairCollection] = field(default_factory=list)
    backgrounds: list[Image8] = field(default_factory=list)
    """Rain-free pictures, uint8 (H, W, 3)."""
    streaks: list[Image8] = field(default_factory=list)
    """Streak masks, uint8 (H, W)."""
    too_small: list[Path] = field(default_factory=list)
    """Pictures that were skipped, since no crop fits into them."""
    hard: list[Image8] = field(default_factory=list)
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


def load_pairs(
    source: PairFolder,
    *,
    with_layers: bool = True,
    with_neighbours: bool = False,
    is_aligned: bool = True,
    min_px: int = 0,
) -> PairCollection:
    """Decode the pairs that `source` selects.

    Rain layers are computed if both `with_layers` and `source.layers` are set, and neighbours if
    both `with_neighbours` and `source.clip` are; `is_aligned` aligns them. Raises DataError if a
    pair is smaller than `min_px` on a side.
    """
    pair_set = select_pairs(source)
    for pair in pair_set.pairs:
        if min(pair.size_px) < min_px:
            width, height = pair.size_px
            raise DataError(
                f"{pair.rainy_path}: {width}x{height} is smaller than a crop of {min_px} px; "
                "exclude it"
            )
    rainy, clean = _decode_pairs(pair_set.pairs)
    layers = map(rain_layer, rainy, clean) if with_layers and source.layers else ()
    neighbours = []
    if with_neighbours and source.clip:
        neighbours = [
            aligned_neighbours(rainy, index, sides, is_aligned=is_aligned)
            for index, sides in enumerate(neighbour_indices(pair_set.pairs))
        ]
    return PairCollection(
        name=source.folder,
        weight=source.weight,
        rainy=rainy,
        clean=clean,
        layers=list(layers),
        problems=pair_set.problems,
        pairs=pair_set.pairs,
        neighbours=neighbours,
    )


def _decode_pairs(pairs: Sequence[Pair]) -> tuple[list[Image8], list[Image8]]:
    """Decode both sides of all pairs; pairs with the same clean file share its pixels."""
    rainy, clean = [], []
    clean_by_path: dict[Path, Image8] = {}
    for pair in pairs:
        if pair.clean_side is not None:
            rainy_side, clean_side = pair.load()
        else:
            if pair.clean_path not in clean_by_path:
                clean_by_path[pair.clean_path] = decode(pair.clean_path)
            rainy_side, clean_side = decode(pair.rainy_path), clean_by_path[pair.clean_path]
        rainy.append(rainy_side)
        clean.append(clean_side)
    return rainy, clean


def load_pictures(
    folders: Iterable[str | Path],
    *,
    exclude: Sequence[str] = (),
    min_px: int = 0,
    grey: bool = False,
) -> tuple[list[Image8], list[Path]]:
    """Decode the pictures of `folders`, subfolders not included, except stems in `exclude`.

    Returns the pictures and the paths that were skipped because a side is below `min_px`. Large
    pictures are returned a second time, at half size. Raises DataError for a missing folder, a
    folder without pictures, a stem in `exclude` that no file has, and a picture that cannot be
    decoded.
    """
    pictures: list[Image8] = []
    too_small: list[Path] = []
    for path in background_paths(folders, exclude=exclude):
        picture = decode(path, grey=grey)
        sides = picture.shape[:2]
        if min(sides) < min_px:
            too_small.append(path)
            continue
        pictures.append(picture)
        if max(sides) > HALVE_ABOVE_PX and min(sides) // 2 >= min_px:
            pictures.append(np.asarray(Image.fromarray(picture).reduce(2)))
    return pictures, too_small


def background_paths(folders: Iterable[str | Path], *, exclude: Sequence[str] = ()) -> list[Path]:
    """List the pictures of `folders` except stems in `exclude`; raises DataError as above."""
    paths = [path for folder in map(Path, folders) for path in _list_pictures(folder)]
    if paths and (missing := set(exclude) - {path.stem for path in paths}):
        raise DataError(
            f"{min(missing)}: listed in data.exclude, but there is no background of that name; "
            "correct the name or remove it"
        )
    return [path for path in paths if path.stem not in exclude]


def _list_pictures(folder: Path) -> list[Path]:
    if not is_folder(folder):
        raise DataError(f"{folder}: no such folder, or no access; correct the recipe")
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
