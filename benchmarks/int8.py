"""What 8-bit integers would gain and lose: a model quantised by NNCF, in OpenVINO.

    pip install nncf
    python benchmarks/int8.py DATA MODEL.onnx

Calibrated on 60 rainy pictures of Rain100L and Rain100H that are not held out; scored on crops of
the eight held-out pairs of each (PSNR of RGB). CPU time of one thread at 640x360, the least of
three in turn. `convolutions` leaves the matrix products as they are.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino
from numpy.typing import NDArray

from derain.data.pairs.find import find_pairs
from derain.data.pairs.pair import Pair
from derain.environment import environment_line
from derain.evaluate.metrics import psnr
from derain.inference.dtypes import to_network_input

HELD_OUT = {"021", "030", "039", "051", "063", "074", "085", "099"}
CROP_PX = 280
SIZE = (360, 640)
SETS = ("rain100L", "rain100H")


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder that recipes call data.root")
    parser.add_argument("model", type=Path, help="an exported network")
    options = parser.parse_args()
    core = openvino.Core()
    sets = {name: list(find_pairs(options.data / "pairs" / name).pairs) for name in SETS}
    training = [p for pairs in sets.values() for p in pairs if Path(p.name).stem not in HELD_OUT]
    random.Random(3).shuffle(training)
    calibration = [network_input(pair.load()[0]) for pair in training[:60]]
    network = core.read_model(options.model)
    arms = {"none": network}
    for name, ignored in {"convolutions": ["MatMul"], "convolutions and products": []}.items():
        arms[name] = nncf.quantize(
            core.read_model(options.model),
            nncf.Dataset(calibration),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(calibration),
            ignored_scope=nncf.IgnoredScope(types=ignored, validate=False),
        )
    requests = {
        (name, precision): compiled(core, arm, precision)
        for name, arm in arms.items()
        for precision in ("f32", "bf16")
    }
    rainy = np.random.default_rng(0).random((1, 3, *SIZE), dtype=np.float32)
    milliseconds = dict.fromkeys(requests, float("inf"))
    for turn in range(4):  # the first one warms up
        for key, request in requests.items():
            start = time.process_time()
            request.infer([rainy])
            if turn:
                milliseconds[key] = min(milliseconds[key], 1e3 * (time.process_time() - start))
    print("| int8 | the rest | CPU ms |", *(f" {name} 8 |" for name in SETS), sep="")
    print("|---|---|---|" + "---|" * len(SETS))
    for (name, precision), request in requests.items():
        scores = [score(request, pairs) for pairs in sets.values()]
        cells = [name, precision, f"{milliseconds[name, precision]:.0f}"]
        print("|", " | ".join([*cells, *(f"{value:.2f}" for value in scores)]), "|", flush=True)
    print(f"\n{environment_line()}, nncf {nncf.__version__}")


def compiled(core: Any, network: Any, precision: str) -> Any:
    """Return a request on one thread."""
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": 1,
        "INFERENCE_PRECISION_HINT": precision,
    }
    return core.compile_model(network, "CPU", options).create_infer_request()


def network_input(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the upper left crop as the network takes it."""
    return to_network_input(picture[:CROP_PX, :CROP_PX])


def score(request: Any, pairs: list[Pair]) -> float:
    """Return the mean PSNR of the held-out pairs."""
    values = []
    for pair in pairs:
        if Path(pair.name).stem in HELD_OUT:
            rainy, clean = pair.load()
            restored = request.infer([network_input(rainy)])[0][0].transpose(1, 2, 0)
            pixels = np.rint(255 * restored.clip(0, 1))
            values.append(psnr(pixels, clean[:CROP_PX, :CROP_PX], peak=255))
    return float(np.mean(values))


if __name__ == "__main__":
    main()
