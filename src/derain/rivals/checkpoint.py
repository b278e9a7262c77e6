"""Read official checkpoints without running code in them, and fit them to our networks."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from derain.errors import WeightsError
from derain.files.paths import exists, is_file
from derain.rivals.rival import Rival
from derain.rivals.tensorflow_checkpoint import read_tensorflow
from derain.rivals.weights_file import SUFFIX, read_rival

WEIGHTS_KEYS = ("net", "state_dict", "model", "network", "params", "params_ema", "generator")
"""Keys under which published checkpoints hold the network, next to the optimiser and the epoch."""
COUNTER = re.compile(r"\.num_batches_tracked$")
"""Counters of batch normalisation, which older checkpoints lack and testing does not read."""
MAX_LISTED = 4
"""Names that a message lists."""


@dataclass(frozen=True)
class Checkpoint:
    """Content of an official checkpoint."""

    tensors: dict[str, Tensor]
    """Parameters by their official names, without a `module.` prefix."""
    extras: list[str]
    """Other content of the file, such as the state of the optimiser."""
    kind: str | None = None
    """Name of the network; official checkpoints do not have one."""
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments of a network that was trained here in another shape."""
    card: dict[str, Any] = field(default_factory=dict)
    """Facts about a training here; official checkpoints have none."""


@dataclass(frozen=True)
class Fit:
    """Comparison of a checkpoint with a network, by official names."""

    matched: list[str]
    missing: list[str]
    """Parameters of the network that the checkpoint lacks."""
    unexpected: list[str]
    """Parameters in the checkpoint that the network lacks."""
    misshapen: list[str]
    """Parameters with different shapes, with both shapes."""
    unused: list[str]
    """Parameters that the official code stores and never reads."""
    extras: list[str]
    """See `Checkpoint`."""

    @property
    def is_complete(self) -> bool:
        """True if every parameter has a value, and no value is left over."""
        return not (self.missing or self.unexpected or self.misshapen)

    def __str__(self) -> str:
        total = len(self.matched) + len(self.missing) + len(self.misshapen)
        parts = [f"{len(self.matched)} of {total} parameters fit"]
        parts += [
            f"{len(names)} {label} ({_join(names)})"
            for label, names in (
                ("missing", self.missing),
                ("unknown", self.unexpected),
                ("of another shape", self.misshapen),
                ("stored but never read by the official code", self.unused),
            )
            if names
        ]
        if self.extras:
            parts.append(f"ignored: {_join(self.extras)}")
        return "; ".join(parts)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint of PyTorch, the .index file of one of TensorFlow, or weights trained here.

    PyTorch's loader runs with `weights_only`, so that no pickled code is executed. Raises
    WeightsError for a file that is missing, damaged, or holds no parameters.
    """
    path = Path(path)
    index = _tensorflow_index(path)
    if index is not None:
        return _split_slots(read_tensorflow(index))
    if not is_file(path):
        raise WeightsError(
            f"{path}: no such checkpoint; `derain rivals` shows where each one is published"
        )
    if path.suffix == SUFFIX:
        trained = read_rival(path)
        return Checkpoint(trained.tensors, [], trained.kind, trained.options, trained.card)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise WeightsError(
            f"{path}: is not a checkpoint of PyTorch, is damaged, or holds code, which derain "
            f"never runs ({_first_line(error)}); download it again"
        ) from error
    checkpoint = _split(content)
    if not checkpoint.tensors:
        raise WeightsError(f"{path}: holds no parameters; name the file with the network")
    return checkpoint


def fit(network: Rival, checkpoint: Checkpoint) -> Fit:
    """Compare names and shapes."""
    actual = checkpoint.tensors
    expected = {
        official: tensor
        for name, tensor in network.state_dict().items()
        if (official := network.official_name(name)) in actual or not COUNTER.search(name)
    }
    unused = [name for name in actual if name not in expected and re.search(network.UNUSED, name)]
    misshapen = {
        name: f"{name}: {tuple(actual[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in actual and actual[name].shape != tensor.shape
    }
    return Fit(
        matched=[name for name in expected if name in actual and name not in misshapen],
        missing=[name for name in expected if name not in actual],
        unexpected=[name for name in actual if name not in expected and name not in unused],
        misshapen=list(misshapen.values()),
        unused=unused,
        extras=checkpoint.extras,
    )


def load_into(network: Rival, checkpoint: Checkpoint, *, path: str | Path) -> Fit:
    """Copy a checkpoint into a network. Raises WeightsError unless every parameter fits."""
    result = fit(network, checkpoint)
    if not result.is_complete:
        raise WeightsError(
            f"{path}: is not a checkpoint of this network ({result}); "
            "`derain rivals` lists the networks and their published weights"
        )
    tensors = {
        name: checkpoint.tensors[official].float()
        for name in network.state_dict()
        if (official := network.official_name(name)) in checkpoint.tensors
    }
    network.load_state_dict(tensors, strict=False)  # without the counters, see `fit`
    return result


def _split(content: Any) -> Checkpoint:
    """Separate the parameters from everything else in the file."""
    if not isinstance(content, Mapping):
        return Checkpoint({}, [])
    key = next((key for key in WEIGHTS_KEYS if isinstance(content.get(key), Mapping)), None)
    weights = content if key is None else content[key]
    extras = [] if key is None else [str(name) for name in content if name != key]
    tensors = {
        str(name).removeprefix("module."): value
        for name, value in weights.items()
        if isinstance(value, Tensor)
    }
    return Checkpoint(tensors, extras)


def _split_slots(tensors: Mapping[str, Tensor]) -> Checkpoint:
    """Separate the state of TensorFlow's optimisers, which is stored as further variables."""
    slot = re.compile(r"/(Adam|Adam_1|Momentum)$|^beta[12]_power$|global_step$")
    return Checkpoint(
        {name: tensor for name, tensor in tensors.items() if not slot.search(name)},
        [name for name in tensors if slot.search(name)],
    )


def _tensorflow_index(path: Path) -> Path | None:
    """Return the index of a TensorFlow checkpoint, named by one of its files or by their prefix."""
    prefix = re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", path.name)
    index = path.with_name(f"{prefix}.index")
    return index if exists(index) and (prefix != path.name or not exists(path)) else None


def _join(names: list[str]) -> str:
    rest = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
