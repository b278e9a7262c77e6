"""Print how far our output is from the official code's with the same official weights.

python tests/rivals/compare_with_official.py OFFICIAL_CHECKOUT NAME=WEIGHTS...
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import official
import torch
from helpers.seeded_weights import seeded_picture

from derain.rivals import build
from derain.rivals.checkpoint import load_into, read_checkpoint

SIZES = ((32, 32), (45, 70))
"""(height, width) of the pictures; the second one is no multiple of anything."""
TWINS = {"ddn": "sirr"}
"""Names that share an official graph."""


def main(checkout: Path, specs: list[str]) -> None:
    """Compare each of `specs`, NAME=WEIGHTS."""
    networks = official.load(checkout)
    for spec in specs:
        name, _, path = spec.partition("=")
        checkpoint = read_checkpoint(path)
        network = build(name).eval()
        load_into(network, checkpoint, path=path)
        theirs = networks[TWINS.get(name, name)]
        weights = {key: checkpoint.tensors[key] for key in theirs.shapes}
        for size in SIZES:
            rainy = torch.from_numpy(seeded_picture(*size))
            with torch.inference_mode():
                difference = (theirs.run(weights, rainy) - network(rainy)).abs().max().item()
            print(f"{name}, {Path(path).name}, {size[1]}x{size[0]}: {difference:.1e}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
