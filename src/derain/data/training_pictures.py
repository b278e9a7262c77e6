"""The pictures that crops are cut from, decoded once and kept in memory: pairs, dry pictures, rain layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from derain.data.pairs.file_names import is_picture
from derain.data.pairs.find import Problem
from derain.data.pairs.folder import PairFolder, select_pairs
from derain.data.pairs.pair import Image8, Pair, decode
from derain.errors import DataError
from derain.files.messages import listing_error
from derain.files.paths import is_folder

WHITE = 255
PATCH_PX, PATCH_SHARE = (
    15,
    0.2,
)  # of squares of so many pixels, the share of white ones that makes them a patch
HALVED_ABOVE_PX = 1000  # a background with a longer side is kept at half its size too, so that crops show more than texture


@dataclass(frozen=True)
class PairCollection:
    """One folder of pairs, and how often its pictures are drawn relative to the others."""

    name: str
    weight: float
    rainy: list[Image8]
    clean: list[Image8]
    layers: list[Image8]
    """`added_light`, where the folder's rain was added to the clean picture: it may be laid over other pictures."""
    problems: list[Problem] = field(default_factory=list)
    """Files of the folder that are in no pair."""
    pairs: list[Pair] = field(default_factory=list)
    """Where its pictures lie."""


@dataclass
class TrainingPictures:
    """Everything that `derain.data.crops` draws from. All pictures are uint8 (H, W, 3), streak masks uint8 (H, W)."""

    collections: list[PairCollection] = field(default_factory=list)
    backgrounds: list[Image8] = field(default_factory=list)
    streaks: list[Image8] = field(default_factory=list)
    small: list[Path] = field(default_factory=list)
    """Backgrounds and streak masks that are left out, since no crop fits into them."""


def rain_layer(rainy: Image8, clean: Image8) -> Image8:
    """Return the light that rain added, (H, W, 3), as far as a pair tells it: rainy - clean, 0 where rain made it darker.

    Where a channel is white the sum was cut off, so that the background would show in the difference. It takes the value of the
    brightest channel there, since such rain is grey. Patches that are white as a whole, as skies are, are those of another place:
    of the layer turned by 180 degrees, which keeps its direction, or mirrored.
    """
    light: Image8 = np.clip(rainy.astype(np.int16) - clean, 0, 255).astype(np.uint8)
    cut_off = rainy == WHITE
    light = np.where(cut_off, light.max(axis=2, keepdims=True), light)
    white = Image.fromarray((cut_off.all(axis=2) * WHITE).astype(np.uint8)).filter(
        ImageFilter.BoxBlur(PATCH_PX // 2)
    )
    unknown = np.asarray(white) > WHITE * PATCH_SHARE
    missing, filled = unknown.copy(), light.copy()
    for mirrored in (np.s_[::-1, ::-1], np.s_[::-1], np.s_[:, ::-1]):
        found = missing & ~unknown[mirrored]
        filled[found] = light[mirrored][found]
        missing &= ~found
    return filled


def load_pairs(
    source: PairFolder, *, with_layers: bool = True, min_px: int = 0
) -> PairCollection:
    """Decode the pairs that a folder stands for.

    Rain layers are computed if `with_layers` and `source.layers` are set. Raises DataError if a
    pair is smaller than `min_px` on a side.
    """
    found = select_pairs(source)
    for pair in found.pairs:
        if min(pair.size_px) < min_px:
            width, height = pair.size_px
            raise DataError(
                f"{pair.rainy_path}: {width}x{height} is smaller than a crop of {min_px} px; "
                "exclude it"
            )
    rainy, clean = _decode_pairs(found.pairs)
    layers = map(rain_layer, rainy, clean) if with_layers and source.layers else ()
    return PairCollection(
        name=source.folder,
        weight=source.weight,
        rainy=rainy,
        clean=clean,
        layers=list(layers),
        problems=found.problems,
        pairs=found.pairs,
    )


def _decode_pairs(pairs: Sequence[Pair]) -> tuple[list[Image8], list[Image8]]:
    """Both sides of all pairs; a clean picture of several rainy ones is decoded and kept once."""
    rainy, clean = [], []
    known: dict[Path, Image8] = {}
    for pair in pairs:
        if pair.clean_side is not None:
            one, other = pair.load()
        else:
            if pair.clean_path not in known:
                known[pair.clean_path] = decode(pair.clean_path)
            one, other = decode(pair.rainy_path), known[pair.clean_path]
        rainy.append(one)
        clean.append(other)
    return rainy, clean


def load_pictures(
    folders: Iterable[str | Path],
    *,
    exclude: Sequence[str] = (),
    min_px: int = 0,
    grey: bool = False,
) -> tuple[list[Image8], list[Path]]:
    """Decode every picture directly in `folders` whose stem is not in `exclude`, and name those smaller than `min_px` apart.

    Large ones are there a second time at half their size. Raises DataError for a folder that is not there or has no picture, for
    a stem in `exclude` that is in no folder, and for a picture that cannot be decoded.
    """
    pictures: list[Image8] = []
    small: list[Path] = []
    for path in background_paths(folders, exclude=exclude):
        picture = decode(path, grey=grey)
        sides = picture.shape[:2]
        if min(sides) < min_px:
            small.append(path)
            continue
        pictures.append(picture)
        if max(sides) > HALVED_ABOVE_PX and min(sides) // 2 >= min_px:
            pictures.append(np.asarray(Image.fromarray(picture).reduce(2)))
    return pictures, small


def background_paths(folders: Iterable[str | Path], *, exclude: Sequence[str] = ()) -> list[Path]:
    """Every picture directly in `folders` whose stem is not in `exclude`. Raises DataError, as `load_pictures` does."""
    found = [path for folder in map(Path, folders) for path in _pictures(folder)]
    if found and (missing := set(exclude) - {path.stem for path in found}):
        raise DataError(
            f"{min(missing)}: is to be left out by data.exclude, and no background is called so; correct the name or take it out"
        )
    return [path for path in found if path.stem not in exclude]


def _pictures(folder: Path) -> list[Path]:
    if not is_folder(folder):
        raise DataError(
            f"{folder}: no such folder that this user may look into; correct the recipe"
        )
    try:
        paths = sorted(
            path for path in folder.iterdir() if is_picture(path) and path.name[0] != "."
        )
    except OSError as error:
        raise DataError(listing_error(error)) from error
    if not paths:
        raise DataError(f"{folder}: has no picture right in it; name the folders in it that have")
    return paths
