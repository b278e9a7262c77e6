"""Check and time the engine `torch` on a card: against float32 on the CPU, in about three minutes.

Prints a Markdown table. Returns 1 if a result is less than 50 dB from the reference.

    python tools/gpu/check_inference.py
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "src"))

import numpy as np  # noqa: E402  # derain need not be installed
import torch  # noqa: E402

from derain.environment import environment_line  # noqa: E402
from derain.evaluate.metrics import psnr  # noqa: E402
from derain.inference import Restorer  # noqa: E402
from derain.pictures import read  # noqa: E402

MIN_DB = 50.0


def main() -> int:
    """Compare the example pictures, and time one picture of each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", action="append")
    parser.add_argument("--picture", action="append", type=Path)
    parser.add_argument("--size", action="append", help="WIDTHxHEIGHT")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    pictures = options.picture or sorted((ROOT / "examples" / "rainy").glob("*.jpg"))
    images = [read(path).image for path in pictures]
    sizes = options.size or ["481x321", "1920x1080", "4000x3000"]
    print(environment_line(), torch.__version__, options.device, sep=", ")
    print(
        "| model | precision | least agreement, dB |", *(f" {size}, s |" for size in sizes), sep=""
    )
    print("|---" * (3 + len(sizes)) + "|")
    agreements = []
    for model in options.model or ["fast", "best"]:
        exact = Restorer(model, engine="torch", precision="float32")
        references = [exact(image) for image in images]
        for precision in ("float32", "bfloat16"):
            fast = Restorer(model, engine="torch", device=options.device, precision=precision)
            pairs = zip(images, references, strict=True)
            agreements.append(min(psnr(fast(image), other, peak=255) for image, other in pairs))
            seconds = [_time(fast, size, repeats=options.repeats) for size in sizes]
            cells = [model, precision, f"{agreements[-1]:.1f}", *(f"{s:.3f}" for s in seconds)]
            print("|", " | ".join(cells), "|", flush=True)
    if torch.cuda.is_available():
        print(f"peak memory of the card: {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB")
    return int(min(agreements) < MIN_DB)


def _time(restorer: Restorer, size: str, *, repeats: int) -> float:
    """Return the median seconds of a picture, after one that prepares the card."""
    width, height = map(int, size.split("x"))
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    restorer(image)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        restorer(image)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    sys.exit(main())
