"""A model as a `.dtmodel` file, which darktable 5.6 and newer load ("neural restore", denoise)."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from derain import __version__
from derain.errors import WeightsError
from derain.files.atomic import atomic_write, writing
from derain.weights import Model

SUFFIX = ".dtmodel"
TASK = "denoise"
"""darktable's name for a network that maps RGB to RGB of the same size."""
MODEL_FILE = "model.onnx"


def model_id(name: str) -> str:
    """Return darktable's id: the task, then lowercase words joined by hyphens."""
    return f"{TASK}-derain-{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}"


def manifest(model: Model) -> dict[str, Any]:
    """Return the contents of `config.json` (darktable, src/ai/README.md)."""
    return {
        "id": model_id(model.name),
        "name": f"derain {model.name}",
        "description": "Removes rain streaks (PLNLIN)",
        "task": TASK,
        "arch": "plnlin",
        "backend": "onnx",
        "version": __version__,
        "num_inputs": 1,
        "tiling": True,
    }


def write_dtmodel(model: Model, path: Path) -> None:
    """Write the zip archive that darktable imports: one folder of the model's id.

    The network takes float32 (1, 3, H, W), RGB in 0..1 with the sRGB curve, for any H and W, and
    returns the same; darktable cuts the tiles. Raises WeightsError.
    """
    if path.suffix.lower() != SUFFIX:
        raise WeightsError(f"{path}: darktable imports {SUFFIX} files only; choose such a name")
    if model.frames > 1:
        raise WeightsError(
            f"{model.onnx_path}: needs {model.frames} frames, but darktable gives it one picture; "
            "choose a model for pictures"
        )
    folder = model_id(model.name)
    contents = {
        "config.json": json.dumps(manifest(model), indent=4).encode(),
        MODEL_FILE: model.onnx_path.read_bytes(),
    }
    with (
        writing(path, WeightsError),
        atomic_write(path) as file,
        zipfile.ZipFile(file, "w") as archive,
    ):
        for name, data in contents.items():
            # a fixed date, so that the same model gives the same file
            entry = zipfile.ZipInfo(f"{folder}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
