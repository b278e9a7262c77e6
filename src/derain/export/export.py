"""Export of a generator to ONNX: any height and width, arranged for inference engines.

The graph is written by `network_graph`; its numbers are those of `PLNLIN.forward`, and `largest_difference` measures it.
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
from derain.files.atomic import atomic_write
from derain.files.messages import explain_os_error
from derain.files.paths import exists
from derain.network.generator import PLNLIN
from derain.network.weights_file import FORMAT, save_weights
from derain.weights.headers import read_safetensors_metadata

TESTED_SIZES = ((112, 112), (1, 1), (7, 300), (57, 111), (321, 481))
"""(height, width) at which `largest_difference` compares: whole windows, a pixel, slivers, one over, a picture of BSDS500."""


def export(
    network: PLNLIN, path: str | Path, *, card: Mapping[str, Any], half: bool = True
) -> Path:
    """Write `network` to `path` as ONNX, and to `path` with .safetensors, which holds the checksum of the former.

    `half` stores the weights in float16; they are computed with in float32 all the same. Raises WeightsError for a path
    that is no .onnx or cannot be written, and for other weights beside it, which would be lost.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise WeightsError(f"{path}: an exported network is a file .onnx; give it that ending")
    beside = path.with_suffix(".safetensors")
    if exists(beside) and not is_export(beside):
        raise WeightsError(
            f"{beside}: would be replaced, and is not the weights of an export; name another {path.name}"
        )
    data = build(network, card=card, half=half)
    try:
        with atomic_write(path) as file:
            file.write(data)
    except OSError as error:
        raise WeightsError(f"{path}: {explain_os_error(error)}") from error
    digest = hashlib.sha256(data).hexdigest()
    save_weights(
        beside,
        network,
        configuration=network.configuration,
        card=card,
        half=half,
        onnx_sha256=digest,
    )
    return path


def is_export(path: Path) -> bool:
    """Whether a .safetensors file was left beside an exported network, by `export`."""
    try:
        return "derain.onnx_sha256" in read_safetensors_metadata(path)
    except (ValueError, OSError):
        return False


def build(network: PLNLIN, *, card: Mapping[str, Any], half: bool = True) -> bytes:
    """Return the serialised ONNX model of `network`: `rainy` float32 (N, 3, H, W) in, `restored` of the same shape out."""
    graph = OnnxGraph(half=half)
    with torch.no_grad():
        restored = NetworkGraph(graph, network).generator()
    metadata = {
        "derain.format": FORMAT,
        "derain.configuration": network.configuration.to_json(),
        "derain.multiple_px": str(network.configuration.multiple_px),
        "derain.card": json.dumps(card),
    }
    return graph.serialise(output=restored, metadata=metadata)


def largest_difference(
    network: PLNLIN,
    path: str | Path,
    *,
    engine: str | None = None,
    sizes: Sequence[tuple[int, int]] = TESTED_SIZES,
) -> dict[tuple[int, int], float]:
    """The greatest absolute difference between torch and the exported network on noise of each of `sizes`, in float32."""
    from derain.inference.engines.engine import open_engine

    opened = open_engine(Path(path), engine=engine, precision="float32")
    rng = np.random.default_rng(0)
    differences = {}
    for height, width in sizes:
        rainy = rng.random((1, 3, height, width), dtype=np.float32)
        with torch.no_grad():
            expected = network.eval()(torch.from_numpy(rainy)).numpy()
        differences[height, width] = float(np.abs(opened(rainy) - expected).max())
    return differences
