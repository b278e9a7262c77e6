"""Compare one PLNLIM of two stages in OpenVINO with the C++ kernels of training, in CPU time.

    python benchmarks/native_plnlim.py 16x336x504 32x168x252 --precision float32

Each size is CHANNELSxHEIGHTxWIDTH. Both compute on one thread and take turns. The kernels cover the
Swin blocks, SFT and fusion, and in float32 with AVX2 the convolutions, which are PyTorch's (oneDNN)
elsewhere. The engines differ in what they fold; the kernels compute the network as it is written.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import openvino
import torch
from onnx import TensorProto, helper

from derain.environment import environment_line
from derain.export.network_graph import NetworkGraph
from derain.export.onnx_graph import OnnxGraph
from derain.export.swin_graph import LevelShapes
from derain.kernels import accelerate
from derain.network import PLNLIN, preset
from derain.network.plnlim import PLNLIM

CONFIGURATION = preset("small")
AREA = CONFIGURATION.window_px**2
ROUNDS = 5
HINTS = {"float32": "f32", "bfloat16": "bf16"}


def main() -> None:
    """Measure, and print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="+")
    parser.add_argument("--precision", choices=HINTS, default="bfloat16")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(environment_line("torch"))
    for size in options.sizes:
        channels, height, width = map(int, size.split("x"))
        torch.manual_seed(0)
        module = PLNLIM(channels, stages=2, configuration=CONFIGURATION).eval()
        x = torch.randn(1, channels, height, width)
        exported = in_openvino(module, x, options.precision)
        native = in_kernels(module, x, options.precision)
        times: dict[str, list[float]] = {"OpenVINO": [], "kernels": []}
        for _ in range(ROUNDS + 1):
            for name, run in zip(times, (exported, native), strict=True):
                start = time.process_time()
                run()
                times[name].append(time.process_time() - start)
        macs = height * width * (106 * channels**2 + 6 * AREA * channels)
        least = {name: min(measured[1:]) for name, measured in times.items()}
        texts = [
            f"{name} {s * 1e3:.1f} ms, {macs / s / 1e9:.0f} GMAC/s" for name, s in least.items()
        ]
        print(f"{size}: {'; '.join(texts)}; ratio {least['OpenVINO'] / least['kernels']:.2f}")


def in_openvino(module: PLNLIM, x: torch.Tensor, precision: str) -> Callable[[], object]:
    """Return a function that runs the exported module."""
    channels = x.shape[1]
    graph = OnnxGraph(half=False)
    batch, height, width = (graph.axis_length("rainy", axis) for axis in (0, 2, 3))
    level = LevelShapes(
        graph,
        batch=batch,
        height=height,
        width=width,
        window_px=CONFIGURATION.window_px,
        shift_px=CONFIGURATION.shift_px,
        zero=graph.floats(np.zeros((1, 1, 1, 1))),
    )
    with torch.no_grad():
        end = NetworkGraph(graph, PLNLIN(CONFIGURATION)).plnlim("rainy", module, level)
    graph.nodes.append(helper.make_node("Identity", [end], ["restored"]))
    shape = ["batch", channels, "height", "width"]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "plnlim",
            [helper.make_tensor_value_info("rainy", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("restored", TensorProto.FLOAT, shape)],
            initializer=list(graph.initialisers.values()),
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=9,
    )
    core = openvino.Core()
    options = {"INFERENCE_PRECISION_HINT": HINTS[precision], "INFERENCE_NUM_THREADS": 1}
    network = core.read_model(model.SerializeToString())
    request = core.compile_model(network, "CPU", options).create_infer_request()
    array = np.ascontiguousarray(x.numpy())
    return lambda: request.infer([array], share_inputs=True)


def in_kernels(module: PLNLIM, x: torch.Tensor, precision: str) -> Callable[[], object]:
    """Return a function that runs the module with the kernels, which need gradients enabled."""
    accelerate(module, "vector")
    x = x.to(memory_format=torch.channels_last)

    def run() -> object:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            return module(x)

    return run


if __name__ == "__main__":
    main()
