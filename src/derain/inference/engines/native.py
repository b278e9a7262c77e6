"""The network in derain's own C++ (`derain.native`), for processors with AVX2.

The library computes a PLNLIN from its parameters, which an export of derain names; it knows no
other graphs.
"""

from __future__ import annotations

import ctypes
import functools
import json
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import derain
from derain.environment import available_cores, processor_flags, processor_name
from derain.errors import EngineError, UnsupportedNetworkError
from derain.files.messages import explain_read_error
from derain.native.build import FOLDER, INSTRUCTION_SETS, InstructionSet
from derain.weights.exported_tensors import KEY, read_tensors
from derain.weights.headers import read_onnx_metadata
from derain.weights.parameter_shapes import DEFAULTS, UNIT, parameter_shapes

ABI = 1
"""Version of the library's functions."""
CODES = {"float32": 0, "bfloat16": 1}
"""Precisions, as the library numbers them."""
BYTES_PER_PX = {"float32": 450, "bfloat16": 250}
"""Memory of the preset `small` per pixel."""
COLOURS = 3
FRAMES = 9
"""Index of the number of frames in a shape."""
LEVELS, WINDOW_PX = 4, 7
OF_EACH_LEVEL: Mapping[str, Sequence[Any]] = {
    "channels": range(16, 64 + 1, 16),
    "stages": range(1, 2**15),
}
"""Values of a configuration that the C++ supports, in lists of LEVELS."""
SUPPORTED: Mapping[str, Sequence[Any]] = {
    "unit": (UNIT,),
    "unshuffle": (1, 2, 4),
    "frames": range(1, 2**15, 2),
    "window_px": (WINDOW_PX,),
    "shift_px": range(WINDOW_PX),
    "attention_heads": (1,),
    "mlp_ratio": (4,),
    "bounded_sft": (True,),
}
"""Other values that it supports."""
MAX_CHARACTERS = 60
"""Length of a value in a message."""
MATRIX_UNIT, AVX512 = "amx_bf16", "avx512f"
"""Instructions for which OpenVINO has code, and this library none or not on its own."""


class NativeEngine:
    """An `Engine` on the CPU, for exported networks whose unit is PLNLIM.

    The threads belong to the library, so that calls take turns.
    """

    name = "native"

    def __init__(
        self,
        onnx_path: Path,
        *,
        device: str = "cpu",
        threads: int | None = None,
        precision: str | None = None,
    ) -> None:
        """Raises EngineError, and UnsupportedNetworkError for what other engines may run.

        See `open_engine` for the arguments.
        """
        found = find_library()
        if found is None:
            raise EngineError(explain_absence())
        instructions, library_path = found
        self.precision = precision or instructions.precisions[0]
        if self.precision not in instructions.precisions:
            raise EngineError(
                f"the engine native has no {precision} on this processor; "
                f"use --precision {instructions.precisions[0]}, or --engine openvino"
            )
        shape, parameters = read_network(onnx_path)
        self._frames = int(shape[FRAMES])
        self._library = load_library(library_path)
        self._handle = self._library.derain_native_open(
            _pointer(shape),
            _pointer(parameters),
            parameters.size,
            CODES[self.precision],
            threads or available_cores(),
        )
        if not self._handle:
            raise UnsupportedNetworkError(
                f"{onnx_path}: the engine native does not support the network, or memory ran "
                "out; use --engine openvino"
            )
        closing = weakref.finalize(self, self._library.derain_native_close, self._handle)
        closing.atexit = False  # another thread may be restoring when the process ends
        self._lock = threading.Lock()
        self.device = f"{device} ({processor_name()}), {self.precision}"
        self.bytes_per_px = self.one_size_bytes_per_px = BYTES_PER_PX[self.precision]

    def __call__(
        self, rainy: NDArray[np.float32], *, one_size: bool = False
    ) -> NDArray[np.float32]:
        """See `Engine`."""
        size = "x".join(str(side) for side in rainy.shape[:1:-1])
        channels = COLOURS * self._frames
        if rainy.ndim != 4 or rainy.shape[1] != channels or 0 in rainy.shape:
            raise EngineError(
                f"the engine native failed on {size} pixels (its input has the shape "
                f"{rainy.shape}, not (N, {channels}, H, W)); use another --model"
            )
        count, _, height, width = rainy.shape
        with self._lock:
            try:
                rainy = np.ascontiguousarray(rainy, np.float32)
                restored = np.empty((count, COLOURS, height, width), np.float32)
                is_short = self._library.derain_native_restore(
                    self._handle, _pointer(rainy), _pointer(restored), count, height, width
                )
            except MemoryError:
                is_short = True
        if is_short:
            raise EngineError(
                f"the engine native failed on {size} pixels (memory ran out); "
                "try a smaller --limit-mib"
            )
        return restored


def version() -> str | None:
    """Return the version of derain, or None if no library of its own runs on this processor."""
    return None if find_library() is None else derain.__version__


