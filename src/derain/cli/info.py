"""`derain info`: models, engines, devices and versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from derain.errors import EngineError

if TYPE_CHECKING:
    from rich.table import Table

    from derain.inference.engines.engine import EngineBackend

PACKAGES = ("numpy", "pillow", "torch", "av", "pillow-heif")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16")
"""CPU instructions that decide the speed of a network, as Linux names them."""


def info() -> None:
    """Print the models with their cards, the engines with their devices, the CPU and versions."""
    import os
    import platform

    from derain import __version__
    from derain.cli.console import plain_console
    from derain.environment import installed_version, processor_flags

    console = plain_console()
    instructions = [name for name in INSTRUCTIONS if name in processor_flags()]
    for line in (
        f"derain {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"processor: {os.cpu_count()} threads, {', '.join(instructions) or 'unknown instructions'}",
        ", ".join(f"{name} {installed_version(name) or 'not installed'}" for name in PACKAGES),
    ):
        console.print(line, markup=False)
    console.print(_engines())
    console.print(_models())


def _engines() -> Table:
    from rich.table import Table
    from rich.text import Text

    from derain.inference.engines.engine import ENGINES

    table = Table("engine", "version", "devices", title="Engines", title_justify="left")
    for name, backend in ENGINES.items():
        table.add_row(name, backend.version() or "-", Text(_describe_devices(backend)))
    return table


def _describe_devices(backend: EngineBackend) -> str:
    if backend.version() is None:
        return backend.explain_absence() or f"pip install '{backend.requirement}'"
    try:
        return ", ".join(backend.devices())
    except EngineError as error:
        return str(error)


def _models() -> Table:
    from rich.table import Table

    from derain.weights import models

    table = Table("model", "MiB", "card", title="Models", title_justify="left")
    for model in models().values():
        size_mib = model.onnx_path.stat().st_size / 2**20
        table.add_row(model.name, f"{size_mib:.1f}", "\n".join(_card_lines(model.card)))
    return table


def _card_lines(card: Mapping[str, Any]) -> Iterator[str]:
    """Yield a card as lines of text; `validation` holds (PSNR in dB, SSIM) by data set."""
    for key, value in card.items():
        if key == "validation":
            for name, (psnr, ssim) in value.items():
                yield f"{key}, {name}: {psnr:.2f} dB / {ssim:.4f}"
        else:
            yield f"{key}: {', '.join(value) if isinstance(value, list) else value}"
