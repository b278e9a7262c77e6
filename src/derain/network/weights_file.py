"""The weights file: a safetensors file that carries its own configuration and card."""

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
from derain.files.atomic import atomic_write
from derain.files.messages import explain_os_error
from derain.files.paths import is_file
from derain.network import PLNLIN, PLNLINConfiguration
from derain.network.run_files import STATE, WEIGHTS
from derain.weights import library

FORMAT = str(library.FORMAT)


def save_weights(
    path: str | Path,
    network: nn.Module,
    *,
    configuration: PLNLINConfiguration,
    card: Mapping[str, Any],
    half: bool = False,
    **metadata: str,
) -> Path:
    """Write the parameters of `network` to `path`, under a temporary name first; `half` stores them in float16.

    `metadata` goes into the header with `derain.` before each key. Raises WeightsError where it cannot be written.
    """
    path = Path(path)
    header = {
        "derain.format": FORMAT,
        "derain.configuration": configuration.to_json(),
        "derain.card": json.dumps(card),
    }
    header |= {f"derain.{key}": value for key, value in metadata.items()}
    tensors = {
        name: (p.half() if half else p.float()).contiguous()
        for name, p in network.state_dict().items()
    }
    try:
        with atomic_write(path) as file:
            file.write(save(tensors, metadata=header))
    except OSError as error:
        raise WeightsError(f"{path}: {explain_os_error(error)}") from error
    return path


def load_weights(path: str | Path) -> tuple[PLNLINConfiguration, dict[str, Tensor], dict[str, Any]]:
    """Return the configuration, the parameters in float32 and the card of a weights file, or of a shipped model by its name.

    Raises WeightsError.
    """
    path = resolve_path(path)
    if not is_file(path):
        raise WeightsError(
            f"{path}: no such weights file; name a .safetensors file, or one of derain's own: {', '.join(_shipped())}"
        )
    if path.name == STATE:
        raise WeightsError(
            f"{path}: is the state of a run; its weights are {path.with_name(WEIGHTS)}"
        )
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: is no safetensors file or is damaged ({error}); fetch or make it again"
        ) from None
    if header.get("derain.format") != FORMAT:
        raise WeightsError(
            f"{path}: has format {header.get('derain.format')!r}, this version reads {FORMAT!r}; install a newer derain"
        )
    try:
        return (
            PLNLINConfiguration.from_json(header["derain.configuration"]),
            tensors,
            json.loads(header["derain.card"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            f"{path}: its configuration or card is damaged ({error!r}); fetch or make it again"
        ) from None


def resolve_path(path: str | Path) -> Path:
    """The weights file of a shipped model, if `path` is its name, else `path`."""
    return library.SHIPPED / f"{path}.safetensors" if str(path) in _shipped() else Path(path)


def _shipped() -> list[str]:
    return sorted(file.stem for file in library.SHIPPED.glob("*.safetensors"))


def load_network(path: str | Path) -> tuple[PLNLIN, dict[str, Any]]:
    """Return the generator of a weights file, ready to restore, and its card. Raises WeightsError."""
    configuration, tensors, card = load_weights(path)
    network = PLNLIN(configuration)
    load_into(network, tensors, path=path)
    return network.eval(), card


def load_into(network: nn.Module, tensors: Mapping[str, Tensor], *, path: str | Path) -> None:
    """Copy `tensors` into `network`. Raises WeightsError if names or shapes differ."""
    own = network.state_dict()
    wrong = sorted(set(own) ^ set(tensors)) or [
        name for name in own if own[name].shape != tensors[name].shape
    ]
    if wrong:
        raise WeightsError(
            f"{path}: does not fit the network (first at {wrong[0]}); use the recipe's network that it was trained with"
        )
    with torch.no_grad():
        network.load_state_dict(dict(tensors))
