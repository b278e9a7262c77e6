"""The trained tensors inside an exported network, so that each model is stored once.

An export stores some tensors in another layout: transposed, in three parts, or expanded. The entry
`derain.tensors` of its metadata maps each parameter to its layout and to the initialisers that hold
it. The hierarchical heads are not part of an exported network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from math import isqrt, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.weights.onnx_initialisers import read_initialisers

Array = NDArray[Any]
Shape = tuple[int, ...]
Encode = Callable[[Array], list[Array]]
Decode = Callable[[Sequence[Array], Shape], Array]
KEY = "derain.tensors"
HEADS = "heads."
"""Prefix of the parameters that an exported network lacks."""
POSITION = "position_bias"
PARTS = 3
"""Queries, keys and values."""
MAX_VALUES = 2**27
"""Parameters of one network, 512 MiB: a damaged file can name one stored tensor many times."""


def locate(tensors: Mapping[str, Array], initialisers: Mapping[str, Array]) -> str:
    """Return the value of KEY: where each of `tensors` is among the initialisers of a graph.

    A tensor, float32, is found by its values, in the dtype of the graph. Raises ValueError if one
    is not there.
    """
    stored = {(array.dtype.str, array.tobytes()): name for name, array in initialisers.items()}
    places = {
        name: _place(name, values, stored)
        for name, values in tensors.items()
        if not name.startswith(HEADS)
    }
    return json.dumps(places, separators=(",", ":"))


def _place(name: str, values: Array, stored: Mapping[tuple[str, bytes], str]) -> list[Any]:
    for dtype in (np.float16, np.float32):
        for layout, (encode, _) in LAYOUTS.items():
            parts = encode(values.astype(dtype)) if _fits(layout, name, values.shape) else []
            keys = [(part.dtype.str, np.ascontiguousarray(part).tobytes()) for part in parts]
            if keys and all(key in stored for key in keys):
                return [layout, [stored[key] for key in keys]]
    raise ValueError(f"the graph does not hold the parameter {name} in any known layout")


def read_tensors(
    path: Path, places: str, shapes: Iterable[tuple[str, Shape]]
) -> dict[str, NDArray[np.float32]]:
    """Return the parameters in an exported network by name, in float32 and the order of `shapes`.

    `places` is the value of KEY, `shapes` are the names and shapes that the configuration gives.
    Raises ValueError if `places` does not fit them or the file, and OSError.
    """
    located = _parse(places)
    arrays = read_initialisers(path, {*chain.from_iterable(parts for _, parts in located.values())})
    tensors: dict[str, NDArray[np.float32]] = {}
    total = 0
    for name, shape in shapes:
        if name not in located:
            raise ValueError(f"the parameter {name} is missing")
        layout, parts = located[name]
        total += prod(shape)
        stored = [arrays[part] for part in parts if part in arrays]
        if (
            len(stored) != len(parts)
            or len(parts) != (PARTS if layout.startswith("parts") else 1)
            or not _fits(layout, name, shape)
            or sum(array.size for array in stored) != _stored_size(layout, shape)
            or total > MAX_VALUES
        ):
            raise ValueError(f"the parameter {name} does not fit the network")
        tensors[name] = np.array(LAYOUTS[layout][1](stored, shape), np.float32, order="C")
    if unknown := located.keys() - tensors.keys():
        raise ValueError(f"the network has no parameter {min(unknown)}")
    return tensors


def _parse(places: str) -> dict[str, tuple[str, list[str]]]:
    """Return layout and initialisers of each parameter. Raises ValueError."""
    try:
        located = {
            name: (str(layout), [str(part) for part in parts])
            for name, (layout, parts) in json.loads(places).items()
        }
    except (AttributeError, TypeError, RecursionError) as error:
        raise ValueError(f"{KEY} is not a list of places") from error
    if unknown := sorted({layout for layout, _ in located.values()} - LAYOUTS.keys()):
        raise ValueError(f"{KEY} has the unknown layout {unknown[0]}")
    return located


def _stored_size(layout: str, shape: Shape) -> int:
    """Return the number of values that a layout stores for a parameter."""
    if layout == "expanded":
        return shape[1] * _window_px(shape[0]) ** 4
    return prod(shape)


def _fits(layout: str, name: str, shape: Shape) -> bool:
    """True if a layout may hold this parameter."""
    if layout.startswith("unshuffled"):
        return len(shape) == 4 and shape[1] % int(layout.rpartition("-")[2]) ** 2 == 0
    if layout == "expanded":
        return name.endswith(POSITION)
    if layout.startswith("parts"):
        return shape[0] % PARTS == 0
    return layout == "same" or len(shape) == 2


def _joined_columns(arrays: Sequence[Array], shape: Shape) -> Array:
    rows = (shape[0] // PARTS, *shape[1:])
    return np.concatenate([array.reshape(rows[::-1]).T for array in arrays])


def _expand(table: Array) -> list[Array]:
    """Return the bias of each pair of pixels of a window, (heads, area ** 2)."""
    return [table[_position_index(len(table))].T]


def _table(arrays: Sequence[Array], shape: Shape) -> Array:
    table = np.empty(shape, arrays[0].dtype)
    table[_position_index(shape[0])] = arrays[0].reshape(shape[1], -1).T
    return table


def _position_index(entries: int) -> NDArray[np.int64]:
    """Return the row of the table for each two pixels of a window, (window_px ** 4,).

    It is `derain.network.swin.relative_position_index`, flattened.
    """
    window_px = _window_px(entries)
    row, column = np.divmod(np.arange(window_px**2), window_px)
    rows_apart = row[:, None] - row + window_px - 1
    columns_apart = column[:, None] - column + window_px - 1
    index: NDArray[np.int64] = rows_apart * (2 * window_px - 1) + columns_apart
    return index.ravel()


def _window_px(entries: int) -> int:
    """Return the side of the window that has so many offsets between its pixels."""
    return (isqrt(entries) + 1) // 2


def _unshuffled(side: int) -> tuple[Encode, Decode]:
    """Return the layout of the first convolution of a network that unshuffles its input.

    ONNX orders the unshuffled channels differently: colours are last.
    """

    def encode(weight: Array) -> list[Array]:
        by_colour = weight.reshape(len(weight), -1, side**2, *weight.shape[2:])
        return [by_colour.swapaxes(1, 2)]

    def decode(arrays: Sequence[Array], shape: Shape) -> Array:
        by_place = arrays[0].reshape(shape[0], side**2, -1, *shape[2:])
        return by_place.swapaxes(1, 2).reshape(shape)

    return encode, decode


LAYOUTS: dict[str, tuple[Encode, Decode]] = {
    "same": (lambda x: [x], lambda arrays, shape: arrays[0].reshape(shape)),
    "transposed": (lambda x: [x.T], lambda arrays, shape: arrays[0].reshape(shape[::-1]).T),
    "parts": (
        lambda x: list(np.split(x, PARTS)),
        lambda arrays, shape: np.concatenate([array.ravel() for array in arrays]).reshape(shape),
    ),
    "parts-transposed": (lambda x: [part.T for part in np.split(x, PARTS)], _joined_columns),
    "expanded": (_expand, _table),
    "unshuffled-2": _unshuffled(2),
    "unshuffled-4": _unshuffled(4),
}
"""Name -> the arrays that an export makes of a parameter; the parameter of these arrays."""
