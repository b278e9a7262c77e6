"""The passes of a 3x3 convolution: the kernel against oneDNN, on one thread, in float32.

Prints milliseconds of the processor for the output and for the gradients of input, weight and bias,
oneDNN first, the least of several turns each. The difference is the greatest one, relative to the
greatest number.

    python benchmarks/convolutions.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from derain.environment import environment_line
from derain.kernels import accelerate

BATCH, TURNS = 4, 9
SHAPES = [(16, 16, 112), (32, 32, 112), (64, 32, 112), (48, 48, 56), (64, 64, 28), (64, 64, 14)]
"""Channels of input and output, and the side of the feature maps, as in `small` and `best`."""


def main() -> None:
    """Print one Markdown table."""
    torch.set_num_threads(1)
    print("| channels, px | output | gradients | difference |\n|---|---|---|---|")
    for channels, out, side in SHAPES:
        reference = nn.Conv2d(channels, out, 3, padding=1).to(memory_format=torch.channels_last)
        kernel = nn.Conv2d(channels, out, 3, padding=1).to(memory_format=torch.channels_last)
        kernel.load_state_dict(reference.state_dict())
        accelerate(kernel)
        x, dy = noise(channels, side).requires_grad_(), noise(out, side)
        least = [[float("inf")] * 2, [float("inf")] * 2]
        results: list[list[Tensor]] = [[], []]
        for _ in range(TURNS):
            for i, layer in enumerate((reference, kernel)):
                results[i], seconds = passes(layer, x, dy)
                least[i] = [min(pair) for pair in zip(least[i], seconds, strict=True)]
        differences = (
            float((b - a).abs().max() / a.abs().max()) for a, b in zip(*results, strict=True)
        )
        cells = [f"{a * 1e3:.1f}, {b * 1e3:.1f}" for a, b in zip(*least, strict=True)]
        cells.append(f"{max(differences):.1e}")
        print(f"| {channels} to {out}, {side} | {' | '.join(cells)} |", flush=True)
    print(f"\n{environment_line('torch')}")


def noise(channels: int, side: int) -> Tensor:
    """Return random maps (BATCH, channels, side, side) in channels-last memory."""
    return torch.randn(BATCH, channels, side, side).to(memory_format=torch.channels_last)


def passes(layer: nn.Conv2d, x: Tensor, dy: Tensor) -> tuple[list[Tensor], list[float]]:
    """Return the output and all gradients, and the seconds of both passes."""
    (y,), forward_s = timed(lambda: (layer(x),))
    tensors = (x, *layer.parameters())
    gradients, backward_s = timed(partial(torch.autograd.grad, y, tensors, dy))
    return [y.detach(), *gradients], [forward_s, backward_s]


def timed(compute: Callable[[], Sequence[Tensor]]) -> tuple[Sequence[Tensor], float]:
    """Return a result and the seconds of the processor that it took."""
    start = time.process_time()
    result = compute()
    return result, time.process_time() - start


if __name__ == "__main__":
    main()
