"""A rival network as an inference engine, so that `NAME:PATH` works wherever a model is named."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from derain.errors import EngineError
from derain.rivals.networks import load
from derain.rivals.rival import Rival

WHOLE_PICTURE = 1
"""Bytes per pixel that keep every picture in one tile."""


class RivalEngine:
    """An `Engine` that runs a network in PyTorch, in float32, without TF32.

    Networks that read statistics of the whole picture are never cut into tiles unless `--tile` is
    given, because tiles would change their figures.
    """

    name = "torch"
    precision = "float32"

    def __init__(self, network: Rival, *, device: str, threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._network = network.to(device)
        self._device = device
        self._lock = threading.Lock()
        self.device = f"{device}, {self.precision}"
        self.bytes_per_px = network.BYTES_PER_PX or WHOLE_PICTURE
        self.one_size_bytes_per_px = self.bytes_per_px

    def __call__(
        self, rainy: NDArray[np.float32], *, one_size: bool = False
    ) -> NDArray[np.float32]:
        """See `Engine`."""
        with (
            self._lock,  # each concurrent call would take the memory of a picture
            torch.inference_mode(),
            torch.backends.cudnn.flags(enabled=True, allow_tf32=False),  # its default is off
        ):
            try:
                restored = self._network(
                    torch.from_numpy(np.ascontiguousarray(rainy)).to(self._device)
                )
            except (RuntimeError, MemoryError) as error:
                size = "x".join(str(side) for side in rainy.shape[:1:-1])
                reason = str(error).strip().split("\n")[0]
                raise EngineError(
                    f"PyTorch failed on {size} pixels ({reason}); try --tile 512"
                ) from error
            return np.asarray(restored.cpu().numpy(), dtype=np.float32)


def open_engine(
    path: Path,
    *,
    name: str,
    engine: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    precision: str | None = None,
) -> RivalEngine:
    """Load a network with its official checkpoint. Raises WeightsError and EngineError."""
    if engine not in {None, RivalEngine.name}:
        raise EngineError(f"{name} runs in PyTorch only, not in {engine}; omit --engine")
    if precision not in {None, "float32"}:
        raise EngineError(f"{name} runs in float32 only, not in {precision}; omit --precision")
    available = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    if device.lower() not in available:
        raise EngineError(
            f"PyTorch has no device {device!r} on this machine; choose from {', '.join(available)}"
        )
    return RivalEngine(load(name, path), device=device.lower(), threads=threads)
