"""The network in OpenVINO: the default, because it was the fastest engine on all tested CPUs."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.environment import installed_version
from derain.errors import EngineError
from derain.inference.engines.compiled_cache import cache_key, read_compiled, write_compiled

CONVERTER = "openvino.tools.ovc"
HINT = "INFERENCE_PRECISION_HINT"
OPENVINO_PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
"""Names of precisions in derain and in OpenVINO."""
UNKNOWN_PRECISION = "the precision of the device"
BYTES_PER_PX = {"single": (1900, 1000), "half": (1000, 520)}
"""Memory of the preset `small`, for any size and on a CPU for one size, by the size of floats."""


class OpenVinoEngine:
    """An `Engine` on any device that OpenVINO supports: cpu, gpu, npu, or auto.

    `precision` is the actual one, even if the device does not support the requested one: float32,
    bfloat16, float16, or UNKNOWN_PRECISION if OpenVINO does not report it.
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
        """Raises EngineError. See `open_engine` for the arguments."""
        core = _open_core()
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        # auto passes the hint to the device that it selects
        if device == "auto" or HINT in core.get_property(device.upper(), "SUPPORTED_PROPERTIES"):
            options[HINT] = OPENVINO_PRECISIONS[precision or _best_precision(core, device)]
        if device == "cpu" and threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            self._data = Path(onnx_path).read_bytes()
            self._compile = partial(_compile, core, self._data, device=device, options=options)
            with _decoded_errors():
                compiled = self._compile(onnx_path)
                self._request = compiled.create_infer_request()
        except (RuntimeError, OSError) as error:
            raise EngineError(
                f"{onnx_path}: OpenVINO cannot load it on {device} ({_last_line(error)}); "
                "try --engine onnxruntime"
            ) from error
        if device == "auto":
            full_name = "the best device"
        else:
            full_name = core.get_property(device.upper(), "FULL_DEVICE_NAME")
        self.precision = _actual_precision(compiled) or UNKNOWN_PRECISION
        self.device = f"{device} ({full_name}), {self.precision}"
        kind = "half" if self.precision in {"bfloat16", "float16"} else "single"
        self._is_cpu = device == "cpu"
        self.bytes_per_px, self.one_size_bytes_per_px = BYTES_PER_PX[kind]
        if not self._is_cpu:
            self.one_size_bytes_per_px = self.bytes_per_px
        self._lock = threading.Lock()
        self._shape: tuple[int, ...] | None = None
        """Shape that the network was compiled for; None for all shapes."""

    def __call__(
        self, rainy: NDArray[np.float32], *, one_size: bool = False
    ) -> NDArray[np.float32]:
        """See `Engine`."""
        # one request uses all CPU threads; a second one would double the memory, not the speed
        with self._lock:
            try:
                with _decoded_errors():
                    self._prepare(rainy.shape if one_size and self._is_cpu else None)
                    self._request.infer([np.ascontiguousarray(rainy)], share_inputs=True)
            except RuntimeError as error:
                size = "x".join(str(side) for side in rainy.shape[:1:-1])
                raise EngineError(
                    f"OpenVINO failed on {size} pixels ({_last_line(error)}); "
                    "try a smaller --limit-mib"
                ) from error
            return np.array(self._request.get_output_tensor(0).data)

    def _prepare(self, shape: tuple[int, ...] | None) -> None:
        """Compile the network for inputs of `shape`, or of all if that is None, unless it is.

        Raises RuntimeError.
        """
        if self._request is None or self._shape != shape:
            self._request = None  # its memory first
            # the file may be another one, or gone
            self._request = self._compile(self._data, shape).create_infer_request()
            self._shape = shape


def version() -> str | None:
    """Return the version of the library, or None if it is not installed, without importing it."""
    return installed_version("openvino") if importlib.util.find_spec("openvino") else None


def devices() -> tuple[str, ...]:
    """Return the devices that the library finds on this machine, in lower case.

    Raises EngineError if the library cannot be loaded.
    """
    return (*(device.lower() for device in _open_core().available_devices), "auto")


