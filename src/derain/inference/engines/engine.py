"""The protocol of an engine, and the choice between the backends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from derain.errors import EngineError, UnsupportedNetworkError
from derain.inference.engines import native, onnxruntime, openvino, pytorch

PRECISIONS = ("float32", "bfloat16")


class Engine(Protocol):
    """A network that is ready to run. Thread-safe."""

    @property
    def name(self) -> str:
        """Library that runs the network: `native`, `openvino`, `onnxruntime` or `torch`."""

    @property
    def device(self) -> str:
        """Description of the device and the precision for the user."""

    @property
    def precision(self) -> str:
        """Actual precision, which may differ from the requested one: float32, bfloat16, ..."""

    @property
    def bytes_per_px(self) -> int:
        """Memory of the preset `small` per pixel, measured and rounded up; it limits the tiles."""

    @property
    def one_size_bytes_per_px(self) -> int:
        """The same for calls of one size."""

    def __call__(
        self, rainy: NDArray[np.float32], *, one_size: bool = False
    ) -> NDArray[np.float32]:
        """Restore (N, 3 * frames, H, W) in 0..1 to (N, 3, H, W), without clamping.

        A network for clips takes three frames in the order of time, any other one. Any H and W are
        valid; the first call of a new size takes longer. `one_size` says that many calls have this
        size, like the tiles of a picture and the frames of a clip: OpenVINO compiles the network
        for it, which takes a second, and is faster then and needs half the memory. Raises
        EngineError if the engine fails, for example because memory runs out.
        """


@dataclass(frozen=True)
class EngineBackend:
    """A library that can run the network, whether it is installed or not."""

    open: Callable[..., Engine]
    version: Callable[[], str | None]
    """Returns None if the library is not installed."""
    devices: Callable[[], tuple[str, ...]]
    requirement: str = "derain"
    """Argument of `pip install`."""
    precisions: tuple[str, ...] = PRECISIONS
    """Precisions that can be requested."""
    is_preferred: Callable[[], bool] = lambda: True
    """Returns False if this machine runs the network faster in engines further down."""
    explain_absence: Callable[[], str | None] = lambda: None
    """Returns why this machine does not have the engine, if `pip install` would not help."""


ENGINES = {
    "native": EngineBackend(
        native.NativeEngine,
        native.version,
        native.devices,
        is_preferred=native.is_preferred,
        explain_absence=native.explain_absence,
    ),
    "openvino": EngineBackend(
        openvino.OpenVinoEngine, openvino.version, openvino.devices, requirement="openvino"
    ),
    "onnxruntime": EngineBackend(
        onnxruntime.OnnxRuntimeEngine,
        onnxruntime.version,
        onnxruntime.devices,
        requirement="derain[onnxruntime]",
        precisions=("float32",),
    ),
    "torch": EngineBackend(
        pytorch.open_engine, pytorch.version, pytorch.devices, requirement="derain[train]"
    ),
}
"""Backends in order of preference."""


def open_engine(
    onnx_path: Path,
    *,
    engine: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    precision: str | None = None,
) -> Engine:
    """Load an exported network into `engine`, or into the first installed one that can run it.

    That engine has `device` and supports the network; those that are not preferred on this machine
    come last. `threads` limits the CPU threads; None leaves the number to the engine. `precision`
    is float32 or bfloat16; None means bfloat16 if the CPU has instructions for it and the engine
    uses them, which is faster. In `small`, the two agree to 64 dB on photos and 56 dB on noise.
    Raises EngineError for an unavailable engine, device or precision, and lists the available ones.
    """
    if engine is not None and engine not in ENGINES:
        raise EngineError(f"unknown engine {engine!r}; choose from {', '.join(ENGINES)}")
    if precision is not None and precision not in PRECISIONS:
        raise EngineError(f"unknown precision {precision!r}; choose from {', '.join(PRECISIONS)}")
    if threads is not None and threads < 1:
        raise EngineError(f"an engine cannot run on {threads} threads; use 1 or more")
    if engine is not None:
        names = [engine]
    else:
        names = [name for name, backend in ENGINES.items() if backend.version() is not None]
        names.sort(key=lambda name: not ENGINES[name].is_preferred())
    unsupported = None
    for name in names or ["openvino"]:
        backend = ENGINES[name]
        if backend.version() is None:
            raise EngineError(
                backend.explain_absence()
                or f"the engine {name} is not installed; "
                f"install it with `pip install '{backend.requirement}'`"
            )
        if device.lower() in backend.devices():
            try:
                return backend.open(
                    onnx_path,
                    device=device.lower(),
                    threads=threads,
                    precision=precision,
                )
            except UnsupportedNetworkError as error:
                unsupported = error
    if unsupported is not None:
        raise unsupported
    available = "; ".join(f"{name} has {', '.join(ENGINES[name].devices())}" for name in names)
    subject = "no installed engine has a" if engine is None else f"{engine} has no"
    raise EngineError(
        f"{subject} device {device!r} on this machine; choose another --device ({available})"
    )
