"""A folder of pairs, the way a recipe names it, and the pairs that it stands for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from derain.data.pairs.find import find_pairs
from derain.data.pairs.pair_set import PairSet
from derain.errors import DataError


@dataclass(frozen=True)
class PairFolder:
    """A folder of rainy and clean pictures."""

    folder: str
    """Path; in a recipe, relative to `data.root`."""
    weight: float = 1.0
    """How often its pairs are drawn, relative to the other folders."""
    layers: bool = True
    """True if its rain was added to the clean pictures, so that `mix.recombined` may reuse it."""
    layout: str = ""
    """Layout of docs/data.md; an empty text detects it."""
    exclude: tuple[str, ...] = ()
    """Names of pairs to leave out."""
    only: tuple[str, ...] = ()
    """Names of the only pairs to use; empty for all."""
    clip: bool = False
    """True if the pairs are frames of clips: consecutive numbers in their names are neighbours."""


def select_pairs(source: PairFolder) -> PairSet:
    """Find the pairs in a folder, without `exclude` and, if `only` is not empty, only those.

    Names are those of `Pair.name` or their last part. Raises DataError if no pair has one of the
    names, since training would then include a validation picture, and if no pair remains.
    """
    pair_set = find_pairs(source.folder, layout=source.layout or None)
    names = [{pair.name, pair.name.rsplit("/", 1)[-1]} for pair in pair_set.pairs]
    known = set().union(*names, {problem.path.stem for problem in pair_set.problems})
    if unknown := sorted({*source.exclude, *source.only} - known):
        raise DataError(
            f"{source.folder}: there is no pair {unknown[0]!r}, which `only` or `exclude` lists; "
            "correct the name or remove it"
        )
    pairs = [
        pair
        for pair, own_names in zip(pair_set.pairs, names, strict=True)
        if _is_selected(own_names, source)
    ]
    if not pairs:
        raise DataError(
            f"{source.folder}: `only` and `exclude` select none of its {len(pair_set)} pairs; "
            "correct them"
        )
    return replace(pair_set, pairs=pairs)


def _is_selected(names: Collection[str], source: PairFolder) -> bool:
    """True if `only` and `exclude` let a pair with these names pass."""
    if not source.exclude and not source.only:
        return True
    is_excluded = any(name in source.exclude for name in names)
    is_listed = not source.only or any(name in source.only for name in names)
    return is_listed and not is_excluded
