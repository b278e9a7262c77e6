"""The network in PyTorch: part of the extra `train`, for any CUDA card that PyTorch supports.

`derain.network` runs it. It is imported when the engine is used: this wing does not need torch.
"""

from __future__ import annotations

import importlib.util
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from derain.environment import installed_version
from derain.errors import EngineError


def open_engine(onnx_path: Path, **options: Any) -> Any:
    """Return an `Engine` for an exported network of derain. Raises WeightsError and EngineError."""
    return _import_engine().TorchEngine(onnx_path, **options)


def version() -> str | None:
    """Return the version of the library, or None if it is not installed, without importing it."""
    return installed_version("torch") if importlib.util.find_spec("torch") else None


def devices() -> tuple[str, ...]:
    """Return the devices that the library finds on this machine.

    Raises EngineError if the library cannot be loaded.
    """
    return cast("tuple[str, ...]", _import_engine().devices())


def _import_engine() -> Any:
    try:
        import_module("torch")
        return import_module("derain.network.torch_engine")
    except (ImportError, OSError) as error:
        raise EngineError(
            f"PyTorch is installed, but cannot be loaded ({error}); "
            "install it with `pip install 'derain[train]'`, or use --engine openvino"
        ) from error
