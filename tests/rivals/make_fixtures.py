"""Make `fixtures.json`: outputs of official networks with seeded random weights.

    python tests/rivals/make_fixtures.py OFFICIAL_CHECKOUT...

Each checkout is one of those in `official.LOADERS`. Entries of other networks stay. Values must
come from the official code only, never from that of this project.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import official
import torch
from helpers.seeded_weights import seeded_picture, seeded_weights

FIXTURES = Path(__file__).with_name("fixtures.json")
PLACES = [(0, 0, 0), (1, 0, 31), (2, 31, 0), (0, 31, 31), (1, 10, 10), (2, 16, 5), (0, 5, 27)]
"""(channel, row, column) of the output values that are stored; corners show wrong padding."""
GAINS = {
    "prn": 0.6,
    "prn_r": 0.5,
    "prenet_r": 0.8,
    "hct-ffn": 0.6,
    "rcdnet": 0.4,
    "mprnet": 0.5,
}
"""Scale of the random weights of networks whose output would explode with 1."""


def main(checkouts: list[Path]) -> None:
    """Write the entries of one checkout; several run in processes of their own."""
    if len(checkouts) > 1:  # the repositories have modules of equal names
        for checkout in checkouts:
            subprocess.run([sys.executable, __file__, str(checkout)], check=True)
        return
    (checkout,) = checkouts
    fixtures = json.loads(FIXTURES.read_text()) if FIXTURES.exists() else {}
    for name, network in official.load(checkout).items():
        gain = GAINS.get(name, 1.0)
        arrays = seeded_weights(network.shapes, gain=gain)
        weights = {key: torch.from_numpy(array) for key, array in arrays.items()}
        restored = network.run(weights, torch.from_numpy(seeded_picture())).double().numpy()
        assert np.isfinite(restored).all()
        fixtures[name] = {
            "gain": gain,
            "commit": official.commit_of(checkout),
            "values": [round(float(restored[0][place]), 6) for place in PLACES],
            "mean": round(float(restored.mean()), 6),
            "deviation": round(float(restored.std()), 6),
        }
        print(name, fixtures[name])
    FIXTURES.write_text(json.dumps(dict(sorted(fixtures.items())), indent=1) + "\n")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
