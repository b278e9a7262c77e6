"""A model as a file for spandrel, which `integrations/spandrel` registers."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save

from derain.errors import WeightsError
from derain.files.atomic import atomic_write, writing
from derain.network.weights_file import load_weights
from derain.weights.exported_tensors import HEADS

SUFFIX = ".safetensors"
CONFIGURATION = "derain.configuration"
"""A tensor with the configuration as JSON: spandrel passes tensors only, no metadata."""


def write_spandrel(model: str | Path, path: Path) -> None:
    """Write the trained tensors of a model in float32, without heads, and its configuration.

    `model` is a shipped model or a weights file. Raises WeightsError.
    """
    if path.suffix != SUFFIX:
        raise WeightsError(f"{path}: spandrel reads {SUFFIX} files; choose such a name")
    configuration, tensors, _ = load_weights(model)
    if configuration.frames > 1:
        raise WeightsError(
            f"{model}: sees {configuration.frames} frames of a clip, and spandrel passes single "
            "pictures; choose another model"
        )
    contents = {k: v.contiguous() for k, v in tensors.items() if not k.startswith(HEADS)}
    text = configuration.to_json().encode()
    contents[CONFIGURATION] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    with writing(path, WeightsError), atomic_write(path) as file:
        file.write(save(contents))
