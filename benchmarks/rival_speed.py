"""Seconds and peak memory of rivals beside derain's models, interleaved, in pieces.

Each measurement is a process of its own, which restores one picture twice and reports the second
time and the peak of its memory. It is one line of a JSON Lines file. Every call measures what has
the fewest lines so far, so that a measurement can be stopped at any time and continued:

    python benchmarks/rival_speed.py speed.jsonl --minutes 5 --threads 2 \
        --model fast=fast --model best=best --model PReNet=prenet:net_latest.pth \
        --network RCDNet=rcdnet
    python benchmarks/rival_speed.py speed.jsonl --table

`--network LABEL=NAME` measures a network with random weights, because its speed does not depend on
them. The pictures are noise.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from derain import Restorer
from derain.environment import environment_line

SIZES = {"481x321": (321, 481), "1920x1080": (1080, 1920)}
"""Label -> (height, width)."""
TIMEOUT_S = 1800


def main() -> None:
    """Measure for the given time, print the table, or do one measurement (`--one`)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", type=Path, help="the JSON Lines file that holds the figures")
    parser.add_argument("--model", action="append", default=[], help="LABEL=MODEL")
    parser.add_argument("--network", action="append", default=[], help="LABEL=NAME of a rival")
    parser.add_argument("--size", action="append", choices=SIZES, help="default: both")
    parser.add_argument("--minutes", type=float, default=5.0, help="when to start nothing more")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="print the medians instead")
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure_here(*options.one, threads=options.threads)))
    elif options.table:
        print_table(read(options.file))
    else:
        measure(options)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the file, without a last line that was cut off."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def measure(options: argparse.Namespace) -> None:
    """Run measurements, always of what has the fewest lines, until the time is over."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        candidates = dict(argument.split("=", 1) for argument in options.model)
        for argument in options.network:
            label, name = argument.split("=", 1)
            candidates[label] = f"{name}:{random_weights(name, Path(folder))}"
        plan = [(label, size) for size in options.size or SIZES for label in candidates]
        while time.monotonic() - began < 60 * options.minutes:
            rows = read(options.file)
            done = [(row["label"], row["size"]) for row in rows]
            label, size = min(plan, key=done.count)
            row = {"label": label, "size": size, "threads": options.threads}
            row |= in_a_process(candidates[label], size, options) | {
                "environment": environment_line("torch")
            }
            with options.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(label, size, row.get("seconds", row.get("error")), flush=True)


def random_weights(name: str, folder: Path) -> Path:
    """Write random weights of a rival for a run, and return their path."""
    import torch

    from derain.rivals import build

    network = build(name)
    path = folder / f"{name}.pth"
    torch.save({network.official_name(k): v for k, v in network.state_dict().items()}, path)
    return path


def in_a_process(model: str, size: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return one measurement, or the error that ended it, such as a full memory."""
    command = [sys.executable, __file__, str(options.file), "--threads", str(options.threads)]
    try:
        finished = subprocess.run(
            [*command, "--one", model, size],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"more than {TIMEOUT_S} s"}
    if finished.returncode:
        last = (finished.stderr.strip().splitlines() or [f"exit code {finished.returncode}"])[-1]
        return {"error": last}
    result: dict[str, Any] = json.loads(finished.stdout)
    return result


def measure_here(model: str, size: str, *, threads: int) -> dict[str, Any]:
    """Restore a picture of noise twice; return the seconds of the second time and the peak."""
    image = np.random.default_rng(0).random((*SIZES[size], 3), dtype=np.float32)
    restorer = Restorer(model, threads=threads)
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        restorer(image)
        seconds.append(time.perf_counter() - began)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": round(seconds[-1], 3), "peak_mib": round(peak_mib)}


def print_table(rows: Iterable[dict[str, Any]]) -> None:
    """Print medians by candidate: seconds and peak memory at each size."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["label"], row["size"]), []).append(row)
    labels = dict.fromkeys(label for label, _ in groups)
    print("| network | " + " | ".join(f"{size}: s; MiB; times" for size in SIZES) + " |")
    print("|---" * (len(SIZES) + 1) + "|")
    for label in labels:
        cells = []
        for size in SIZES:
            group = groups.get((label, size), [])
            timed = [row for row in group if "seconds" in row]
            if timed:
                seconds = np.median([row["seconds"] for row in timed])
                peak = np.median([row["peak_mib"] for row in timed])
                cells.append(f"{seconds:.2f}; {peak:.0f}; {len(timed)}")
            else:
                cells.append(group[-1]["error"] if group else "not measured")
        print(f"| {label} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
