"""How well tiles agree with the whole picture (`derain.inference.tile_plan`).

    python benchmarks/tiles.py examples --model fast --model best

For each model and tile: the mean PSNR of the tiled results against those of the whole pictures, the
largest difference of a channel, the step at the seams, and the mean PSNR of both against the clean
pictures. The step is the mean difference of neighbouring pixels across the middle of a fade, beyond
that of the whole picture. float32, so that nothing else differs.
"""

from __future__ import annotations

import argparse
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from derain import Restorer
from derain.data.pairs.find import find_pairs
from derain.environment import environment_line
from derain.evaluate.metrics import psnr
from derain.inference.tile_plan import Span, TilePlan, plan_tiles
from derain.inference.tiling import restore_tiled

Floats = NDArray[np.float32]
WHOLE_PX = 100_000
"""Longer than every picture."""


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a folder of pairs")
    parser.add_argument("--model", action="append", help="default: fast")
    parser.add_argument("--tile", type=int, action="append", help="default: 168, the smallest")
    options = parser.parse_args()
    pairs = [
        tuple(np.float32(image) / np.float32(255) for image in pair.load())
        for pair in find_pairs(options.folder).pairs
    ]
    print("| | tile | PSNR to the whole | largest | step | whole to clean | tiles to clean |")
    print("|---|---|---|---|---|---|---|")
    for name in options.model or ["fast"]:
        restorer = Restorer(name, precision="float32")
        whole = [restore(restorer, rainy, WHOLE_PX)[0] for rainy, _ in pairs]
        for tile_px in options.tile or [168]:
            print(measure(f"`{name}` | {tile_px}", restorer, pairs, whole, tile_px), flush=True)
    print(f"\n{len(pairs)} pairs; {environment_line()}")


def measure(
    name: str,
    restorer: Restorer,
    pairs: list[tuple[Floats, Floats]],
    whole: list[Floats],
    tile_px: int,
) -> str:
    """Return one line of the table."""
    figures = []
    for (rainy, clean), once in zip(pairs, whole, strict=True):
        tiled, plan = restore(restorer, rainy, tile_px)
        largest = 255 * np.abs(tiled - once).max()
        step = 255 * seam_step(tiled, once, plan)
        figures.append(
            (psnr(tiled, once), largest, step, psnr(once, clean), psnr(tiled, clean)),
        )
    agreement, _, step, before, after = np.mean(figures, axis=0)
    largest = max(figure[1] for figure in figures)
    return (
        f"| {name} | {agreement:.1f} dB | {largest:.0f} | {step:.2f} "
        f"| {before:.2f} dB | {after:.2f} dB |"
    )


def restore(restorer: Restorer, rainy: Floats, tile_px: int) -> tuple[Floats, TilePlan]:
    """Return the result in tiles of at most `tile_px`, and where they were."""
    multiple_px = restorer.model.multiple_px
    plan = plan_tiles(rainy.shape[:2], tile_px=tile_px, multiple_px=multiple_px)
    network = partial(restorer.engine, one_size=False)
    return restore_tiled(rainy, network=network, plan=plan), plan


def seam_step(tiled: Floats, whole: Floats, plan: TilePlan) -> float:
    """Return the mean step at the seams of a picture, in 0..1; nan for a picture of one tile."""
    columns, rows = seams(plan.columns), seams(plan.rows)
    steps = [
        np.abs(np.diff(tiled, axis=axis) - np.diff(whole, axis=axis)).take(places, axis=axis)
        for axis, places in ((0, rows), (1, columns))
    ]
    return float(np.concatenate([step.ravel() for step in steps]).mean())


def seams(spans: tuple[Span, ...]) -> list[int]:
    """Return the middles of the fades."""
    return [(right.keep + left.stop) // 2 for left, right in pairwise(spans)]


if __name__ == "__main__":
    main()
