"""PSNR and SSIM of rivals and models on pairs, picture by picture, in pieces that can be resumed.

Every restored picture is one line of a JSON Lines file. Pictures that the file holds are skipped,
so that the same command continues an interrupted measurement.

    python benchmarks/rival_figures.py figures.jsonl --data DIR/rain100L --minutes 5 \
        --model PReNet=prenet:PReNet/logs/Rain100L/PReNet6/net_latest.pth
    python benchmarks/rival_figures.py figures.jsonl --table
    python benchmarks/rival_figures.py figures.jsonl --table \
        --only 021 030 039 051 063 074 085 099

`y-half, truncated` is the protocol `y-half` of a picture that was saved as PReNet's code saves it,
truncated to 8 bits; `pillow-y` is NLEDN's: PSNR of Y of Pillow's `convert("YCbCr")`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain import Restorer
from derain.data.pairs.find import find_pairs
from derain.environment import environment_line
from derain.evaluate.metrics import psnr
from derain.evaluate.protocols import PROTOCOLS, score

UNTOUCHED = "untouched"
"""Label of the rainy picture itself."""
COLUMNS = ("paper", "y-half", "y-half, truncated", "pillow-y")


def main() -> None:
    """Measure for the given time, or print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", type=Path, help="the JSON Lines file that holds the figures")
    parser.add_argument("--data", type=Path, help="a folder of pairs; its name is recorded")
    parser.add_argument(
        "--model", default=UNTOUCHED, help="LABEL=MODEL, such as PReNet=prenet:net_latest.pth"
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="when to stop")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="print the means instead")
    parser.add_argument("--only", nargs="+", help="names of pairs for the table")
    options = parser.parse_args()
    rows = read(options.file)
    if options.table:
        print_table(rows, only=options.only)
    elif options.data is None:
        parser.error("name a folder of pairs with --data, or ask for the --table")
    else:
        measure(options, rows)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the file, without a last line that was cut off."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def measure(options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Append one row for each picture that the file lacks, until the time is over."""
    began = time.monotonic()
    label, _, model = options.model.partition("=")
    pairs = {pair.name.rsplit("/", 1)[-1]: pair for pair in find_pairs(options.data).pairs}
    done = {row["pair"] for row in rows if (row["label"], row["data"]) == key(options, label)}
    missing = sorted(set(pairs) - done)
    restorer = Restorer(model, threads=options.threads) if model and missing else None
    for position, name in enumerate(missing):
        if time.monotonic() - began > 60 * options.minutes:
            print(f"{label}, {options.data.name}: {len(missing) - position} pictures are left")
            return
        rainy, clean = pairs[name].load()
        image = rainy.astype(np.float32) / 255
        restored = image if restorer is None else restorer(image)
        row = {"label": label, "data": options.data.name, "pair": name}
        row |= {"scores": scores(restored, clean), "environment": environment_line("torch")}
        with options.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    print(f"{label}, {options.data.name}: complete, {len(pairs)} pictures")


def key(options: argparse.Namespace, label: str) -> tuple[str, str]:
    """Return what distinguishes the rows of one candidate on one set."""
    return label, options.data.name


def scores(
    restored: NDArray[np.float32], clean: NDArray[np.uint8]
) -> dict[str, tuple[float, float | None]]:
    """Return (PSNR in dB, SSIM) by protocol; `pillow-y` has no SSIM of its own."""
    clipped = restored.clip(0, 1)
    truncated = (clipped * 255).astype(np.uint8)
    results = {name: score(PROTOCOLS[name], clipped, clean) for name in ("paper", "y-half")}
    results["y-half, truncated"] = score(PROTOCOLS["y-half"], truncated, clean)
    planes = [
        np.asarray(Image.fromarray(picture).convert("YCbCr"))[..., 0] / 255
        for picture in (truncated, clean)
    ]
    return {name: (result.psnr, result.ssim) for name, result in results.items()} | {
        "pillow-y": (psnr(*planes), None)
    }


def print_table(rows: Iterable[dict[str, Any]], *, only: list[str] | None) -> None:
    """Print the means over the pictures by candidate and set."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        if only is None or row["pair"] in only:
            groups.setdefault((row["data"], row["label"]), []).append(row)
    print(f"| set | network | pictures | {' | '.join(COLUMNS)} |")
    print("|---" * (len(COLUMNS) + 3) + "|")
    for (data, label), group in sorted(groups.items()):
        cells = []
        for column in COLUMNS:
            decibels, similarities = zip(*(row["scores"][column] for row in group), strict=True)
            cell = f"{np.mean(decibels):.2f}"
            has_ssim = column != "pillow-y"
            cells.append(f"{cell} / {np.mean(similarities):.4f}" if has_ssim else cell)
        print(f"| {data} | {label} | {len(group)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
