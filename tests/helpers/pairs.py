"""Tiny data sets in the published layouts, made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from derain.rain import render


def put(path: Path, *, size: tuple[int, int] = (40, 30), value: int = 100, **options: Any) -> Path:
    """Write a plain picture of `size` (width, height) and create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path, **options)
    return path


def plant(folder: Path, backgrounds: dict[str, np.ndarray]) -> Path:
    """Write folders rainy/ and clean/; `backgrounds` maps file names to clean pictures."""
    for seed, (name, clean) in enumerate(backgrounds.items()):
        for side, image in (("rainy", render(clean, rain="light", seed=seed)), ("clean", clean)):
            (folder / side).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / side / name)
    return folder


def scene(
    rng: np.random.Generator, *, size: tuple[int, int] = (64, 48)
) -> tuple[np.ndarray, np.ndarray]:
    """Return (rainy, clean): a smooth picture, with and without bright lines."""
    coarse = Image.fromarray(rng.integers(0, 200, (4, 5, 3), dtype=np.uint8))
    clean = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC))
    rainy = clean.copy()
    rainy[:, ::7] = np.minimum(rainy[:, ::7].astype(int) + 60, 255)
    return rainy, clean


def noise_pair(folder: Path, names: str, rng: np.random.Generator, *, side_px: int = 60) -> Path:
    """Write rainy/NAME.png and clean/NAME.png of noise for each letter of `names`."""
    for side in ("rainy", "clean"):
        (folder / side).mkdir(parents=True, exist_ok=True)
        for name in names:
            noise = rng.integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / side / f"{name}.png")
    return folder
