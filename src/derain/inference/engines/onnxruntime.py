"""The network in ONNX Runtime: an extra, for NVIDIA GPUs and for machines without OpenVINO."""

from __future__ import annotations

import importlib.util
import threading
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from derain.environment import UNKNOWN_VERSION
from derain.errors import EngineError

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml")
"""Distributions that contain the module `onnxruntime`."""
ERRORS_ONLY = 3


class OnnxRuntimeEngine:
    """An `Engine` on the execution providers of the installed build; float32 only."""

    bytes_per_px = one_size_bytes_per_px = 1800
    name = "onnxruntime"
    precision = "float32"

    def __init__(
        self,
        onnx_path: Path,
        *,
        device: str = "cpu",
        threads: int | None = None,
        precision: str | None = None,
    ) -> None:
        """Raises EngineError. See `open_engine` for the arguments."""
        import onnxruntime

        if precision == "bfloat16":
            raise EngineError("onnxruntime supports float32 only; use --engine openvino")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        # sizes change from picture to picture, and a plan for each would be kept forever
        options.enable_mem_pattern = False
        if threads is not None:
            options.intra_op_num_threads = threads
        provider = PROVIDERS[device]
        try:
            self._session = onnxruntime.InferenceSession(onnx_path, options, providers=[provider])
        except Exception as error:  # its exceptions have no common base class
            raise EngineError(
                f"{onnx_path}: ONNX Runtime cannot load it on {device} ({_first_line(error)}); "
                "try --engine openvino"
            ) from error
        if self._session.get_providers()[0] != provider:  # it falls back to the CPU silently
            raise EngineError(
                f"ONNX Runtime cannot load its libraries for {device}; install them "
                "(`python -c 'import onnxruntime; onnxruntime.print_debug_info()'` lists them), "
                "or use --device cpu"
            )
        self.device = f"{device}, {self.precision}"
        self._lock = threading.Lock()

    def __call__(
        self, rainy: NDArray[np.float32], *, one_size: bool = False
    ) -> NDArray[np.float32]:
        """See `Engine`."""
        try:
            with self._lock:  # each concurrent call would take the memory of a tile
                (restored,) = self._session.run(None, {self._session.get_inputs()[0].name: rainy})
        except Exception as error:
            size = "x".join(str(side) for side in rainy.shape[:1:-1])
            raise EngineError(
                f"ONNX Runtime failed on {size} pixels ({_first_line(error)}); "
                "try a smaller --limit-mib"
            ) from error
        return np.asarray(restored, dtype=np.float32)


def version() -> str | None:
    """Return the version of the library, or None if it is not installed, without importing it."""
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    installed = (found for name in DISTRIBUTIONS for found in distributions(name=name))
    return next((distribution.version for distribution in installed), UNKNOWN_VERSION)


def devices() -> tuple[str, ...]:
    """Return the devices that this build of the library supports.

    Raises EngineError if the library cannot be loaded.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineError(
            f"ONNX Runtime is installed, but cannot be loaded ({_first_line(error)}); "
            "install it again, or use --engine openvino"
        ) from error
    available = onnxruntime.get_available_providers()
    return tuple(device for device, provider in PROVIDERS.items() if provider in available)


def _first_line(error: Exception) -> str:
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)
