"""Pairs that are frames of clips: which follow each other, and their aligned neighbours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import cast

from derain.data.pairs.pair import Image8, Pair
from derain.motion import Alignment, Frame, align, fill

NUMBER = re.compile(r"(\d+)\D*$")
"""The last number in a name."""


def neighbour_indices(pairs: Sequence[Pair]) -> list[tuple[int, int]]:
    """Return the indices of the pairs before and after each pair.

    They are those whose number, the last one in the name, is one smaller or larger while the rest
    of the name is the same. Where there is none, as at the end of a clip, a pair is its own
    neighbour.
    """
    places = [_place(pair.name) for pair in pairs]
    indices = {place: index for index, place in enumerate(places)}
    return [
        (
            indices.get((rest, number - 1), index),
            indices.get((rest, number + 1), index),
        )
        for index, (rest, number) in enumerate(places)
    ]


def _place(name: str) -> tuple[str, int]:
    match = NUMBER.search(name)
    if match is None:
        return name, 0
    start, end = match.span(1)
    return f"{name[:start]}#{name[end:]}", int(match[1])


def aligned_neighbours(
    frames: Sequence[Image8] | Mapping[int, Image8],
    index: int,
    indices: tuple[int, int],
    *,
    is_aligned: bool = True,
) -> tuple[Image8, Image8]:
    """Return the neighbours of `frames[index]`, which have the given indices.

    They are aligned as when a clip is restored; without `is_aligned`, they stay where they are.
    """
    centre = frames[index]
    sides = [frames[other] if other != index else None for other in indices]
    if not is_aligned:
        before, after = (
            centre if side is None or side.shape != centre.shape else side for side in sides
        )
        return before, after
    frame = Frame(centre)
    first, second = (
        Alignment(centre) if side is None else align(frame, Frame(side)) for side in sides
    )
    return cast(tuple[Image8, Image8], fill(first, second, frame))
