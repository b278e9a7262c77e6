"""What runs the exported network: one protocol, and the choice between its bodies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from derain.errors import EngineError
from derain.inference.engines import onnxruntime, openvino

PRECISIONS = ("float32", "bfloat16")


class Engine(Protocol):
    """A network that is ready to run. May be called from several threads at once."""

    @property
    def name(self) -> str:
        """The library that runs it: `openvino` or `onnxruntime`."""

    @property
    def device(self) -> str:
        """Where it runs, with what and how exactly, in words for a person."""

    @property
    def precision(self) -> str:
        """What it really computes in, whatever it was asked for: float32, bfloat16, or what its library says."""

    @property
    def bytes_px(self) -> int:
        """Memory that the preset `small` takes for one pixel, measured and rounded up: tiles follow from it."""

    def __call__(self, rainy: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, H, W) in 0..1 -> (N, 3, H, W), not clamped. Any H and W; the first call of a new size takes longer.

        Raises EngineError when the engine fails, as it does when memory runs out.
        """


@dataclass(frozen=True)
class EngineBackend:
    """A library that can run the network, whether it is installed or not."""

    open: Callable[..., Engine]
    version: Callable[[], str | None]
    """None where the library is not installed."""
    devices: Callable[[], tuple[str, ...]]
    requirement: str
    """What to give to `pip install`."""
    precisions: tuple[str, ...] = PRECISIONS
    """What it can be asked to compute in."""


ENGINES = {
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
}
"""In the order in which they are tried."""


def open_engine(
    onnx_path: Path,
    *,
    engine: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    precision: str | None = None,
) -> Engine:
    """Load an exported network into `engine`, or into the first one that is installed and has `device`.

    `threads` bounds the processor's threads (None: the engine's choice). `precision` is float32 or bfloat16; None is bfloat16
    where the processor has instructions for it and the engine uses them, which is faster; in `small` the two agree to 64 dB on
    photos and 56 dB on noise. Raises EngineError for an engine, a device or a precision that is not there, and says which are.
    """
    if engine is not None and engine not in ENGINES:
        raise EngineError(f"there is no engine {engine!r}; the engines are {', '.join(ENGINES)}")
    if precision is not None and precision not in PRECISIONS:
        raise EngineError(
            f"there is no precision {precision!r}; the precisions are {', '.join(PRECISIONS)}"
        )
    if threads is not None and threads < 1:
        raise EngineError(
            f"an engine cannot run on {threads} threads; give 1 or more, or leave it out"
        )
    names = (
        [engine]
        if engine is not None
        else [name for name, kind in ENGINES.items() if kind.version() is not None]
    )
    for name in names or ["openvino"]:
        if ENGINES[name].version() is None:
            requirement = ENGINES[name].requirement
            raise EngineError(
                f"the engine {name} is not installed; install it with `pip install '{requirement}'`"
            )
        if device.lower() in ENGINES[name].devices():
            return ENGINES[name].open(
                onnx_path, device=device.lower(), threads=threads, precision=precision
            )
    known = "; ".join(f"{name} has {', '.join(ENGINES[name].devices())}" for name in names)
    who = f"{engine} has no" if engine is not None else "no engine that is installed has a"
    raise EngineError(
        f"{who} device {device!r} on this machine: {known}; give one of these to --device"
    )
