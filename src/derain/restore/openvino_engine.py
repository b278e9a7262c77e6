"""The network in OpenVINO: the default, because it is the fastest on the processors that we measured."""

from __future__ import annotations

import importlib.util
import threading
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.errors import EngineError


class OpenVinoEngine:
    """An `Engine` (see there) on any device that OpenVINO has: cpu, gpu, npu, or auto."""

    name = "openvino"

    def __init__(self, onnx_path: Path, *, device: str = "cpu", threads: int | None = None, precision: str | None = None) -> None:
        import openvino

        core = openvino.Core()
        self.precision = precision or _best_precision(core, device)
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if device == "cpu":
            options["INFERENCE_PRECISION_HINT"] = {"float32": "f32", "bfloat16": "bf16"}[self.precision]
            if threads is not None:
                options["INFERENCE_NUM_THREADS"] = threads
        try:
            self._compiled = core.compile_model(core.read_model(onnx_path), device.upper(), options)
            self._request = self._compiled.create_infer_request()
        except RuntimeError as error:
            raise EngineError(
                f"{onnx_path}: OpenVINO refuses it on {device} ({_first_line(error)}); try --engine onnxruntime"
            ) from error
        full_name = core.get_property(device.upper(), "FULL_DEVICE_NAME") if device != "auto" else "the best device"
        self.device = f"{device} ({full_name}), {self.precision}"
        self.bytes_px = {"float32": 2400, "bfloat16": 1000}[self.precision]
        self._one_at_a_time = threading.Lock()

    def __call__(self, rainy: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine`."""
        # one request uses all threads of the processor; a second one beside it would double the memory and not the speed
        with self._one_at_a_time:
            try:
                self._request.infer([np.ascontiguousarray(rainy)], share_inputs=True)
            except RuntimeError as error:
                size = "x".join(str(side) for side in rainy.shape[:1:-1])
                raise EngineError(
                    f"OpenVINO failed on {size} pixels ({_first_line(error)}); try a smaller --limit-mib"
                ) from error
            return np.array(self._request.get_output_tensor(0).data)


def version() -> str | None:
    """The version of the library, or None where it is not installed; does not import it."""
    return installed_version("openvino") if importlib.util.find_spec("openvino") else None


def devices() -> tuple[str, ...]:
    """The devices that the library finds on this machine, in lower case."""
    import openvino

    return (*(device.lower() for device in openvino.Core().available_devices), "auto")


def _best_precision(core: Any, device: str) -> str:
    capable = device == "cpu" and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bfloat16" if capable else "float32"


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
