"""How surely frames without rain are recognised at half their size (`derain.video.dry_frames`).

    python benchmarks/dry_frames.py DATA/pairs/nturain_street --every 3
    python benchmarks/dry_frames.py FOLDER/OF/FRAMES
    python benchmarks/dry_frames.py PICTURES --still --rain light --contrast 0.2

A folder of pairs gives two rows, its rainy and its clean frames; another folder one row. `--still`
shows each picture of the folder at 480x360 to a camera that stands still, with noise of 2 levels in
each of three frames, and with `--contrast` of the rain that `derain rain` renders.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from derain import rain
from derain.data.pairs.find import find_pairs
from derain.data.pairs.pair import Pair
from derain.environment import environment_line
from derain.errors import DerainError
from derain.inference.clip_restorer import ClipRestorer
from derain.motion import Window, aligned_windows
from derain.pictures import Pixels, read
from derain.suffixes import PICTURE_SUFFIXES
from derain.video.dry_frames import changes, halved, is_unchanged

STILL_SIZE = (480, 360)
NOISE_LEVELS = 2.0


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a folder of pairs, frames or pictures")
    parser.add_argument("--every", type=int, default=1, help="measure every n-th frame")
    parser.add_argument("--model", default="clip")
    parser.add_argument("--still", action="store_true", help="a still camera sees each picture")
    parser.add_argument("--rain", default="light", help="kind of rain for --still")
    parser.add_argument("--contrast", type=float, default=0.0, help="share of that rain")
    options = parser.parse_args()
    restorer = ClipRestorer(options.model)
    print("| | frames | least of the largest changes | median | dry |\n|---|---|---|---|---|")
    if options.still:
        windows = still(options.folder, kind=options.rain, contrast=options.contrast)
        name = f"still, {options.contrast:g} of {options.rain}"
        print(measure(name, islice(windows, 0, None, options.every), restorer))
    else:
        for name, images in clips(options.folder).items():
            windows = aligned_windows((image, None) for image in images)
            print(measure(name, islice(windows, 0, None, options.every), restorer), flush=True)
    print(f"\n{environment_line()}")


def measure(name: str, windows: Iterable[Window[None]], restorer: ClipRestorer) -> str:
    """Return one line of the table."""
    largest, dry = [], []
    for window in windows:
        frame, *beside = (halved(image) for image in (window.image, window.before, window.after))
        restored = restorer.restore_frame(frame, *beside)
        largest.append(changes(frame, restored).max())
        dry.append(is_unchanged(frame, restored))
    return (
        f"| {name} | {len(dry)} | {min(largest):.1f} | {np.median(largest):.1f} "
        f"| {np.mean(dry):.0%} |"
    )


def clips(folder: Path) -> dict[str, Iterator[Pixels]]:
    """Return the sides of pairs, or the frames of a folder, by their names."""
    try:
        pairs = find_pairs(folder).pairs
    except DerainError:
        return {folder.name: pictures_of(folder)}
    return {side: side_of(pairs, index) for index, side in enumerate(("rainy", "clean"))}


def side_of(pairs: Iterable[Pair], index: int) -> Iterator[Pixels]:
    """Yield the rainy (0) or the clean (1) side of each pair."""
    for pair in pairs:
        yield pair.load()[index]


def pictures_of(folder: Path) -> Iterator[Pixels]:
    """Yield the pictures of a folder, in the order of their names."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in PICTURE_SUFFIXES:
            yield read(path).image


def still(folder: Path, *, kind: str, contrast: float) -> Iterator[Window[None]]:
    """Yield three frames of each picture, with noise, and rain that is elsewhere in each."""
    rng = np.random.default_rng(0)
    for index, picture in enumerate(pictures_of(folder)):
        clean = np.asarray(Image.fromarray(picture).convert("RGB").resize(STILL_SIZE))
        frames = []
        for seed in range(3 * index, 3 * index + 3):
            levels = clean + rng.normal(0, NOISE_LEVELS, clean.shape)
            if contrast:
                rainy = rain.render(clean, rain=kind, seed=seed)
                levels += contrast * (rainy.astype(np.float32) - clean)
            frames.append(levels.clip(0, 255).astype(np.uint8))
        yield Window(frames[1], frames[0], frames[2], None)


if __name__ == "__main__":
    main()
