"""Time that a request to `derain serve` takes on top of the network, for a 12-megapixel JPEG.

    python benchmarks/server_request.py --model fast --repeats 3

A request is timed at the client, from the first byte sent to the last byte received. The time of
the network comes from the server's /metrics. Reading and writing the photo, which are part of the
rest, are timed apart. Use an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import io
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image

from derain.environment import environment_line
from derain.pictures import read, write

EXAMPLE = Path(__file__).parents[1] / "examples/rainy/chelsea.jpg"
SIZE = (4000, 3000)


def make_photo() -> bytes:
    """Return a JPEG of 12 megapixels with the noise of a camera."""
    with Image.open(EXAMPLE) as image:
        pixels = np.asarray(image.convert("RGB").resize(SIZE), np.float32)
    noise = np.random.default_rng(1).normal(0, 4, pixels.shape)
    buffer = io.BytesIO()
    Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def network_seconds(address: str) -> float:
    """Return the time for which the network has computed."""
    with urllib.request.urlopen(f"{address}/metrics") as response:
        text = response.read().decode()
    return float(re.search(r"^derain_network_seconds (\S+)", text, re.MULTILINE)[1])


def time_request(address: str, photo: bytes) -> tuple[float, float]:
    """Return the seconds of one request, and those of the network in it."""
    before, start = network_seconds(address), time.monotonic()
    with urllib.request.urlopen(f"{address}/v1/restore", data=photo) as response:
        response.read()
    return time.monotonic() - start, network_seconds(address) - before


def time_files(photo: bytes) -> tuple[float, float]:
    """Return the seconds of reading and of writing the photo."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "photo.jpg")
        source.write_bytes(photo)
        start = time.monotonic()
        picture = read(source)
        middle = time.monotonic()
        write(picture, Path(folder, "restored.jpg"))
        return middle - start, time.monotonic() - middle


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="fast")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    photo = make_photo()
    command = [sys.executable, "-m", "derain", "serve", "--port", "0", "--model", options.model]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        address = server.stdout.readline().split()[2]
        small = io.BytesIO()
        Image.new("RGB", (64, 64)).save(small, "PNG")
        time_request(address, small.getvalue())  # the network is loaded
        runs = [time_request(address, photo) for _ in range(options.repeats)]
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    files = [time_files(photo) for _ in range(options.repeats)]
    print(environment_line())
    print(f"{SIZE[0]} x {SIZE[1]}, {len(photo) / 2**20:.1f} MiB, medians of {options.repeats} runs")
    network = statistics.median(inside for _, inside in runs)
    rest = statistics.median(total - inside for total, inside in runs)
    reading, writing = (statistics.median(times) for times in zip(*files, strict=True))
    print(f"network {network:.2f} s, on top of it {rest:.2f} s ({rest / network:.1%})")
    print(f"of these, reading {reading:.2f} s, writing {writing:.2f} s, the rest is transport")


if __name__ == "__main__":
    main()
