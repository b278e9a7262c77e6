"""Run the network tile by tile, and blend the tiles without visible seams.

In addition to the picture and the result, only two strips are kept: the contributions of the tile
on the left and of the tiles above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from derain.errors import EngineError
from derain.inference.dtypes import as_luma, to_dtype, to_network_input
from derain.inference.tile_plan import Span, TilePlan

Network: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(N, 3 * frames, H, W) -> (N, 3, H, W)."""


def restore_tiled(
    rainy: NDArray[Any],
    *,
    network: Network,
    plan: TilePlan,
    neighbours: tuple[NDArray[Any], NDArray[Any]] | tuple[()] = (),
    on_tile: Callable[[int, int], None] | None = None,
) -> NDArray[Any]:
    """Restore (H, W) or (H, W, 3) of uint8, uint16 or floats in 0..1; clamp the result.

    A network for clips sees `neighbours` too, the frames before and after, of the same shape.
    `on_tile(done, total)` is called after each tile and may raise an exception to stop. Raises
    EngineError if the network returns values that are not finite.
    """
    frames = (neighbours[0], rainy, neighbours[1]) if neighbours else (rainy,)
    restored = np.empty(rainy.shape, rainy.dtype)
    canvas = restored if rainy.ndim == 3 else restored[..., None]
    fade, done = plan.fade_px, 0
    above = below = np.empty((0, 0, 0), np.float32)
    for row in plan.rows:
        above, below = below, np.empty((fade, *canvas.shape[1:]), np.float32)
        beside = np.empty((0, 0, 0), np.float32)
        for column in plan.columns:
            block = _restore_tile(frames, network, plan, row, column)
            if len(plan) > 1:  # one tile has no neighbour
                block *= _fade_weights(row, plan.rows, fade)[:, None, None]
                block *= _fade_weights(column, plan.columns, fade)[:, None]
            if column is not plan.columns[0]:
                block[:, :fade] += beside
            if column is not plan.columns[-1]:
                block, beside = np.split(block, [-fade], axis=1)
            across = slice(column.keep, column.keep + block.shape[1])
            if row is not plan.rows[0]:
                block[:fade] += above[:, across]
            if row is not plan.rows[-1]:
                block, below[:, across] = np.split(block, [-fade])
            canvas[row.keep : row.keep + len(block), across] = to_dtype(block, rainy.dtype)
            done += 1
            if on_tile is not None:
                on_tile(done, len(plan))
    return restored


def _restore_tile(
    frames: Sequence[NDArray[Any]], network: Network, plan: TilePlan, row: Span, column: Span
) -> NDArray[np.float32]:
    """Return the used part of one restored tile, (height, width, 1 or 3)."""
    tiles = [to_network_input(_cut(frame, plan, row, column)) for frame in frames]
    planes = network(np.concatenate(tiles, axis=1) if len(tiles) > 1 else tiles[0])[0]
    used = planes[
        :,
        row.keep - row.start : row.stop - row.start,
        column.keep - column.start : column.stop - column.start,
    ]
    if not np.isfinite(used).all():
        raise EngineError(
            "the network returned values that are not finite; "
            "try --precision float32 or another --model"
        )
    block = np.ascontiguousarray(used.transpose(1, 2, 0))
    return as_luma(block) if frames[0].ndim == 2 else block


def _cut(image: NDArray[Any], plan: TilePlan, row: Span, column: Span) -> NDArray[Any]:
    """Return one tile of a picture, extended by reflection where it exceeds the picture."""
    tile = image[
        row.start : row.start + plan.height_px, column.start : column.start + plan.width_px
    ]
    missing = [(0, plan.height_px - tile.shape[0]), (0, plan.width_px - tile.shape[1])]
    if missing != [(0, 0), (0, 0)]:  # reflect, as the network does at the edge of a whole picture
        tile = np.pad(tile, [*missing, (0, 0)][: image.ndim], mode="reflect")
    return tile


def _fade_weights(span: Span, spans: tuple[Span, ...], fade: int) -> NDArray[np.float32]:
    """Return the weight of a tile along one axis: it fades towards each neighbour."""
    weights = np.ones(span.stop - span.keep, np.float32)
    ramp = (np.arange(fade, dtype=np.float32) + np.float32(0.5)) / np.float32(fade)
    if span is not spans[0]:
        weights[:fade] *= ramp
    if span is not spans[-1]:
        weights[len(weights) - fade :] *= 1 - ramp
    return weights
