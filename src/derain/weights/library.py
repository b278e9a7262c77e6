"""Find a model by its name or its file, and refuse what cannot be trusted to be one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from derain.errors import WeightsError
from derain.files.paths import exists, is_file
from derain.weights.headers import onnx_notes, safetensors_notes

FORMAT = 1
"""The newest format of weights files that this version reads."""
SHIPPED = Path(__file__).parent / "models"
SUFFIXES = {".onnx", ".safetensors"}
"""Of the files of a model; what ends otherwise is the name of a shipped one."""
DEFAULT = "best"
"""The shipped model that restores where none is named."""


@dataclass(frozen=True)
class Model:
    """A network that can be run, and what is known about it."""

    name: str
    onnx_path: Path
    safetensors_path: Path | None
    """The weights to train on from; None where a user has only the exported network."""
    configuration: Mapping[str, Any]
    """The frozen dataclass of the network."""
    card: Mapping[str, Any]
    """How it was made: hours, steps, data, validation."""
    multiple_px: int = 1
    """Sides that are multiples of this are restored without padding: whole windows at all four levels."""

    @property
    def channels(self) -> int:
        """Feature channels at full resolution, where a network needs the most memory."""
        return int(self.configuration.get("channels", [16])[0])


def models() -> dict[str, Model]:
    """The models that ship with derain, by name. Raises WeightsError if one of them is damaged."""
    return {path.stem: _load(path) for path in sorted(SHIPPED.glob("*.onnx"))}


def find(name_or_path: str | Path) -> Model:
    """Find a shipped model by name, or a user's by the path of its .onnx or .safetensors file.

    A file beside it of the same name and the other suffix belongs to it; the weights know the checksum of the exported network,
    so that the two cannot drift apart. Raises WeightsError for an unknown name and a file that is missing, cut short, altered, or
    of a newer format.
    """
    path = Path(name_or_path)
    if path.suffix not in SUFFIXES:
        known = sorted(file.stem for file in SHIPPED.glob("*.onnx"))
        if str(name_or_path) not in known:
            raise WeightsError(
                f"{name_or_path}: no model of that name ships with derain; there is {', '.join(known) or 'none'}, "
                "or name a .onnx or .safetensors file"
            )
        path = SHIPPED / f"{name_or_path}.onnx"
    if path.suffix == ".safetensors" and is_file(path) and not exists(path.with_suffix(".onnx")):
        raise WeightsError(
            f"{path}: no exported network lies beside it; `derain export {path}` makes {path.stem}_exported.onnx"
        )
    if not is_file(path):
        raise WeightsError(
            f"{path}: there is no such file that this user may read; `derain info` lists the models that ship with derain"
        )
    return _load(path.with_suffix(".onnx"))


def _load(onnx_path: Path) -> Model:
    safetensors_path = onnx_path.with_suffix(".safetensors")
    notes = _notes(onnx_path)
    if exists(safetensors_path):
        _check_pair(onnx_path, expected=_notes(safetensors_path).get("derain.onnx_sha256"))
    return Model(
        name=onnx_path.stem,
        onnx_path=onnx_path,
        safetensors_path=safetensors_path if exists(safetensors_path) else None,
        configuration=_configuration(onnx_path, notes),
        card=_json(onnx_path, notes, "derain.card"),
        multiple_px=_multiple_px(onnx_path, notes),
    )


def _configuration(path: Path, notes: Mapping[str, str]) -> dict[str, Any]:
    configuration = _json(path, notes, "derain.configuration")
    channels = configuration.get("channels", [16])
    if (
        not isinstance(channels, list)
        or not channels
        or not all(type(count) is int and count > 0 for count in channels)
    ):
        raise WeightsError(
            f"{path}: its channels are no list of numbers above 0; export it anew with `derain export`"
        )
    return configuration


def _multiple_px(path: Path, notes: Mapping[str, str]) -> int:
    text = notes.get("derain.multiple_px", "1")
    if not text.isdecimal() or not int(text):
        raise WeightsError(
            f"{path}: its derain.multiple_px {text!r} is no number above 0; export it anew with `derain export`"
        )
    return int(text)


def _notes(path: Path) -> dict[str, str]:
    try:
        notes = onnx_notes(path) if path.suffix == ".onnx" else safetensors_notes(path)
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror}); check that it is there and its permissions"
        ) from error
    except ValueError as error:
        raise WeightsError(
            f"{path}: the weights file is damaged ({error}); copy or install it again"
        ) from error
    if "derain.format" not in notes:
        raise WeightsError(f"{path}: was not written by derain; `derain export` makes such files")
    if not notes["derain.format"].isdecimal() or int(notes["derain.format"]) > FORMAT:
        raise WeightsError(
            f"{path}: made for format {notes['derain.format']}, this version reads up to {FORMAT}; install a newer derain"
        )
    return notes


def _check_pair(onnx_path: Path, *, expected: str | None) -> None:
    if expected is None:
        return
    with onnx_path.open("rb") as file:
        actual = hashlib.sha256(file.read()).hexdigest()
    if actual != expected:
        weights = onnx_path.with_suffix(".safetensors")
        raise WeightsError(
            f"{onnx_path}: is not the network that was exported from {weights.name}; `derain export {weights}` anew"
        )


def _json(path: Path, notes: Mapping[str, str], key: str) -> dict[str, Any]:
    try:
        value = json.loads(notes.get(key, "{}"))
    except (ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path}: its {key} does not read as JSON; export it anew with `derain export`"
        ) from error
    return value if isinstance(value, dict) else {}
