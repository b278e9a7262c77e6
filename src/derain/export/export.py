"""Export of a generator to ONNX, for any height and width and tuned for inference engines.

`network_graph` writes the graph. It computes the same as `PLNLIN.forward`; `largest_differences`
measures how closely.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from derain.errors import WeightsError
from derain.export.network_graph import NetworkGraph
from derain.export.onnx_graph import OnnxGraph
from derain.files.atomic import atomic_write, writing
from derain.files.messages import explain_read_error
from derain.files.paths import exists
from derain.network.generator import PLNLIN
from derain.network.weights_file import FORMAT, save_weights
from derain.weights.exported_tensors import HEADS, KEY, locate
from derain.weights.headers import read_safetensors_metadata

CONTRACT = (
    "Removes rain. rainy: float32 (N, {channels}, H, W), RGB{frames} in 0..1 as encoded in the "
    "file (sRGB), any H and W. restored: float32 (N, 3, H, W), RGB of the same size, not clamped."
)
"""Stands in the file as the description of its network (docs/onnx.md)."""

TESTED_SIZES = ((112, 112), (1, 1), (7, 300), (57, 111), (321, 481))
"""(height, width) that `largest_differences` compares.

They are whole windows, one pixel, a strip, one pixel over, and a picture of BSDS500.
"""
GRAPH_ENGINES = ("openvino", "onnxruntime")
"""Engines that run the graph of a file; others take its parameters alone."""


def export(
    network: PLNLIN, path: str | Path, *, card: Mapping[str, Any], half: bool = True
) -> Path:
    """Write `network` to `path` as ONNX, and its hierarchical heads beside it as .safetensors.

    Training reads all other weights from the ONNX file, whose checksum the weights file holds.
    `half` stores the weights in float16; the computation is in float32 either way. Raises
    WeightsError for a path that does not end with .onnx or cannot be written, and if other weights
    would be overwritten.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise WeightsError(f"{path}: exported networks are .onnx files; use that suffix")
    weights_path = path.with_suffix(".safetensors")
    if exists(weights_path) and not is_export(weights_path):
        raise WeightsError(
            f"{weights_path}: would be overwritten, but does not belong to an exported network; "
            f"choose another name than {path.name}"
        )
    data = build(network, card=card, half=half)
    with writing(path, WeightsError), atomic_write(path) as file:
        file.write(data)
    save_weights(
        weights_path,
        network,
        configuration=network.configuration,
        card=card,
        half=half,
        prefix=HEADS,
        onnx_sha256=hashlib.sha256(data).hexdigest(),
    )
    return path


def read_card(path: Path) -> dict[str, Any]:
    """Return the entries of a JSON file for the card of a network. Raises WeightsError."""
    try:
        card = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise WeightsError(f"{path}: {explain_read_error(error)}") from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: is not JSON ({error}); correct it") from error
    if not isinstance(card, dict):
        raise WeightsError(f'{path}: is not a JSON object; write {{"license": "Apache-2.0"}}')
    return card


def is_export(path: Path) -> bool:
    """True if a .safetensors file was written by `export`."""
    try:
        return "derain.onnx_sha256" in read_safetensors_metadata(path)
    except (ValueError, OSError):
        return False


def build(network: PLNLIN, *, card: Mapping[str, Any], half: bool = True) -> bytes:
    """Return the serialised ONNX model of `network`.

    Its input is `rainy`, float32 (N, 3 * frames, H, W), its output `restored`, (N, 3, H, W).
    """
    graph = OnnxGraph(half=half, frames=network.configuration.frames)
    with torch.no_grad():
        restored = NetworkGraph(graph, network).generator()
    tensors = {name: x.detach().float().cpu().numpy() for name, x in network.state_dict().items()}
    metadata = {
        "derain.format": FORMAT,
        "derain.configuration": network.configuration.to_json(),
        "derain.multiple_px": str(network.configuration.multiple_px),
        "derain.frames": str(network.configuration.frames),
        "derain.card": json.dumps(card),
        KEY: locate(tensors, graph.arrays()),
    }
    frames = network.configuration.frames
    contract = CONTRACT.format(
        channels=3 * frames, frames=" of the frames before, now and after" if frames > 1 else ""
    )
    return graph.serialise(output=restored, metadata=metadata, description=contract)


def largest_differences(
    network: PLNLIN,
    path: str | Path,
    *,
    engine: str | None = None,
    sizes: Sequence[tuple[int, int]] = TESTED_SIZES,
) -> dict[tuple[int, int], float]:
    """Return the largest absolute difference between PyTorch and the exported network by size.

    Both compute in float32 on noise of each of `sizes`, (height, width). Raises EngineError if none
    of GRAPH_ENGINES is installed and `engine` is None.
    """
    from derain.inference.engines.engine import ENGINES, open_engine

    if engine is None:
        installed = [name for name in GRAPH_ENGINES if ENGINES[name].version() is not None]
        engine = (installed or GRAPH_ENGINES)[0]
    exported = open_engine(Path(path), engine=engine, precision="float32")
    network.eval()
    rng = np.random.default_rng(0)
    differences = {}
    for height, width in sizes:
        shape = (1, 3 * network.configuration.frames, height, width)
        rainy = rng.random(shape, dtype=np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(rainy)).numpy()
        differences[height, width] = float(np.abs(exported(rainy) - expected).max())
    return differences
