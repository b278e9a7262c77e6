"""The weights file: a safetensors file with its own configuration and card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from derain.errors import WeightsError
from derain.files.atomic import atomic_write, writing
from derain.files.paths import is_file
from derain.network.configuration import PLNLINConfiguration
from derain.network.generator import PLNLIN
from derain.network.run_files import STATE, WEIGHTS
from derain.weights import library

FORMAT = str(library.FORMAT)
WEIGHTS_SUFFIX = ".safetensors"


def save_weights(
    path: str | Path,
    network: nn.Module,
    *,
    configuration: PLNLINConfiguration,
    card: Mapping[str, Any],
    half: bool = False,
    **metadata: str,
) -> Path:
    """Write the parameters of `network` atomically to `path`; `half` stores them in float16.

    Keys of `metadata` are prefixed with `derain.` in the header. Raises WeightsError if the file
    cannot be written.
    """
    path = Path(path)
    header = {
        "derain.format": FORMAT,
        "derain.configuration": configuration.to_json(),
        "derain.card": json.dumps(card),
    }
    header |= {f"derain.{key}": value for key, value in metadata.items()}
    tensors = {
        name: (tensor.half() if half else tensor.float()).contiguous()
        for name, tensor in network.state_dict().items()
    }
    with writing(path, WeightsError), atomic_write(path) as file:
        file.write(save(tensors, metadata=header))
    return path


def load_weights(path: str | Path) -> tuple[PLNLINConfiguration, dict[str, Tensor], dict[str, Any]]:
    """Return configuration, parameters in float32 and card of a weights file or a shipped model.

    `path` is a path or the name of a shipped model. Raises WeightsError.
    """
    path = resolve_path(path)
    if not is_file(path):
        raise WeightsError(
            f"{path}: no such weights file; give a .safetensors file or the name of a shipped "
            f"model: {', '.join(_shipped())}"
        )
    if path.name == STATE:
        raise WeightsError(
            f"{path}: is the checkpoint of a run; its weights are in {path.with_name(WEIGHTS)}"
        )
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: is not a safetensors file, or is damaged ({error}); "
            "download or export it again"
        ) from None
    if header.get("derain.format") != FORMAT:
        raise WeightsError(
            f"{path}: has format {header.get('derain.format')!r}, this version reads {FORMAT!r}; "
            "upgrade with `pip install -U derain`"
        )
    try:
        return (
            PLNLINConfiguration.from_json(header["derain.configuration"]),
            tensors,
            json.loads(header["derain.card"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            f"{path}: its configuration or card is damaged ({error!r}); download or export it again"
        ) from None


def load(weights: str | Path = library.DEFAULT, *, device: str | torch.device = "cpu") -> PLNLIN:
    """Return a trained generator in float32 and evaluation mode, on `device`.

    `weights` is the name of a shipped model ("best", "small") or the path of a .safetensors file.
    The hierarchical heads are included. Raises WeightsError for an unknown name or an unusable
    file.
    """
    network, _ = load_network(weights)
    return network.to(device)


def load_network(path: str | Path) -> tuple[PLNLIN, dict[str, Any]]:
    """Return the generator of a weights file in evaluation mode, and its card.

    `path` is a path or the name of a shipped model. Raises WeightsError.
    """
    configuration, tensors, card = load_weights(path)
    network = PLNLIN(configuration)
    load_into(network, tensors, path=path)
    return network.eval(), card


def load_into(network: nn.Module, tensors: Mapping[str, Tensor], *, path: str | Path) -> None:
    """Copy `tensors` into `network`. Raises WeightsError if names or shapes differ."""
    expected = network.state_dict()
    wrong = sorted(set(expected) ^ set(tensors)) or [
        name for name in expected if expected[name].shape != tensors[name].shape
    ]
    if wrong:
        raise WeightsError(
            f"{path}: does not fit the network (first mismatch: {wrong[0]}); "
            "use the [network] section that it was trained with"
        )
    with torch.no_grad():
        network.load_state_dict(dict(tensors))


def resolve_path(path: str | Path) -> Path:
    """Return the weights file of a shipped model if `path` is the name of one, else `path`."""
    name = str(path)
    shipped = library.shipped_file(name, WEIGHTS_SUFFIX) if name in _shipped() else None
    return shipped or Path(path)


def _shipped() -> list[str]:
    return library.shipped_names(WEIGHTS_SUFFIX)
