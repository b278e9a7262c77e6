"""Where a picture is cut that does not fit into the memory of the network.

All tiles of a picture have the same size, so that an engine prepares only once. They start at
multiples of the network's `multiple_px`, so that its windows fall where they would fall in the
whole picture. Tiles overlap. The outer quarters of an overlap are discarded, because a tile is
least accurate at its edge; over the middle half, one tile fades into the next.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

LIMIT_MIB = 768
"""Default memory of the network. With smaller tiles, more of a picture is computed twice."""
TOTAL_LIMIT_MIB = 1536
"""Memory of picture, result and network.

It keeps 100 megapixels of 8 or 16 bits below 2 GiB, libraries included.
"""
OVERLAP_PX = 56


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in pixels of the picture.

    The tile is computed from `start` and used from `keep` to `stop`.
    """

    start: int
    keep: int
    stop: int


@dataclass(frozen=True)
class TilePlan:
    """Tiles of a picture."""

    height_px: int
    width_px: int
    """Size of each tile. The last ones may exceed the picture by less than `multiple_px`."""
    fade_px: int
    """Width over which two neighbours are blended."""
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)


def plan_tiles(
    size: tuple[int, int],
    *,
    tile_px: int | None = None,
    limit_mib: int | None = None,
    bytes_per_px: int = 1000,
    multiple_px: int = 1,
    overlap_px: int = OVERLAP_PX,
) -> TilePlan:
    """Cut a picture of `size` (H, W) so that as little as possible is computed twice.

    The sides of a tile are at most `tile_px`. Without it, a tile is as large as `limit_mib` MiB
    allow if the network takes `bytes_per_px` bytes per pixel. Sides below three overlaps are
    raised to that, because most of a smaller tile would be computed twice. A picture that fits is
    one tile of its own size.
    """
    axis = _Axis(multiple_px, _round_up(max(overlap_px, 2), multiple_px))
    if tile_px is not None:
        max_side = max(tile_px // multiple_px * multiple_px, 3 * axis.overlap_px)
        height, width = (axis.side(length, max_side=max_side) for length in size)
    else:
        max_px = (LIMIT_MIB if limit_mib is None else limit_mib) * 2**20 // bytes_per_px
        height, width = _cheapest_tile(axis, size, max_px=max_px)
    return TilePlan(
        height, width, axis.overlap_px // 2, axis.spans(size[0], height), axis.spans(size[1], width)
    )


def default_limit_mib(picture_bytes: int) -> int:
    """Return the memory that a picture of that size and its result leave to the network."""
    return max(LIMIT_MIB // 4, min(LIMIT_MIB, TOTAL_LIMIT_MIB - 2 * picture_bytes // 2**20))


def _cheapest_tile(axis: _Axis, size: tuple[int, int], *, max_px: int) -> tuple[int, int]:
    """Return the (height, width) of at most `max_px` pixels with the least pixels in all tiles."""
    min_side = 3 * axis.overlap_px
    min_height, min_width = (_round_up(min(min_side, length), axis.multiple_px) for length in size)
    max_px = max(max_px, min_height * min_width)
    tiles = set()
    widest = min(max_px // min_height, _round_up(size[1], axis.multiple_px))
    for max_width in range(min_width, widest + 1, axis.multiple_px):
        width = axis.side(size[1], max_side=max_width)
        max_height = max(max_px // _round_up(width, axis.multiple_px), min_height)
        tiles.add((axis.side(size[0], max_side=max_height), width))

    def cost(tile: tuple[int, int]) -> tuple[int, int]:
        computed_px = axis.computed_px(size[0], tile[0]) * axis.computed_px(size[1], tile[1])
        return computed_px, abs(tile[0] - tile[1])

    return min(tiles, key=cost)


@dataclass(frozen=True)
class _Axis:
    """Arithmetic along one side of a picture."""

    multiple_px: int
    overlap_px: int

    def count(self, length: int, side: int) -> int:
        """Return the number of tiles of `side` that cover `length`."""
        if side >= length:
            return 1
        rest = _round_up(length - side, self.multiple_px)
        return 1 + math.ceil(rest / (side - self.overlap_px))

    def side(self, length: int, *, max_side: int) -> int:
        """Return the smallest side that covers `length` with as many tiles as `max_side`."""
        max_side = max_side // self.multiple_px * self.multiple_px
        if length <= max_side:
            return length
        count = self.count(length, max_side)
        side = math.ceil((length + (count - 1) * self.overlap_px) / count)
        return _round_up(side, self.multiple_px)

    def computed_px(self, length: int, side: int) -> int:
        """Return the pixels of all tiles, padding included."""
        return self.count(length, side) * _round_up(side, self.multiple_px)

    def spans(self, length: int, side: int) -> tuple[Span, ...]:
        """Spread the tiles evenly, each starting at a multiple."""
        count, fade = self.count(length, side), self.overlap_px // 2
        steps = _round_up(max(length - side, 0), self.multiple_px) // self.multiple_px
        starts = [index * steps // max(count - 1, 1) * self.multiple_px for index in range(count)]
        seams = [(left + side + right - fade) // 2 for left, right in itertools.pairwise(starts)]
        keeps = [0, *seams]
        stops = [*(seam + fade for seam in seams), length]
        return tuple(Span(*span) for span in zip(starts, keeps, stops, strict=True))


def _round_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
