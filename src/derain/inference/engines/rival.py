"""Networks of other papers as models: `prenet:PATH` is PReNet with the weights of a file.

They run in PyTorch, in `derain.rivals`, which is imported when the first one is opened.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from derain.files.paths import exists, is_file
from derain.weights import Model

if TYPE_CHECKING:
    from derain.inference.engines.engine import Engine

RIVAL = re.compile(r"([a-z][a-z0-9_-]+):(.+)")
"""NAME:PATH. A single letter before the colon is a drive of Windows."""


def find_rival(name_or_path: str | Path) -> Model | None:
    """Return the model that `NAME:PATH` names, or None for another kind of model.

    `onnx_path` is the official checkpoint; of a checkpoint of TensorFlow, its index.
    """
    match = RIVAL.fullmatch(str(name_or_path))
    if match is None or exists(Path(name_or_path)):
        return None
    path = Path(match[2]).expanduser()
    index = path.with_name(f"{path.name}.index")
    return Model(
        name=match[1],
        onnx_path=index if is_file(index) and not is_file(path) else path,
        safetensors_path=None,
        configuration={},
        card={},
    )


def absolute_name(model: Model) -> str:
    """Return `NAME:PATH` for a process that may run in another folder."""
    return f"{model.name}:{model.onnx_path.absolute()}"


def open_rival(
    path: Path,
    *,
    name: str,
    engine: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    precision: str | None = None,
) -> Engine:
    """Load the network `name` with the official checkpoint `path`.

    Raises WeightsError for an unknown name or a file that does not fit, and EngineError for another
    engine than PyTorch, an unavailable device, or another precision than float32.
    """
    rivals = import_module("derain.rivals.engine")  # by name: this wing does not need torch
    return cast(
        "Engine",
        rivals.open_engine(
            path, name=name, engine=engine, device=device, threads=threads, precision=precision
        ),
    )
