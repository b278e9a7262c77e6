"""Compare exported networks by the CPU time of one thread, which other programs hardly change.

    python benchmarks/inference_cpu.py old.onnx new.onnx --size 336x504 --precision bfloat16

The networks take turns. Prints the least CPU time of each and how far its output is from that of
the first, in dB, and the peak memory of the process, which says most with one network and
`--rounds 0`. `--one-size` compiles them for that size. The engine `onnxruntime` computes in
float32.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from derain.environment import environment_line
from derain.inference import open_engine
from derain.inference.benchmark import peak_mib
from derain.weights import find


def main() -> None:
    """Measure, and print a line for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="+", type=Path)
    parser.add_argument("--size", default="336x504", help="HEIGHTxWIDTH")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one-size", action="store_true")
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    channels = 3 * find(options.networks[0]).frames
    rainy = np.random.default_rng(0).random((1, channels, height, width), dtype=np.float32)
    engines = {
        path: open_engine(path, engine=options.engine, precision=options.precision, threads=1)
        for path in options.networks
    }
    seconds: dict[Path, list[float]] = {path: [] for path in engines}
    outputs = {}
    for _ in range(options.rounds + 1):
        for path, engine in engines.items():
            start = time.process_time()
            outputs[path] = engine(rainy, one_size=options.one_size)
            seconds[path].append(time.process_time() - start)
    print(environment_line())
    print(f"peak memory {peak_mib():.0f} MiB")
    first = outputs[options.networks[0]]
    for path, measured in seconds.items():
        least = min(measured[1:] or measured)  # the first call prepares for the size
        error = float(np.square(outputs[path] - first).mean())
        distance = "the first" if error == 0 else f"{-10 * np.log10(error):.1f} dB from the first"
        print(
            f"{path}: {least * 1e3:.0f} ms, {least / height / width * 1e9:.0f} ns per pixel, "
            f"{distance}"
        )


if __name__ == "__main__":
    main()
