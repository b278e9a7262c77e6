"""The network in ONNX Runtime: an extra, for graphics cards of NVIDIA and for machines without OpenVINO."""

from __future__ import annotations

import importlib.util
import threading
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from derain.errors import EngineError

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml")
"""The names under which the same module is published."""
ERRORS_ONLY = 3


class OnnxRuntimeEngine:
    """An `Engine` (see there) on the execution providers that this build of ONNX Runtime has; float32 only."""

    bytes_px = 1800
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
        import onnxruntime

        if precision == "bfloat16":
            raise EngineError(
                "onnxruntime runs the network in float32 only; use --engine openvino for bfloat16"
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        options.enable_mem_pattern = (
            False  # sizes change from picture to picture, and a plan for each is kept for ever
        )
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                onnx_path, options, providers=[PROVIDERS[device]]
            )
        except Exception as error:  # its exceptions have no common base but this
            raise EngineError(
                f"{onnx_path}: ONNX Runtime refuses it on {device} ({_first_line(error)}); try --engine openvino"
            ) from error
        if (
            self._session.get_providers()[0] != PROVIDERS[device]
        ):  # it goes on with the processor, and says so to nobody
            raise EngineError(
                f"ONNX Runtime cannot load its libraries for {device}; install them (`python -c 'import onnxruntime; "
                "onnxruntime.print_debug_info()'` tells which), or leave out --device"
            )
        self.device = f"{device}, {self.precision}"
        self._one_at_a_time = threading.Lock()

    def __call__(self, rainy: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine`."""
        try:
            with (
                self._one_at_a_time
            ):  # it may be called by many, but each call takes the memory of a tile
                (restored,) = self._session.run(None, {self._session.get_inputs()[0].name: rainy})
        except Exception as error:
            size = "x".join(str(side) for side in rainy.shape[:1:-1])
            raise EngineError(
                f"ONNX Runtime failed on {size} pixels ({_first_line(error)}); try a smaller --limit-mib"
            ) from error
        return np.asarray(restored, dtype=np.float32)


def version() -> str | None:
    """The version of the library, or None where it is not installed; does not import it."""
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    return next(
        (found.version for name in DISTRIBUTIONS for found in distributions(name=name)), "unknown"
    )


def devices() -> tuple[str, ...]:
    """The devices that this build of the library knows."""
    import onnxruntime

    available = onnxruntime.get_available_providers()
    return tuple(device for device, provider in PROVIDERS.items() if provider in available)


def _first_line(error: Exception) -> str:
    return next(
        (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
    )
