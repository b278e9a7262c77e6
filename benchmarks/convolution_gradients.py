"""Gradients of a 3x3 convolution's weight and bias: the kernel against oneDNN, on one thread.

Prints milliseconds of the processor, the least of several turns, and the greatest difference
relative to the greatest gradient.

    python benchmarks/convolution_gradients.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from derain.environment import environment_line
from derain.kernels.build import load_library

BATCH, TURNS = 4, 9
SHAPES = [(32, 32, 112), (64, 32, 112), (48, 48, 56), (64, 64, 28), (64, 64, 14)]
"""Channels of input and output, and the side of the feature maps, as in `best`."""


def main() -> None:
    """Print one Markdown table."""
    torch.set_num_threads(1)
    kernel = load_library().convolution_gradients
    print("| channels, px | oneDNN | kernel | difference |\n|---|---|---|---|")
    for channels, out, side in SHAPES:
        x, dy = (noise(count, side) for count in (channels, out))
        weight = noise(channels, 3)[:1].expand(out, -1, -1, -1).contiguous()
        pixels = [maps.permute(0, 2, 3, 1) for maps in (x, dy)]
        ms = {"oneDNN": 1e9, "kernel": 1e9}
        for _ in range(TURNS):
            expected, ms["oneDNN"] = timed(partial(by_onednn, x, dy, weight), ms["oneDNN"])
            actual, ms["kernel"] = timed(partial(kernel, *pixels), ms["kernel"])
        pairs = zip(actual, expected, strict=True)
        difference = max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
        cells = [f"{ms['oneDNN']:.1f}", f"{ms['kernel']:.1f}", f"{difference:.1e}"]
        print(f"| {channels} to {out}, {side} | {' | '.join(cells)} |", flush=True)
    print(f"\n{environment_line('torch')}")


def noise(channels: int, side: int) -> Tensor:
    """Return random maps (BATCH, channels, side, side) in channels-last memory."""
    return torch.randn(BATCH, channels, side, side).to(memory_format=torch.channels_last)


def by_onednn(x: Tensor, dy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of weight and bias."""
    _, d_weight, d_bias = torch.ops.aten.convolution_backward(
        dy, x, weight, [len(weight)], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [False, True, True]
    )
    return d_weight, d_bias


def timed(compute: Callable[[], Any], least_ms: float) -> tuple[Any, float]:
    """Return the result, and the smaller one of `least_ms` and the milliseconds it took."""
    start = time.thread_time()
    result = compute()
    return result, min(least_ms, 1e3 * (time.thread_time() - start))


if __name__ == "__main__":
    main()
