"""Find a model by name or file, and reject files that are damaged, altered or too new."""

from __future__ import annotations

import atexit
import hashlib
import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    from importlib.resources.abc import Traversable
else:
    from importlib.abc import Traversable

from derain.errors import WeightsError
from derain.files.paths import exists, is_file
from derain.weights.headers import read_onnx_metadata, read_safetensors_metadata

FORMAT = 1
"""The newest format of weights files that this version reads."""
COLOURS = 3
SHIPPED: Traversable = files("derain.weights") / "models"
"""Folder of the shipped models; not a path if derain is imported from a zip archive."""
RIVAL_KEY = "derain.rival"
"""Key of the metadata with the name of another paper's network (`derain.rivals`)."""
MODEL_SUFFIXES = {".onnx", ".safetensors"}
"""Suffixes of model files; any other name refers to a shipped model."""
DEFAULT = "best"
"""The shipped model that is used by default."""
CLIP_DEFAULT = "clip"
"""The shipped model that is used for clips by default."""
_used: dict[str, Path] = {}
"""Paths of the shipped files that this process has used."""
_extracted = ExitStack()
"""Removes those that were extracted from a zip archive."""


@dataclass(frozen=True)
class Model:
    """A network that can be run, with its metadata."""

    name: str
    onnx_path: Path
    safetensors_path: Path | None
    """The hierarchical heads, or all weights of an older export; None without such a file."""
    configuration: Mapping[str, Any]
    """The frozen dataclass of the network."""
    card: Mapping[str, Any]
    """How it was trained: hours, steps, data, validation."""
    multiple_px: int = 1
    """Sides that are multiples of this need no padding: all four levels have whole windows."""

    @property
    def frames(self) -> int:
        """Frames that the network sees at once: 1 for a network for pictures."""
        return int(self.configuration.get("frames", 1))

    @property
    def channels(self) -> int:
        """Channels for each pixel of the picture, where a network needs the most memory.

        These are the feature channels of level 1. If level 1 is smaller than the picture, they are
        a pixel's share of its features, and the picture's colours, in all frames.
        """
        channels = self.configuration.get("channels", [16])[0]
        unshuffle = self.configuration.get("unshuffle", 1)
        colours = COLOURS * self.frames
        return int(channels if unshuffle == 1 else -(-channels // unshuffle**2) + colours)

    def require_pictures(self) -> None:
        """Raise WeightsError for a network for clips, which cannot restore a single picture."""
        if self.frames > 1:
            is_shipped = self.onnx_path in _used.values()
            raise WeightsError(
                f"{self.name if is_shipped else self.onnx_path}: restores clips, since it needs "
                f"{self.frames} frames; choose another --model for pictures"
            )


def models() -> dict[str, Model]:
    """Return the shipped models by name. Raises WeightsError if one of them is damaged."""
    return {name: find(name) for name in shipped_names()}


def picture_models() -> dict[str, Model]:
    """Return the shipped models that restore single pictures, as `models` does."""
    return {name: model for name, model in models().items() if model.frames == 1}


def shipped_names() -> list[str]:
    """Return the sorted names of the shipped models."""
    names = [Path(entry.name) for entry in SHIPPED.iterdir()]
    return sorted(name.stem for name in names if name.suffix == ".onnx")


def shipped_file(name: str, suffix: str = ".onnx") -> Path | None:
    """Return a file of a shipped model, if there is one.

    It is extracted from a zip archive for the duration of this process.
    """
    resource = SHIPPED / f"{name}{suffix}"
    if not resource.is_file():
        return None
    key = str(resource)
    if key not in _used:
        _used[key] = _extracted.enter_context(as_file(resource))
    return _used[key]


@atexit.register
def _remove_extracted() -> None:
    with suppress(OSError):  # Windows does not remove open files
        _extracted.close()


def find(name_or_path: str | Path) -> Model:
    """Find a shipped model by name, or a user's model by its .onnx or .safetensors file.

    Two files with the same name and these suffixes belong together. The weights contain the
    checksum of the exported network, so that outdated pairs are detected.

    Raises WeightsError for an unknown name, and for a file that is missing, truncated, altered or
    of a newer format.
    """
    path = Path(name_or_path)
    if path.suffix not in MODEL_SUFFIXES:
        return _find_shipped(str(name_or_path))
    if path.suffix == ".safetensors" and is_file(path) and not exists(path.with_suffix(".onnx")):
        _read_metadata(path)  # raises for a file that cannot be exported
        raise WeightsError(
            f"{path}: there is no exported network beside it; "
            f"`derain export {path}` writes {path.stem}_exported.onnx"
        )
    if not is_file(path):
        raise WeightsError(
            f"{path}: no such file, or no permission to read it; "
            "`derain info` lists the shipped models"
        )
    weights = path.with_suffix(".safetensors")
    return _load(path.stem, path.with_suffix(".onnx"), weights if exists(weights) else None)


def rival_message(path: Path, kind: str) -> str:
    """Return the message for weights of another paper's network that are named without it."""
    return f"{path}: holds a network of another paper; name it with the file, as {kind}:{path}"


def _find_shipped(name: str) -> Model:
    known = shipped_names()
    onnx_path = shipped_file(name) if name in known else None
    if onnx_path is None:
        raise WeightsError(
            f"{name}: unknown model; choose from {', '.join(known) or 'none'}, "
            "or name a .onnx or .safetensors file"
        )
    return _load(name, onnx_path, shipped_file(name, ".safetensors"))


def _load(name: str, onnx_path: Path, safetensors_path: Path | None) -> Model:
    metadata = _read_metadata(onnx_path)
    if safetensors_path is not None:
        checksum = _read_metadata(safetensors_path).get("derain.onnx_sha256")
        _check_pair(onnx_path, safetensors_path, expected_sha256=checksum)
    return Model(
        name=name,
        onnx_path=onnx_path,
        safetensors_path=safetensors_path,
        configuration=_parse_configuration(onnx_path, metadata),
        card=_parse_json(onnx_path, metadata, "derain.card"),
        multiple_px=_parse_multiple_px(onnx_path, metadata),
    )


def _parse_configuration(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    configuration = _parse_json(path, metadata, "derain.configuration")
    channels = configuration.get("channels", [16])
    if (
        not isinstance(channels, list)
        or not channels
        or not all(type(count) is int and count > 0 for count in channels)
    ):
        raise WeightsError(
            f"{path}: its channels are not a list of positive integers; "
            "export it again with `derain export`"
        )
    unshuffle = configuration.get("unshuffle", 1)
    if type(unshuffle) is not int or unshuffle < 1:
        raise WeightsError(
            f"{path}: its unshuffle {unshuffle!r} is not a positive integer; "
            "export it again with `derain export`"
        )
    frames = configuration.get("frames", 1)
    if type(frames) is not int or frames < 1 or frames % 2 == 0:
        raise WeightsError(
            f"{path}: its frames {frames!r} is not an odd number of frames; "
            "export it again with `derain export`"
        )
    return configuration


def _parse_multiple_px(path: Path, metadata: Mapping[str, str]) -> int:
    text = metadata.get("derain.multiple_px", "1")
    if not text.isdecimal() or not int(text):
        raise WeightsError(
            f"{path}: its derain.multiple_px {text!r} is not a positive integer; "
            "export it again with `derain export`"
        )
    return int(text)


def _read_metadata(path: Path) -> dict[str, str]:
    read = read_onnx_metadata if path.suffix == ".onnx" else read_safetensors_metadata
    try:
        metadata = read(path)
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror}); check that it exists and is readable"
        ) from error
    except ValueError as error:
        raise WeightsError(
            f"{path}: the weights file is damaged ({error}); copy or install it again"
        ) from error
    if kind := metadata.get(RIVAL_KEY):
        raise WeightsError(rival_message(path, kind))
    file_format = metadata.get("derain.format")
    if file_format is None:
        raise WeightsError(f"{path}: was not written by derain; use a file from `derain export`")
    if not file_format.isdecimal() or int(file_format) > FORMAT:
        raise WeightsError(
            f"{path}: has format {file_format}, but this version reads up to {FORMAT}; "
            "install a newer derain"
        )
    return metadata


def _check_pair(onnx_path: Path, weights: Path, *, expected_sha256: str | None) -> None:
    if expected_sha256 is None:
        return
    with onnx_path.open("rb") as file:
        actual = hashlib.sha256(file.read()).hexdigest()
    if actual != expected_sha256:
        raise WeightsError(
            f"{onnx_path}: was not exported from {weights.name}; "
            f"run `derain export {weights}` again"
        )


def _parse_json(path: Path, metadata: Mapping[str, str], key: str) -> dict[str, Any]:
    try:
        value = json.loads(metadata.get(key, "{}"))
    except (ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path}: its {key} is not valid JSON; export it again with `derain export`"
        ) from error
    return value if isinstance(value, dict) else {}
