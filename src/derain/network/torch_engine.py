"""The network in PyTorch, for CUDA cards. `derain.inference` imports it only when it is used."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from derain.errors import EngineError
from derain.network.weights_file import load

BYTES_PER_PX = {"float32": 2400, "bfloat16": 1900}
"""Memory of the preset `small` per pixel: growth of a process on a CPU for 784x784 pixels."""


class TorchEngine:
    """An `Engine` on the devices of PyTorch.

    In bfloat16, products and convolutions run in that precision, the rest in float32 (autocast);
    it is the default on cards that have it. float32 is exact, without TF32.
    """

    name = "torch"

    def __init__(
        self,
        onnx_path: Path,
        *,
        device: str = "cpu",
        threads: int | None = None,
        precision: str | None = None,
    ) -> None:
        """Raises WeightsError. See `open_engine` for the arguments."""
        if threads is not None:
            torch.set_num_threads(threads)
        self._type = torch.device(device).type
        self._network = load(onnx_path, device=device)
        self._lock = threading.Lock()
        has_bfloat16 = self._type == "cuda" and torch.cuda.is_bf16_supported()
        self.precision = precision or ("bfloat16" if has_bfloat16 else "float32")
        name = torch.cuda.get_device_name(device) if self._type == "cuda" else "PyTorch"
        self.device = f"{device} ({name}), {self.precision}"
        self.bytes_per_px = self.one_size_bytes_per_px = BYTES_PER_PX[self.precision]

    def __call__(
        self, rainy: NDArray[np.float32], *, one_size: bool = False
    ) -> NDArray[np.float32]:
        """See `Engine`."""
        with (
            self._lock,  # each concurrent call would take the memory of a tile
            torch.inference_mode(),
            torch.autocast(self._type, torch.bfloat16, enabled=self.precision == "bfloat16"),
            torch.backends.cudnn.flags(enabled=True, allow_tf32=False),  # its default is off
        ):
            try:
                restored = self._network(
                    torch.from_numpy(np.ascontiguousarray(rainy)).to(self._network.enter.weight)
                )
            except (RuntimeError, MemoryError) as error:
                size = "x".join(str(side) for side in rainy.shape[:1:-1])
                reason = str(error).strip().split("\n")[0]
                raise EngineError(
                    f"PyTorch failed on {size} pixels ({reason}); try a smaller --limit-mib"
                ) from error
            return np.asarray(restored.float().cpu().numpy())


def devices() -> tuple[str, ...]:
    """Return the devices that this build of PyTorch finds on this machine."""
    cards = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return ("cpu", *(name for name, is_there in cards.items() if is_there))
