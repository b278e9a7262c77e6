"""Run the network over a picture tile by tile, and blend the tiles so that it does not show where they meet.

Beside the picture and the result only two strips are held: what the tile to the left and the row of tiles above have to add.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from derain.errors import EngineError
from derain.inference.dtypes import as_luma, to_dtype, to_network_input
from derain.inference.tile_plan import Span, TilePlan

Network: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(N, 3, H, W) -> (N, 3, H, W)."""


def restore_tiled(
    rainy: NDArray[Any],
    *,
    network: Network,
    plan: TilePlan,
    on_tile: Callable[[int, int], None] | None = None,
) -> NDArray[Any]:
    """(H, W) or (H, W, 3), uint8, uint16 or floats in 0..1 -> the same, restored and clamped.

    `on_tile(done, total)` is called after every tile, and may raise to stop. Raises EngineError if the network gives numbers that
    are not finite.
    """
    restored = np.empty(rainy.shape, rainy.dtype)
    canvas = restored if rainy.ndim == 3 else restored[..., None]
    fade, done = plan.fade_px, 0
    above = below = np.empty((0, 0, 0), np.float32)
    for row in plan.rows:
        above, below = below, np.empty((fade, *canvas.shape[1:]), np.float32)
        beside = np.empty((0, 0, 0), np.float32)
        for column in plan.columns:
            block = _tile(rainy, network, plan, row, column)
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


def _tile(
    rainy: NDArray[Any], network: Network, plan: TilePlan, row: Span, column: Span
) -> NDArray[np.float32]:
    """The used part of one restored tile, (height, width, 1 or 3)."""
    samples = rainy[
        row.start : row.start + plan.height_px, column.start : column.start + plan.width_px
    ]
    missing = [(0, plan.height_px - samples.shape[0]), (0, plan.width_px - samples.shape[1])]
    if missing != [(0, 0), (0, 0)]:  # the same mirror that the network holds up to a whole picture
        samples = np.pad(samples, [*missing, (0, 0)][: samples.ndim], mode="reflect")
    planes = network(to_network_input(samples))[0]
    used = planes[
        :,
        row.keep - row.start : row.stop - row.start,
        column.keep - column.start : column.stop - column.start,
    ]
    if not np.isfinite(used).all():
        raise EngineError(
            "the network gave numbers that are not finite; try --precision float32 or another --model"
        )
    block = np.ascontiguousarray(used.transpose(1, 2, 0))
    return as_luma(block) if rainy.ndim == 2 else block


def _fade_weights(span: Span, spans: tuple[Span, ...], fade: int) -> NDArray[np.float32]:
    """The share of a tile in the result along one axis: it fades in and out where it has a neighbour."""
    shares = np.ones(span.stop - span.keep, np.float32)
    ramp = (np.arange(fade, dtype=np.float32) + np.float32(0.5)) / np.float32(fade)
    if span is not spans[0]:
        shares[:fade] *= ramp
    if span is not spans[-1]:
        shares[len(shares) - fade :] *= 1 - ramp
    return shares
