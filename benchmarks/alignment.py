"""How well neighbours of a moving camera are aligned: PSNR of a frame and its neighbour.

    python benchmarks/alignment.py DATA/pairs/nturain_street --to 140 --every 6

Motion is estimated on the rainy sides and measured on the clean ones, 40 pixels off the border.
Milliseconds are CPU time for one neighbour.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path

import numpy as np

from derain.data.clips import neighbour_indices
from derain.data.pairs.find import find_pairs
from derain.environment import environment_line
from derain.evaluate.metrics import psnr
from derain.motion import Frame
from derain.motion.alignment import move_frame
from derain.motion.blocks import Blocks, match_blocks
from derain.motion.camera import STILL, estimate_motion, move

INNER = np.s_[40:-40, 40:-40]
EQUAL_DB = 60.0
"""PSNR of equal pictures, for averages."""


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a folder of pairs that are frames of clips")
    parser.add_argument("--to", dest="last", type=int, default=10**9, help="the last frame")
    parser.add_argument("--every", type=int, default=1, help="measure every n-th frame")
    options = parser.parse_args()
    pairs = [
        pair
        for pair in find_pairs(options.folder).pairs
        if int(re.findall(r"\d+", pair.name)[-1]) <= options.last
    ]
    rows: dict[str, list[tuple[float, float]]] = {}
    for index, (_, after) in list(enumerate(neighbour_indices(pairs)))[:: options.every]:
        if after != index:
            sides = [[Frame(side) for side in pairs[number].load()] for number in (index, after)]
            for name, value in measure(*sides).items():
                rows.setdefault(name, []).append(value)
    print("| | PSNR, dB | ms |\n|---|---|---|")
    for name, values in rows.items():
        decibels, milliseconds = np.mean(values, axis=0)
        print(f"| {name} | {decibels:.2f} | {milliseconds:.0f} |")
    print(f"\n{len(values)} neighbours. {environment_line()}")


def measure(frame: list[Frame], neighbour: list[Frame]) -> dict[str, tuple[float, float]]:
    """Return (PSNR in dB, milliseconds) by the steps that are taken; frames are rainy and clean."""
    start = time.process_time()
    motion = estimate_motion(frame[0], neighbour[0])
    camera_ms = 1000 * (time.process_time() - start)
    start = time.process_time()
    blocks = match_blocks(frame[0].small, move(neighbour[0].small, motion))
    blocks_ms = 1000 * (time.process_time() - start)
    still = Blocks(np.zeros_like(blocks.shifts), blocks.trust)
    found = {}
    for name, camera, local, milliseconds in (
        ("not aligned", STILL, still, 0.0),
        ("camera motion", motion, still, camera_ms),
        ("camera and local motion", motion, blocks, camera_ms + blocks_ms),
    ):
        start = time.process_time()
        moved = move_frame(neighbour[1], camera, local)
        if milliseconds:
            milliseconds += 1000 * (time.process_time() - start)
        clean, image = (side[INNER] / 255 for side in (frame[1].image, moved))
        found[name] = min(psnr(image, clean), EQUAL_DB), milliseconds
    return found


if __name__ == "__main__":
    main()
