"""The validation that every training cycle of the shipped models prints, for several models.

Rain100L and Rain100H are scored on the eight held-out pairs, and Rain800 on its test pairs, by
protocol `paper`. Rain-free pictures are scored against themselves: the eight clean pictures and
those in `validation/rain_free` of the data folder. Pairs of real rain (GT-RAIN) are scored after
their light has been fitted, as the gain over the untouched photo.

    python benchmarks/validation.py DATA --model best --model runs/fast/weights.onnx
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from derain import Restorer
from derain.data.pairs.find import find_pairs
from derain.data.pairs.pair import Image8, decode
from derain.data.training_pictures import background_paths
from derain.environment import environment_line
from derain.evaluate.light import fit_light
from derain.evaluate.metrics import psnr
from derain.evaluate.protocols import PROTOCOLS, score

HELD_OUT = ["021", "030", "039", "051", "063", "074", "085", "099"]
MAX_PSNR_DB = 80.0
Restore = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def main() -> None:
    """Print one Markdown table with a row for each model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder that recipes call data.root")
    parser.add_argument("--model", action="append", help="a model's name or file; may be repeated")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--quick", action="store_true", help="the two eights only")
    options = parser.parse_args()
    columns = ["Rain100L 8", "Rain100H 8"]
    if not options.quick:
        columns += ["Rain800", "rain-free: mean", "5 %", "worst", "GT-RAIN: gain", "worst gain"]
    print(f"| model | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for model in [None, *(options.model or ["best"])]:
        restorer = None if model is None else Restorer(model, precision=options.precision)
        cells = " | ".join(figures(options.data, restorer or untouched, quick=options.quick))
        print(f"| {'untouched' if model is None else Path(model).stem} | {cells} |", flush=True)
    print(f"\n{environment_line()}")


def untouched(rainy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the picture itself."""
    return rainy


def figures(data: Path, restore: Restore, *, quick: bool) -> list[str]:
    """Return the cells of a row."""
    cells = [mean_score(data / f"pairs/rain100{kind}", restore, HELD_OUT) for kind in "LH"]
    if quick:
        return cells
    cells.append(mean_score(data / "pairs/rain800_test", restore))
    kept = rain_free(data, restore)
    cells += [f"{value:.2f}" for value in (np.mean(kept), np.percentile(kept, 5), min(kept))]
    gains = real_gains(data / "pairs/gtrain_real", restore)
    return [*cells, f"{np.mean(gains):+.2f}", f"{min(gains):+.2f}"]


def mean_score(folder: Path, restore: Restore, names: Sequence[str] = ()) -> str:
    """Return the mean PSNR and SSIM of the pairs of a folder, by protocol `paper`."""
    scores = [
        score(PROTOCOLS["paper"], restore(as_float(rainy)), clean)
        for name, (rainy, clean) in pairs(folder)
        if not names or name in names
    ]
    decibels, similarity = np.mean([(value.psnr, value.ssim) for value in scores], axis=0)
    return f"{decibels:.2f} / {similarity:.4f}".replace("/ 0.", "/ .")


def rain_free(data: Path, restore: Restore) -> list[float]:
    """Return the PSNR of each rain-free picture against itself."""
    pictures = [clean for name, (_, clean) in pairs(data / "pairs/rain100L") if name in HELD_OUT]
    pictures += map(decode, background_paths([data / "validation/rain_free"]))
    return [
        min(MAX_PSNR_DB, psnr(np.clip(restore(as_float(x)), 0, 1), as_float(x))) for x in pictures
    ]


def real_gains(folder: Path, restore: Restore) -> list[float]:
    """Return the gain in dB of each real pair over the untouched photo, light fitted in both."""
    gains = []
    for _, (rainy, clean) in pairs(folder):
        truth = as_float(clean)
        before, after = (
            psnr(np.clip(fit_light(side, truth), 0, 1), truth)
            for side in (as_float(rainy), np.clip(restore(as_float(rainy)), 0, 1))
        )
        gains.append(after - before)
    return gains


def pairs(folder: Path) -> list[tuple[str, tuple[Image8, Image8]]]:
    """Return the names and the pictures of all pairs of a folder."""
    return [(pair.name.rsplit("/", 1)[-1], pair.load()) for pair in find_pairs(folder).pairs]


def as_float(picture: Image8) -> NDArray[np.float32]:
    """Return the picture in 0..1."""
    return picture.astype(np.float32) / 255


if __name__ == "__main__":
    main()
