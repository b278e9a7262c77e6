"""The weights file: a safetensors file with its own configuration and card.

An exported network holds the same tensors, except for the hierarchical heads.
"""

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
from derain.weights.exported_tensors import HEADS, KEY, read_tensors
from derain.weights.headers import read_onnx_metadata

FORMAT = str(library.FORMAT)
NETWORK_SUFFIX = ".onnx"
Weights = tuple[PLNLINConfiguration, dict[str, Tensor], dict[str, Any]]
"""Configuration, parameters by name in float32, and card."""


def save_weights(
    path: str | Path,
    network: nn.Module,
    *,
    configuration: PLNLINConfiguration,
    card: Mapping[str, Any],
    half: bool = False,
    prefix: str = "",
    **metadata: str,
) -> Path:
    """Write the parameters of `network` atomically to `path`; `half` stores them in float16.

    Only parameters whose names begin with `prefix` are written. Keys of `metadata` are prefixed
    with `derain.` in the header. Raises WeightsError if the file cannot be written.
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
        if name.startswith(prefix)
    }
    with writing(path, WeightsError), atomic_write(path) as file:
        file.write(save(tensors, metadata=header))
    return path


def load_weights(path: str | Path) -> Weights:
    """Return configuration, parameters in float32 and card of a weights file or a shipped model.

    `path` is a path or the name of a shipped model. The two files of an export complete each
    other: the network lacks the heads, and the weights file beside it has nothing else. Without
    that file, the heads are missing from the parameters. Raises WeightsError.
    """
    if str(path) in library.shipped_names():
        return _load_pair(library.find(str(path)))
    path = Path(path)
    if not is_file(path):
        raise WeightsError(
            f"{path}: no such weights file; give a .safetensors or .onnx file or the name of a "
            f"shipped model: {', '.join(library.shipped_names())}"
        )
    if path.name == STATE:
        raise WeightsError(
            f"{path}: is the checkpoint of a run; its weights are in {path.with_name(WEIGHTS)}"
        )
    if path.suffix == NETWORK_SUFFIX:
        return _load_pair(library.find(path))
    loaded = _load_safetensors(path)
    if not _has_heads_only(loaded[1]):
        return loaded
    if not is_file(path.with_suffix(NETWORK_SUFFIX)):
        raise WeightsError(
            f"{path}: holds the heads only; keep {path.stem}{NETWORK_SUFFIX}, which holds the "
            "rest, in the same folder"
        )
    return _load_pair(library.find(path))


def _load_pair(model: library.Model) -> Weights:
    """Return the parameters of an exported network, and those of its weights file if it has one."""
    if model.safetensors_path is None:
        return _load_exported(model.onnx_path)
    configuration, tensors, card = _load_safetensors(model.safetensors_path)
    if _has_heads_only(tensors):
        tensors |= _load_exported(model.onnx_path)[1]
    return configuration, tensors, card


def _has_heads_only(tensors: Mapping[str, Tensor]) -> bool:
    return all(name.startswith(HEADS) for name in tensors)


def _load_exported(path: Path) -> Weights:
    """Return configuration, parameters and card of an exported network, without heads."""
    header = read_onnx_metadata(path)
    if KEY not in header:
        raise WeightsError(
            f"{path}: does not name its trained tensors, because an older version exported it; "
            "use the .safetensors file that was written beside it"
        )
    try:
        configuration = PLNLINConfiguration.from_json(header["derain.configuration"])
        with torch.device("meta"):
            parameters = PLNLIN(configuration).state_dict()
        shapes = [(name, tuple(x.shape)) for name, x in parameters.items()]
        kept = [(name, shape) for name, shape in shapes if not name.startswith(HEADS)]
        arrays = read_tensors(path, header[KEY], kept)
        tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
        return configuration, tensors, json.loads(header["derain.card"])
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"{path}: its trained tensors or its card are damaged ({error!r}); export it again"
        ) from None


def _load_safetensors(path: Path) -> Weights:
    """Return configuration, parameters and card of a safetensors file."""
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: is not a safetensors file, or is damaged ({error}); "
            "download or export it again"
        ) from None
    if kind := header.get(library.RIVAL_KEY):
        raise WeightsError(library.rival_message(path, kind))
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
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise WeightsError(
            f"{path}: its configuration or card is damaged ({error!r}); download or export it again"
        ) from None


def load(weights: str | Path = library.DEFAULT, *, device: str | torch.device = "cpu") -> PLNLIN:
    """Return a trained generator in float32 and evaluation mode, on `device`.

    `weights` is the name of a shipped model ("best", "fast") or the path of a .safetensors
    or .onnx file. Hierarchical heads that the file lacks have their initial, random weights. Raises
    WeightsError for an unknown name or an unusable file.
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
    """Copy `tensors` into `network`. Raises WeightsError if names or shapes differ.

    If `tensors` has no hierarchical heads, those of the network stay as they are.
    """
    expected = network.state_dict()
    if not any(name.startswith(HEADS) for name in tensors):
        expected = {k: v for k, v in expected.items() if not k.startswith(HEADS)}
    wrong = sorted(set(expected) ^ set(tensors)) or [
        name for name in expected if expected[name].shape != tensors[name].shape
    ]
    if wrong:
        raise WeightsError(
            f"{path}: does not fit the network (first mismatch: {wrong[0]}); "
            "use the [network] section that it was trained with"
        )
    with torch.no_grad():
        network.load_state_dict(dict(tensors), strict=False)