def product(side: int, *, precision: str) -> Callable[[], Any]:
    """Return a function that multiplies two square matrices once, on all CPU threads."""
    core, library = _open_core(), _import_library()
    operations, floats = import_module("openvino.opset8"), library.Type.f32
    factors = [operations.parameter([side, side], floats) for _ in range(2)]
    network = library.Model([operations.matmul(*factors, False, False)], factors)
    options = {"PERFORMANCE_HINT": "LATENCY", HINT: OPENVINO_PRECISIONS[precision]}
    request = core.compile_model(network, "CPU", options).create_infer_request()
    matrices = [np.ones((side, side), np.float32) for _ in factors]
    return lambda: request.infer(matrices, share_inputs=True)


def _open_core() -> Any:
    """Return an `openvino.Core`. Raises EngineError if a file of the library is missing."""
    try:
        return _import_library().Core()
    except (ImportError, RuntimeError) as error:
        raise EngineError(
            f"OpenVINO is installed, but cannot be loaded ({_last_line(error)}); "
            "install it again, or use --engine onnxruntime"
        ) from error


def _import_library() -> Any:
    """Import `openvino` without its converter, which then waits for the first use.

    The converter takes longer to import than the rest. It also imports the package by which
    OpenVINO reports each import to its maker's server and writes a file into the home folder.
    """
    if "openvino" in sys.modules:
        return import_module("openvino")
    sys.modules[CONVERTER] = None  # type: ignore[assignment]  # an import raises ImportError
    try:
        library: Any = import_module("openvino")
    finally:
        del sys.modules[CONVERTER]

    def from_converter(name: str) -> Any:
        if name != "convert_model":
            raise AttributeError(f"module 'openvino' has no attribute {name!r}")
        return import_module(CONVERTER).convert_model

    library.__getattr__ = from_converter
    return library


def _compile(
    core: Any,
    data: bytes,
    source: Path | bytes,
    shape: tuple[int, ...] | None = None,
    *,
    device: str,
    options: dict[str, Any],
) -> Any:
    """Return the network compiled for inputs of `shape`, or of any shape if that is None.

    `source` is the ONNX file or its content, `data` the latter. For a CPU, the network comes from
    the cache if it was compiled on this machine before. Raises RuntimeError.
    """
    if device != "cpu":
        return core.compile_model(core.read_model(source), device.upper(), options)
    facts = (
        core.get_versions("CPU")["CPU"].build_number,
        core.get_property("CPU", "FULL_DEVICE_NAME"),
        core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
        sorted(options.items()),
        shape,
    )
    key = cache_key(data, repr(facts).encode())
    if compiled := read_compiled(key):
        with suppress(RuntimeError):  # whatever the reason, compiling is the remedy
            return core.import_model(compiled, "CPU", options)
    network = core.read_model(source)
    if shape is not None:
        network.reshape(list(shape))
    network = core.compile_model(network, "CPU", options)
    with suppress(RuntimeError):
        exported = network.export_model()
        write_compiled(key, exported if isinstance(exported, bytes) else exported.getvalue())
    return network


def _best_precision(core: Any, device: str) -> str:
    capable = device == "cpu" and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bfloat16" if capable else "float32"


def _actual_precision(compiled: Any) -> str | None:
    """Return the precision of a compiled network; None if OpenVINO does not report it."""
    try:
        hint = compiled.get_property(HINT)
    except RuntimeError:  # auto does not report it, but the devices that it selected do
        try:
            devices = compiled.get_property("DEVICE_PROPERTIES").values()
        except RuntimeError:
            return None
        hint = next((properties[HINT] for properties in devices if HINT in properties), None)
    type_name = None if hint is None else hint.get_type_name()
    return next((name for name, other in OPENVINO_PRECISIONS.items() if other == type_name), None)


@contextmanager
def _decoded_errors() -> Iterator[None]:
    """Raise RuntimeError in place of UnicodeDecodeError.

    OpenVINO's message quotes names of the network, and those of a damaged file may be any bytes.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        raise RuntimeError(error.object.decode(errors="replace")) from error


def _last_line(error: Exception) -> str:
    """Return the reason of an error; the lines before it are places in the library's source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
