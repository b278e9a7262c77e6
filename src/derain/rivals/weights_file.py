"""Weights of rivals that were trained here: a safetensors file with the official names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from derain.errors import WeightsError
from derain.files.atomic import atomic_write, writing
from derain.rivals.rival import Rival
from derain.weights.library import RIVAL_KEY

SUFFIX = ".safetensors"
KIND, OPTIONS, CARD = RIVAL_KEY, "derain.options", "derain.card"
"""Keys of the header. `KIND` tells these files from those of derain's own networks."""


@dataclass(frozen=True)
class TrainedRival:
    """Content of a weights file."""

    kind: str
    """Name of the network, as in NAME:PATH."""
    options: dict[str, Any]
    """Arguments of the network; empty for the published shape."""
    tensors: dict[str, Tensor]
    """Parameters by their official names."""
    card: dict[str, Any]


def save_rival(
    path: str | Path,
    network: Rival,
    *,
    kind: str,
    options: Mapping[str, Any],
    card: Mapping[str, Any],
) -> Path:
    """Write a network atomically to `path`. Raises WeightsError if it cannot be written."""
    path = Path(path)
    header = {KIND: kind, OPTIONS: json.dumps(dict(options)), CARD: json.dumps(card)}
    tensors = {
        network.official_name(name): tensor.float().contiguous()
        for name, tensor in network.state_dict().items()
    }
    with writing(path, WeightsError), atomic_write(path) as file:
        file.write(save(tensors, metadata=header))
    return path


def read_rival(path: Path) -> TrainedRival:
    """Read a weights file.

    Raises WeightsError for a file that is damaged, or that holds another kind of network.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: is not a safetensors file, or is damaged ({error}); train it again"
        ) from None
    if KIND not in header:
        raise WeightsError(
            f"{path}: holds no network of another paper; pass it without a name, as --model {path}"
        )
    try:
        options, card = (dict(json.loads(header[key])) for key in (OPTIONS, CARD))
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise WeightsError(
            f"{path}: its options or its card are damaged ({error!r}); train it again"
        ) from None
    return TrainedRival(header[KIND], options, tensors, card)
