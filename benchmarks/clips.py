"""Quality of models on clips of pairs: rainy frames with their clean ones.

    python benchmarks/clips.py DATA/pairs/nturain_street --from 201 --to 240 --model best

For each model it prints PSNR and SSIM (protocols `y` and `paper`), the flicker of the restored
frames beyond that of the clean ones, and the frames per second with alignment. A model for clips is
measured with aligned neighbours, with neighbours that are not aligned, and without neighbours (the
frame itself in their place).
"""

from __future__ import annotations

import argparse
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from derain.data.clips import neighbour_indices
from derain.data.pairs.find import find_pairs
from derain.data.pairs.pair import Pair
from derain.environment import environment_line
from derain.evaluate.protocols import PROTOCOLS, score
from derain.inference.clip_restorer import ClipRestorer
from derain.motion import Window, aligned_windows
from derain.pictures import Pixels

MEASURED = ("y", "paper")


class Flicker:
    """Mean distance of a pixel from the mean of itself one frame before and one after.

    It is in levels of 255. A steady change of brightness and uniform motion do not count. Two
    frames are kept in memory.
    """

    def __init__(self) -> None:
        self._last: deque[NDArray[np.float32]] = deque(maxlen=2)
        self._sum = 0.0
        self._count = 0

    def add(self, frame: Pixels) -> None:
        """Add the next frame, (H, W) or (H, W, 3)."""
        levels = frame.astype(np.float32) * np.float32(255 / np.iinfo(frame.dtype).max)
        if self._last and self._last[-1].shape != levels.shape:
            self._last.clear()
        if len(self._last) == 2:
            self._sum += float(np.abs(self._last[1] - (self._last[0] + levels) / 2).mean())
            self._count += 1
        self._last.append(levels)

    @property
    def levels(self) -> float:
        """The figure so far; 0 for fewer than three frames."""
        return self._sum / self._count if self._count else 0.0


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a folder of pairs that are frames of clips")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first frame")
    parser.add_argument("--to", dest="last", type=int, default=10**9, help="the last frame")
    parser.add_argument("--model", action="append", default=[], help="a model; may be repeated")
    parser.add_argument("--precision", choices=("float32", "bfloat16"))
    options = parser.parse_args()
    pairs = [
        pair
        for pair in find_pairs(options.folder).pairs
        if options.first <= int(re.findall(r"\d+", pair.name)[-1]) <= options.last
    ]
    rows = [measure("untouched", pairs, (window.image for window in still(pairs)))]
    print("| | PSNR / SSIM, y | PSNR / SSIM, paper | flicker over clean | fps |")
    print("|---|---|---|---|---|")
    print(rows[-1])
    for model in options.model:
        restorer = ClipRestorer(model, precision=options.precision)
        arms = {"": still}
        if restorer.model.frames > 1:
            arms = {", aligned": aligned, ", not aligned": unaligned, ", one frame": still}
        for arm, windows in arms.items():
            images = (
                restorer.restore_frame(window.image, window.before, window.after)
                for window in windows(pairs)
            )
            print(measure(f"`{restorer.model.name}`{arm}", pairs, images), flush=True)
    print(f"\n{len(pairs)} frames. {environment_line()}")


def measure(name: str, pairs: list[Pair], images: Iterable[Pixels]) -> str:
    """Return one line of the table."""
    scores, flicker = [], (Flicker(), Flicker())
    seconds, start = 0.0, time.perf_counter()
    for pair, image in zip(pairs, images, strict=True):
        seconds += time.perf_counter() - start
        clean = pair.load()[1]
        scores.append([score(PROTOCOLS[protocol], image, clean) for protocol in MEASURED])
        for side, picture in zip(flicker, (image, clean), strict=True):
            side.add(picture)
        start = time.perf_counter()
    cells = [
        f"{np.mean([scored[index].psnr for scored in scores]):.2f} / "
        + f"{np.mean([scored[index].ssim for scored in scores]):.4f}".lstrip("0")
        for index in range(len(MEASURED))
    ]
    excess = flicker[0].levels - flicker[1].levels
    return f"| {name} | {' | '.join(cells)} | {excess:.2f} | {len(pairs) / seconds:.2f} |"


def still(pairs: list[Pair]) -> Iterator[Window[None]]:
    """Yield frames that are their own neighbours."""
    for pair in pairs:
        rainy = pair.load()[0]
        yield Window(rainy, rainy, rainy, None)


def unaligned(pairs: list[Pair]) -> Iterator[Window[None]]:
    """Yield frames with their neighbours as the camera saw them."""
    for index, (before, after) in enumerate(neighbour_indices(pairs)):
        images = [pairs[number].load()[0] for number in (index, before, after)]
        yield Window(*images, None)


def aligned(pairs: list[Pair]) -> Iterator[Window[None]]:
    """Yield frames with aligned neighbours, as when a clip is restored."""
    return aligned_windows((pair.load()[0], None) for pair in pairs)


if __name__ == "__main__":
    main()
