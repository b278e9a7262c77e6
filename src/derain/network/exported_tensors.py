"""The trained tensors inside an exported network, so that each model is stored once.

An export stores some tensors in another layout: transposed, in three parts, or expanded. The entry
`derain.tensors` of its metadata maps each parameter to its layout and to the initialisers that hold
it. The hierarchical heads are not part of an exported network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from derain.network.configuration import PLNLINConfiguration
from derain.network.generator import PLNLIN
from derain.network.swin import relative_position_index

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


def locate(tensors: Mapping[str, Tensor], initialisers: Mapping[str, Array]) -> str:
    """Return the value of KEY: where each of `tensors` is among the initialisers of a graph.

    A tensor is found by its values, in the dtype of the graph. Raises ValueError if one is not
    there.
    """
    stored = {(array.dtype.str, array.tobytes()): name for name, array in initialisers.items()}
    places = {}
    for name, tensor in tensors.items():
        if name.startswith(HEADS):
            continue
        values = tensor.detach().float().cpu().numpy()
        places[name] = _place(name, values, stored)
    return json.dumps(places, separators=(",", ":"))


def _place(name: str, values: Array, stored: Mapping[tuple[str, bytes], str]) -> list[Any]:
    for dtype in (np.float16, np.float32):
        for layout, (encode, _) in LAYOUTS.items():
            parts = encode(values.astype(dtype)) if _fits(layout, name, values.shape) else []
            keys = [(part.dtype.str, np.ascontiguousarray(part).tobytes()) for part in parts]
            if keys and all(key in stored for key in keys):
                return [layout, [stored[key] for key in keys]]
    raise ValueError(f"the graph does not hold the parameter {name} in any known layout")


def read_tensors(path: Path, places: str, configuration: PLNLINConfiguration) -> dict[str, Tensor]:
    """Return the parameters in an exported network by name, in float32; `places` is that of KEY.

    Raises ValueError, KeyError or TypeError if `places` does not fit the file, and OSError.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(path).graph
    except DecodeError as error:
        raise ValueError("not an ONNX file") from error
    initialisers = {tensor.name: tensor for tensor in graph.initializer}
    with torch.device("meta"):
        shapes = {name: tuple(p.shape) for name, p in PLNLIN(configuration).state_dict().items()}
    tensors = {}
    for name, (layout, parts) in json.loads(places).items():
        arrays = [onnx.numpy_helper.to_array(initialisers[part]) for part in parts]
        values = LAYOUTS[layout][1](arrays, shapes[name])
        tensors[name] = torch.from_numpy(np.array(values, np.float32, order="C"))
    return tensors


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
    window_px = (round(entries**0.5) + 1) // 2
    return relative_position_index(window_px).flatten().numpy()


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
