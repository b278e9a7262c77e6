"""Make clips for validation from still pictures: a moving camera, and rain of a held-out style.

    python benchmarks/film_pictures.py PICTURES... -o FOLDER --frames 9
    python benchmarks/film_pictures.py PICTURES... -o FOLDER --frames 9 --still

Writes FOLDER/rainy and FOLDER/clean; NAME_0001.png and so on are the frames of one clip, which a
recipe reads with `clip = true`. The rain is that of HQ-RAIN (`derain.rain`, style `hq-rain`),
which training for clips never draws: sparse streaks, alpha-blended, other ones in each frame. Rainy
frames are compressed as JPEG of quality 92. The same pictures give the same clips.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from derain.data.augment import jpeg
from derain.data.pairs.pair import decode
from derain.rain import STYLES, StreakMasks
from derain.rain.styles import combine

SIZE = (320, 224)
STYLE = STYLES["hq-rain"]


def main() -> None:
    """Write the clips."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=9, help="frames of each clip")
    parser.add_argument("--still", action="store_true", help="the camera stands still")
    options = parser.parse_args()
    for side in ("rainy", "clean"):
        (options.output / side).mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(options.pictures):
        rng = np.random.default_rng([2022, number])
        views = film(decode(path), options.frames, rng)
        if options.still:
            views = [views[options.frames // 2]] * options.frames
        for index, (clean, rainy) in enumerate(zip(views, add_rain(views, rng), strict=True), 1):
            name = f"{path.stem}_{index:04d}.png"
            Image.fromarray(clean).save(options.output / "clean" / name)
            Image.fromarray(rainy).save(options.output / "rainy" / name)


def film(picture: np.ndarray, frames: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return views of a picture by a camera that pans, turns, zooms and shakes a little."""
    image = Image.fromarray(picture)
    factor = max(1.25 * SIZE[0] / image.width, 1.25 * SIZE[1] / image.height)
    middle = np.array(image.size) / 2
    pan, turn_deg, zoom = rng.uniform(-4, 4, 2), rng.uniform(-0.4, 0.4), rng.uniform(-0.004, 0.004)
    views = []
    for index in range(frames):
        step = index - frames / 2
        angle = np.radians(step * turn_deg)
        scale = (1 + step * zoom) / factor
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        linear = np.array([[cosine, -sine], [sine, cosine]])
        place = middle + (step * pan + rng.normal(0, 0.4, 2)) / factor
        offset = place - linear @ (np.array(SIZE) / 2)
        coefficients = (*linear[0], offset[0], *linear[1], offset[1])
        views.append(
            np.asarray(
                image.transform(
                    SIZE, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
                )
            )
        )
    return views


def add_rain(views: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Return the views in rain of one kind, cut from other places of a large layer."""
    width, height = SIZE
    layer = STYLE.draw(rng, 3 * height, 3 * width, StreakMasks())
    rainy = []
    for view in views:
        top, left = rng.integers(0, (2 * height, 2 * width))
        rain = layer[top : top + height, left : left + width]
        image = combine(view.astype(np.float32) / 255, rain, STYLE.composite)
        rainy.append(jpeg((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), quality=92))
    return rainy


if __name__ == "__main__":
    main()
