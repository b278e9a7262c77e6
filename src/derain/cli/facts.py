"""What `derain info` knows."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from derain import __version__
from derain.cli.console import plain_console
from derain.environment import installed_version
from derain.inference.engines.engine import ENGINES
from derain.weights import models

PACKAGES = ("numpy", "pillow", "torch", "av", "pillow-heif")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16")
"""Instructions that decide how fast a network runs, in Linux's words."""


def print_facts() -> None:
    """Print models with their cards, engines with their devices, the processor, and versions."""
    console = plain_console()
    console.print(
        f"derain {__version__}, Python {platform.python_version()}, {platform.platform()}",
        markup=False,
    )
    console.print(
        f"processor: {os.cpu_count()} threads, {', '.join(_instructions()) or 'instructions not known'}",
        markup=False,
    )
    console.print(
        ", ".join(f"{name} {installed_version(name) or 'not installed'}" for name in PACKAGES),
        markup=False,
    )
    console.print(_engines())
    console.print(_models())


def _engines() -> Table:
    table = Table("engine", "version", "devices", title="Engines", title_justify="left")
    for name, kind in ENGINES.items():
        found = kind.version()
        table.add_row(
            name,
            found or "-",
            ", ".join(kind.devices()) if found else Text(f"pip install '{kind.requirement}'"),
        )
    return table


def _models() -> Table:
    table = Table("model", "MiB", "card", title="Models", title_justify="left")
    for model in models().values():
        card = "\n".join(_lines(model.card))
        table.add_row(model.name, f"{model.onnx_path.stat().st_size / 2**20:.1f}", card)
    return table


def _lines(card: Mapping[str, Any]) -> Iterator[str]:
    """The card as a person reads it: `validation` has (PSNR in dB, SSIM) by data set."""
    for key, value in card.items():
        if key == "validation":
            yield from (
                f"{key}, {name}: {psnr:.2f} dB / {ssim:.4f}" for name, (psnr, ssim) in value.items()
            )
        else:
            yield f"{key}: {', '.join(value) if isinstance(value, list) else value}"


def _instructions() -> list[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return []
    flags = next((line.split() for line in lines if line.startswith(("flags", "Features"))), [])
    return [name for name in INSTRUCTIONS if name in flags]