def devices() -> tuple[str, ...]:
    """Return the devices of the engine."""
    return ("cpu",)


def is_preferred() -> bool:
    """True if the engine is the default where it can run.

    OpenVINO has code for the matrix unit, and for AVX-512 in float32.
    """
    found, flags = find_library(), processor_flags()
    return (
        found is not None
        and MATRIX_UNIT not in flags
        and ("bfloat16" in found[0].precisions or AVX512 not in flags)
    )


def explain_absence() -> str:
    """Return why this machine does not have the engine, and the remedy."""
    if not any(each.needed <= processor_flags() for each in INSTRUCTION_SETS):
        return "the engine native needs Linux and a processor with AVX2; use --engine openvino"
    return (
        "the engine native is not installed; install derain for Linux on x86-64, or its sources "
        "with DERAIN_NATIVE=1 in the environment, or use --engine openvino"
    )


def find_library() -> tuple[InstructionSet, Path] | None:
    """Return the best library that is installed and runs on this processor, or None."""
    for each in INSTRUCTION_SETS:
        path = FOLDER / each.file_name
        if each.needed <= processor_flags() and path.is_file():
            return each, path
    return None


@functools.cache
def load_library(path: Path) -> Any:
    """Load a library and declare its functions. Raises EngineError."""
    try:
        library = ctypes.CDLL(str(path))
        abi = library.derain_native_abi()
        library.derain_native_open.restype = ctypes.c_void_p
        library.derain_native_open.argtypes = (
            ctypes.c_void_p,  # shape, int32 (12,)
            ctypes.c_void_p,  # parameters, float32 (count,)
            ctypes.c_int64,
            ctypes.c_int32,  # precision
            ctypes.c_int32,  # threads
        )
        library.derain_native_restore.argtypes = (
            ctypes.c_void_p,
            ctypes.c_void_p,  # rainy, float32 (N, 3 * frames, H, W)
            ctypes.c_void_p,  # restored, float32 (N, 3, H, W)
            ctypes.c_int64,
            ctypes.c_int64,
            ctypes.c_int64,
        )
        library.derain_native_close.argtypes = (ctypes.c_void_p,)
        library.derain_native_close.restype = None
    except (OSError, AttributeError) as error:
        raise EngineError(
            f"the engine native is installed, but cannot be loaded ({error}); "
            "install derain again, or use --engine openvino"
        ) from error
    if abi != ABI:
        raise EngineError(
            f"{path}: has version {abi} of its functions, not {ABI}; "
            "install derain again, or use --engine openvino"
        )
    return library


def read_network(path: Path) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the shape of an exported network, (12,), and all its parameters, one after the other.

    The shape is 4 channels, 4 stages, unshuffle, frames, window_px and shift_px. The parameters
    have the order of `PLNLIN.state_dict`. Raises UnsupportedNetworkError for a network of another
    kind or a damaged file, and EngineError from the disk.
    """
    try:
        metadata = read_onnx_metadata(path)
        if KEY not in metadata:
            raise UnsupportedNetworkError(
                f"{path}: does not name its trained tensors, which the engine native reads; "
                "use --engine openvino"
            )
        configuration = json.loads(metadata.get("derain.configuration", "{}"))
        if not isinstance(configuration, dict):
            raise ValueError("its configuration is not a JSON object")
        values = {**DEFAULTS, **configuration}
        if problem := _unsupported(values):
            raise UnsupportedNetworkError(
                f"{path}: has {problem}, which the engine native does not support; "
                "use --engine openvino"
            )
        tensors = read_tensors(path, metadata[KEY], parameter_shapes(values))
    except OSError as error:
        raise EngineError(f"{path}: {explain_read_error(error)}") from error
    except (ValueError, RecursionError) as error:
        raise UnsupportedNetworkError(
            f"{path}: the engine native cannot read its trained tensors ({error}); "
            "export it again, or use --engine openvino"
        ) from error
    numbers = ("unshuffle", "frames", "window_px", "shift_px")
    shape = [*values["channels"], *values["stages"], *(values[name] for name in numbers)]
    parameters = np.concatenate([tensor.ravel() for tensor in tensors.values()])
    return np.array(shape, np.int32), parameters


def _unsupported(values: Mapping[str, Any]) -> str | None:
    """Return the first field of a configuration that the library does not support, or None."""
    for name, allowed in OF_EACH_LEVEL.items():
        given: Any = values.get(name)
        is_list = isinstance(given, list) and len(given) == LEVELS
        if not is_list or not all(_is_among(value, allowed) for value in given):
            return f"{name} = {str(given)[:MAX_CHARACTERS]}"
    for name, allowed in SUPPORTED.items():
        if not _is_among(values[name], allowed):
            return f"{name} = {str(values[name])[:MAX_CHARACTERS]}"
    return None


def _is_among(value: Any, allowed: Sequence[Any]) -> bool:
    """True if `allowed` has the value, and in this type: JSON has 1, 1.0 and true."""
    return type(value) is type(allowed[0]) and value in allowed


def _pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
