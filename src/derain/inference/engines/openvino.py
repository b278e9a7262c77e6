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

HINT = "INFERENCE_PRECISION_HINT"
OPENVINO_PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
"""Kinds of numbers, in our words and in OpenVINO's."""


class OpenVinoEngine:
    """An `Engine` (see there) on any device that OpenVINO has: cpu, gpu, npu, or auto.

    `precision` is what the network is really computed in, also where the device has not what it was asked for: float32,
    bfloat16, float16, or `the precision of the device` where OpenVINO does not say.
    """

    name = "openvino"

    def __init__(
        self,
        onnx_path: Path,
        *,
        device: str = "cpu",
        threads: int | None = None,
        precision: str | None = None,
    ) -> None:
        import openvino

        core = openvino.Core()
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if device == "auto" or HINT in core.get_property(
            device.upper(), "SUPPORTED_PROPERTIES"
        ):  # auto hands it on
            options[HINT] = OPENVINO_PRECISIONS[precision or _best_precision(core, device)]
        if device == "cpu" and threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            self._compiled = core.compile_model(core.read_model(onnx_path), device.upper(), options)
            self._request = self._compiled.create_infer_request()
        except RuntimeError as error:
            raise EngineError(
                f"{onnx_path}: OpenVINO refuses it on {device} ({_first_line(error)}); try --engine onnxruntime"
            ) from error
        full_name = (
            core.get_property(device.upper(), "FULL_DEVICE_NAME")
            if device != "auto"
            else "the best device"
        )
        self.precision = _actual_precision(self._compiled) or "the precision of the device"
        self.device = f"{device} ({full_name}), {self.precision}"
        self.bytes_px = 1000 if self.precision in {"bfloat16", "float16"} else 2400
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


def _actual_precision(compiled: Any) -> str | None:
    """What a compiled network computes in, in our words; None where OpenVINO does not say."""
    try:
        taken = compiled.get_property(HINT)
    except RuntimeError:  # auto does not know it, but the devices that it took do
        try:
            devices = compiled.get_property("DEVICE_PROPERTIES").values()
        except RuntimeError:
            return None
        taken = next((properties[HINT] for properties in devices if HINT in properties), None)
    return next(
        (
            ours
            for ours, theirs in OPENVINO_PRECISIONS.items()
            if taken is not None and taken.get_type_name() == theirs
        ),
        None,
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
