"""Pictures that are decoded when they are drawn, and kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from PIL import Image

from derain.data.pairs.pair import Image8, Pair, decode

T = TypeVar("T", covariant=True)
LIMIT_MIB = 4096


class PictureCache:
    """Decoded pictures, as many as fit into `limit_mib` MiB.

    The one that was used longest ago is dropped first, and decoded again when it is used again.
    All methods raise DataError if a file cannot be decoded.
    """

    def __init__(self, limit_mib: float = LIMIT_MIB) -> None:
        self.limit_bytes = round(limit_mib * 2**20)
        self.used_bytes = 0
        self._cached: OrderedDict[Hashable, Image8] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Image8]) -> Image8:
        """Return the array of a key, which `make` returns if it is not cached."""
        if key in self._cached:
            self._cached.move_to_end(key)
            return self._cached[key]
        made = self._cached[key] = make()
        self.used_bytes += made.nbytes
        while self.used_bytes > self.limit_bytes:
            self.used_bytes -= self._cached.popitem(last=False)[1].nbytes
        return made

    def picture(self, path: Path, *, grey: bool = False) -> Image8:
        """Return a file as uint8 (H, W, 3), or (H, W) with `grey`."""
        return self.get((path, grey), lambda: decode(path, grey=grey))

    def half_size(self, path: Path, *, grey: bool = False) -> Image8:
        """Return the same at half its size."""
        return self.get(
            (path, grey, "half"),
            lambda: np.asarray(Image.fromarray(self.picture(path, grey=grey)).reduce(2)),
        )

    def rainy(self, pair: Pair) -> Image8:
        """Return the rainy side of a pair, uint8 (H, W, 3)."""
        picture = self.picture(pair.rainy_path)
        return picture if pair.clean_side is None else pair.split(picture)[0]

    def clean(self, pair: Pair) -> Image8:
        """Return the clean side of a pair, uint8 (H, W, 3)."""
        picture = self.picture(pair.clean_path)
        return picture if pair.clean_side is None else pair.split(picture)[1]


class LazySequence(Sequence[T]):
    """`sequence[index]` is `make(items[index])`, made each time."""

    def __init__(self, items: Sequence[Any], make: Callable[[Any], T]) -> None:
        self.items, self.make = items, make

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> LazySequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | LazySequence[T]:
        if isinstance(index, slice):
            return LazySequence(self.items[index], self.make)
        return self.make(self.items[index])


def concatenate(sequences: Sequence[Sequence[T]]) -> LazySequence[T]:
    """Return one sequence of all items, without making them."""
    places = [(sequence, index) for sequence in sequences for index in range(len(sequence))]
    return LazySequence(places, _item)


def _item(place: tuple[Sequence[T], int]) -> T:
    sequence, index = place
    return sequence[index]
