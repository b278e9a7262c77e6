"""Where a picture that is larger than the network's memory is cut.

Tiles of one picture have one size, so that an engine prepares itself once, and start at multiples of the network's
`multiple_px`, so that its windows fall where they would fall in the whole picture. They overlap. The outer quarters of an
overlap are thrown away, because a tile knows least about its own edge; over the middle half one tile fades into the next.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

LIMIT_MIB = 768
"""Memory of the network, unless the user or a large picture wants it otherwise; smaller tiles compute more of a picture twice."""
TOTAL_LIMIT_MIB = 1536
"""Picture, result and network: what keeps 100 megapixels of 8 and of 16 bits below 2 GiB with the libraries around them."""
OVERLAP_PX = 56


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in pixels of the picture: computed from `start` on, used from `keep` to `stop`."""

    start: int
    keep: int
    stop: int


@dataclass(frozen=True)
class TilePlan:
    """How a picture of (H, W) is cut."""

    height_px: int
    width_px: int
    """The size of every tile. The last ones may reach over the edge by less than `multiple_px`."""
    fade_px: int
    """How far two neighbours are mixed."""
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)


def plan_tiles(
    size: tuple[int, int],
    *,
    tile_px: int | None = None,
    limit_mib: int | None = None,
    bytes_px: int = 1000,
    multiple_px: int = 1,
    overlap_px: int = OVERLAP_PX,
) -> TilePlan:
    """Cut a picture of `size` (H, W) so that the least is computed.

    Tiles are at most `tile_px` a side, or without it as large as `limit_mib` MiB allow at the `bytes_px` that the network
    takes for a pixel; but no less than three overlaps, below which most work would be done twice. A picture that fits is one
    tile of its own size.
    """
    axis = _Axis(multiple_px, _round_up(max(overlap_px, 2), multiple_px))
    if tile_px is not None:
        side = max(tile_px // multiple_px * multiple_px, 3 * axis.overlap_px)
        height, width = (axis.side(length, most=side) for length in size)
    else:
        most_px = (LIMIT_MIB if limit_mib is None else limit_mib) * 2**20 // bytes_px
        height, width = _cheapest_tile(axis, size, most_px=most_px)
    return TilePlan(
        height, width, axis.overlap_px // 2, axis.spans(size[0], height), axis.spans(size[1], width)
    )


def default_limit_mib(picture_bytes: int) -> int:
    """What is left for the network beside a picture of that size and its result."""
    return max(LIMIT_MIB // 4, min(LIMIT_MIB, TOTAL_LIMIT_MIB - 2 * picture_bytes // 2**20))


def _cheapest_tile(axis: _Axis, size: tuple[int, int], *, most_px: int) -> tuple[int, int]:
    """The (height, width) of at most `most_px` pixels that covers `size` with the fewest pixels computed twice."""
    least = 3 * axis.overlap_px
    shortest = [_round_up(min(least, length), axis.multiple_px) for length in size]
    most_px = max(most_px, shortest[0] * shortest[1])
    tiles = set()
    for most in range(shortest[1], most_px // shortest[0] + 1, axis.multiple_px):
        width = axis.side(size[1], most=most)
        height = axis.side(
            size[0], most=max(most_px // _round_up(width, axis.multiple_px), shortest[0])
        )
        tiles.add((height, width))

    def work(tile: tuple[int, int]) -> tuple[int, int]:
        return axis.work(size[0], tile[0]) * axis.work(size[1], tile[1]), abs(tile[0] - tile[1])

    return min(tiles, key=work)


@dataclass(frozen=True)
class _Axis:
    """The arithmetic along one side of a picture."""

    multiple_px: int
    overlap_px: int

    def count(self, length: int, side: int) -> int:
        """How many tiles of `side` cover `length`."""
        return (
            1
            if side >= length
            else 1
            + math.ceil(_round_up(length - side, self.multiple_px) / (side - self.overlap_px))
        )

    def side(self, length: int, *, most: int) -> int:
        """The smallest side that covers `length` with no more tiles than the side `most` does."""
        most = most // self.multiple_px * self.multiple_px
        if length <= most:
            return length
        count = self.count(length, most)
        return _round_up(
            math.ceil((length + (count - 1) * self.overlap_px) / count), self.multiple_px
        )

    def work(self, length: int, side: int) -> int:
        """Pixels that are computed, padding included."""
        return self.count(length, side) * _round_up(side, self.multiple_px)

    def spans(self, length: int, side: int) -> tuple[Span, ...]:
        """Spread the tiles evenly, each start a multiple."""
        count, fade = self.count(length, side), self.overlap_px // 2
        steps = _round_up(max(length - side, 0), self.multiple_px) // self.multiple_px
        starts = [index * steps // max(count - 1, 1) * self.multiple_px for index in range(count)]
        keeps = [
            0,
            *((left + side + right - fade) // 2 for left, right in itertools.pairwise(starts)),
        ]
        stops = [*(keep + fade for keep in keeps[1:]), length]
        return tuple(Span(*span) for span in zip(starts, keeps, stops, strict=True))


def _round_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
