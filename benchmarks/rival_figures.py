"""PSNR and SSIM of rivals and models on pairs, picture by picture, in pieces that can be resumed.

Every restored picture is one line of a JSON Lines file. Pictures that the file holds are skipped,
so that the same command continues an interrupted measurement.

    python benchmarks/rival_figures.py figures.jsonl --data DIR/rain100L --minutes 5 \
        --model PReNet=prenet:PReNet/logs/Rain100L/PReNet6/net_latest.pth
    python benchmarks/rival_figures.py figures.jsonl --table
    python benchmarks/rival_figures.py figures.jsonl --table \
        --only 021 030 039 051 063 074 085 099

`--only` restricts a measurement, and the table, to pairs of these names. `--keep FOLDER` keeps the
restored pictures (float32, .npy), which `--scores` then scores once more. The model may be a rival,
NAME:PATH, or another model, such as the faster ONNX file of `derain export --no-half`. The columns:

paper, y-half       protocols of derain
y-half, truncated   `y-half` of a picture truncated to 8 bits, as PReNet's code saves it
pillow-y            NLEDN's: Y of Pillow's `convert("YCbCr")` of the truncated picture
RGB, not clipped    RESCAN's: PSNR of the floats as NAME:PATH returns them; ONNX models clip
RGB, truncated      SIRR's: PSNR of the picture truncated to 8 bits
RGB, box SSIM       SPANet's: PSNR of the clipped floats, and scikit-image's SSIM of 7x7 boxes
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
from skimage.metrics import structural_similarity

from derain import Restorer
from derain.data.pairs.find import find_pairs
from derain.environment import environment_line
from derain.evaluate.metrics import psnr
from derain.evaluate.protocols import PROTOCOLS, score
from derain.files.atomic import atomic_write
from derain.rivals.engine import RivalEngine

UNTOUCHED = "untouched"
"""Label of the rainy picture itself."""
COLUMNS = (
    "paper",
    "y-half",
    "y-half, truncated",
    "pillow-y",
    "RGB, not clipped",
    "RGB, truncated",
    "RGB, box SSIM",
)


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
    parser.add_argument("--only", nargs="+", help="names of pairs")
    parser.add_argument("--keep", type=Path, help="a folder for the restored pictures")
    parser.add_argument("--scores", action="store_true", help="score the kept pictures only")
    options = parser.parse_args()
    rows = read(options.file)
    if options.table:
        print_table(rows, only=options.only)
    elif options.data is None:
        parser.error("name a folder of pairs with --data, or ask for the --table")
    elif options.scores and options.keep is None:
        parser.error("name the folder of restored pictures with --keep")
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
    missing = sorted((set(pairs) if options.only is None else set(options.only)) - done)
    paths = {name: kept(options.keep or Path(), label, options.data, name) for name in missing}
    found = {name for name in missing if options.keep is not None and paths[name].exists()}
    if options.scores:
        missing = [name for name in missing if name in found]
    restorer = Restorer(model, threads=options.threads) if model and set(missing) - found else None
    for position, name in enumerate(missing):
        if time.monotonic() - began > 60 * options.minutes:
            print(f"{label}, {options.data.name}: {len(missing) - position} pictures are left")
            return
        rainy, clean = pairs[name].load()
        restored = rainy.astype(np.float32) / 255
        if name in found:
            restored = np.load(paths[name])
        elif restorer is not None:
            restored = raw(restorer, restored)
            if options.keep is not None:
                write_picture(paths[name], restored)
        row = {"label": label, "data": options.data.name, "pair": name}
        row |= {"scores": scores(restored, clean), "environment": environment_line("torch")}
        with options.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    print(f"{label}, {options.data.name}: {len(done) + len(missing)} pictures are scored")


def key(options: argparse.Namespace, label: str) -> tuple[str, str]:
    """Return what distinguishes the rows of one candidate on one set."""
    return label, options.data.name


def raw(restorer: Restorer, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Restore (H, W, 3); a rival's result is returned as it is, not clamped."""
    if not isinstance(restorer.engine, RivalEngine):
        return np.asarray(restorer(image), np.float32)
    return restorer.engine(image.transpose(2, 0, 1)[None])[0].transpose(1, 2, 0)


def kept(folder: Path, label: str, data: Path, name: str) -> Path:
    """Return where the restored picture of a pair is kept."""
    return folder / label / data.name / f"{name}.npy"


def write_picture(path: Path, restored: NDArray[np.float32]) -> None:
    """Keep a restored picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        np.save(file, restored)


def scores(
    restored: NDArray[np.float32], clean: NDArray[np.uint8]
) -> dict[str, tuple[float, float | None]]:
    """Return (PSNR in dB, SSIM) by column; None where a protocol has no SSIM of its own."""
    clipped = restored.clip(0, 1)
    truncated = (clipped * 255).astype(np.uint8)
    results = {name: score(PROTOCOLS[name], clipped, clean) for name in ("paper", "y-half")}
    results["y-half, truncated"] = score(PROTOCOLS["y-half"], truncated, clean)
    planes = [
        np.asarray(Image.fromarray(picture).convert("YCbCr"))[..., 0] / 255
        for picture in (truncated, clean)
    ]
    exact = clean / np.float64(255)
    box = structural_similarity(clipped.astype(np.float64), exact, channel_axis=2, data_range=1)
    return {name: (result.psnr, result.ssim) for name, result in results.items()} | {
        "pillow-y": (psnr(*planes), None),
        "RGB, not clipped": (psnr(restored, exact), None),
        "RGB, truncated": (psnr(truncated, clean, peak=255), None),
        "RGB, box SSIM": (psnr(clipped, exact), float(box)),
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
            has_ssim = None not in similarities
            cells.append(f"{cell} / {np.mean(similarities):.4f}" if has_ssim else cell)
        print(f"| {data} | {label} | {len(group)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
