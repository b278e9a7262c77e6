"""How much a model's gain owes to rain layers and backgrounds that it was trained on.

Rain layers of training pairs and of held-out pairs are added to backgrounds of training pairs and
of held-out pairs, in all four combinations. For each, the script prints the mean gain in PSNR
(protocol `paper`) over the rainy picture.

    python benchmarks/known_and_unknown.py data/pairs/rain100H data/pairs/rain100L \
        --held-out 021 030 039 051 063 074 085 099 --model best
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np

from derain import Restorer
from derain.data.pairs.find import find_pairs
from derain.data.training_pictures import rain_layer
from derain.environment import environment_line
from derain.evaluate.metrics import psnr


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "folders", nargs="+", type=Path, help="folders of pairs whose rain was added"
    )
    parser.add_argument(
        "--held-out", nargs="+", required=True, help="names of pairs not trained on"
    )
    parser.add_argument("--model", action="append", help="a model's name or file; may be repeated")
    options = parser.parse_args()
    models = options.model or ["best"]
    restorers = [Restorer(model) for model in models]
    columns = [f"{folder.name}, {model}" for folder, model in product(options.folders, models)]
    rows = {
        (layer, background): [
            gain(restorer, folder, options.held_out, layer=layer, background=background)
            for folder, restorer in product(options.folders, restorers)
        ]
        for layer, background in product(("known", "unknown"), repeat=2)
    }
    print(f"| rain layer, background | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for (layer, background), gains in rows.items():
        print(f"| {layer}, {background} | {' | '.join(f'{value:.2f}' for value in gains)} |")
    print(f"\n{environment_line()}")


def gain(
    restorer: Restorer, folder: Path, held_out: list[str], *, layer: str, background: str
) -> float:
    """Return the mean gain in dB over as many recombined pictures as are held out."""
    pairs = {pair.name.rsplit("/", 1)[-1]: pair for pair in find_pairs(folder).pairs}
    known = [name for name in sorted(pairs) if name not in held_out][:: len(pairs) // len(held_out)]
    names = {"known": known[: len(held_out)], "unknown": sorted(held_out)}
    # the layer of the next picture: no combination is a published pair
    sources = zip(names[layer], np.roll(names[background], 1), strict=True)
    gains = []
    for layer_name, background_name in sources:
        rain = rain_layer(*pairs[layer_name].load())
        clean = pairs[str(background_name)].load()[1]
        if clean.shape != rain.shape:  # portrait and landscape
            clean = np.ascontiguousarray(np.rot90(clean))
        rainy = np.clip(clean.astype(np.int16) + rain, 0, 255).astype(np.uint8)
        truth = clean.astype(np.float32) / 255
        restored = restorer(rainy.astype(np.float32) / 255)
        gains.append(psnr(restored, truth) - psnr(rainy.astype(np.float32) / 255, truth))
    return float(np.mean(gains))


if __name__ == "__main__":
    main()
