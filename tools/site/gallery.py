"""Make the pictures of the gallery: `python tools/site/gallery.py build/gallery` (extra `docs`).

Rain is rendered onto free photos that come with Python packages, `derain` restores them as a user
would, and both sides are written as JPEG, with a `gallery.json` of captions and scores.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.cbook import get_sample_data
from numpy.typing import NDArray
from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_image

from derain.evaluate.metrics import psnr
from derain.rain import PRESETS, Rain, render

Pixels = NDArray[np.uint8]
CAPTIONS = "gallery.json"
JPEG = {"quality": 88, "optimize": True}
CC_BY = "https://creativecommons.org/licenses/by/2.0/"

PALACE = f'danielbuechele, <a href="{CC_BY}">CC BY 2.0</a>, from scikit-learn'
HOPPER = "James S. Davis, US Navy, public domain, from Matplotlib"
NASA = "NASA, public domain, from scikit-image"
SPACEX = "SpaceX, public domain, from scikit-image"
CC0 = "CC0, from scikit-image"

SMALL_PX = (392, 448)
"""(height, width) of most pictures: multiples of 56, which need no padding."""

LIGHT, MODERATE, HEAVY = PRESETS["light"], PRESETS["moderate"], PRESETS["heavy"]
LONG = Rain(coverage=0.2, length_px=200, width_px=9, brightness=0.5, layers=1, depth=1, angle_deg=4)
SPECKS = Rain(
    coverage=2.5, length_px=2.5, width_px=1.2, brightness=0.35, layers=3, composite="blend"
)
BLURRED_DROPS = Rain(
    coverage=0.35, length_px=12, width_px=12, defocus_px=12, brightness=0.5, layers=2, angle_deg=0
)
DRIZZLE_IN_MIST = Rain(coverage=0.8, mist=0.45, airlight=0.85, composite="blend")


@dataclass(frozen=True)
class Scene:
    """One picture of the gallery."""

    name: str
    category: str
    load: Callable[[], Pixels]
    rain: Rain | None
    """None: the picture stays without rain."""
    credit: str
    caption: str


def palace() -> Pixels:
    """Return a photo of a palace that scikit-learn ships, (427, 640, 3)."""
    return np.asarray(load_sample_image("china.jpg"))


def palace_detail() -> Pixels:
    """Return the middle of `palace`."""
    return crop(palace(), left_px=96)


def dusk() -> Pixels:
    """Return `palace_detail` as an exposure that is two and a half stops darker."""
    linear = (palace_detail() / 255.0) ** 2.2 / 2**2.5
    return np.rint(255 * linear ** (1 / 2.2)).astype(np.uint8)


def grace_hopper() -> Pixels:
    """Return a portrait that Matplotlib ships."""
    with get_sample_data("grace_hopper.jpg") as file:
        return crop(np.asarray(Image.open(file).convert("RGB")), left_px=32)


def crop(image: NDArray[Any], *, left_px: int = 0) -> Pixels:
    """Return the top of a colour or grey picture in the size SMALL_PX, as RGB."""
    height, width = SMALL_PX
    colour = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    return np.ascontiguousarray(colour[:height, left_px : left_px + width])


SCENES = [
    Scene("street", "Buildings", palace, replace(MODERATE, angle_deg=-10),
          PALACE, "Moderate rain. Roof tiles and leaves stay sharp."),
    Scene("portrait", "Portrait", grace_hopper, replace(LIGHT, angle_deg=14),
          HOPPER, "Light rain over a face and a uniform."),
    Scene("astronaut", "Portrait", lambda: crop(data.astronaut()), HEAVY,
          NASA, "Heavy rain. The streaks disappear; the texture that they hid is softer."),
    Scene("dense", "Dense rain", palace_detail, replace(HEAVY, coverage=2.5),
          PALACE, "A downpour: most pixels are under a streak. Fine texture is guessed."),
    Scene("launch", "Night", lambda: crop(data.rocket(), left_px=96), HEAVY,
          SPACEX, "Bright streaks on a dark sky. The lattice towers lose thin bars."),
    Scene("dusk", "Night", dusk, replace(MODERATE, angle_deg=12, brightness=0.3),
          PALACE, "The palace, exposed two and a half stops darker."),
    Scene("dry-cat", "Without rain", lambda: crop(data.chelsea()[:, :448]), None,
          f"Stefan van der Walt, {CC0}", "No rain. The fur is softened a little."),
    Scene("dry-palace", "Without rain", palace_detail, None,
          PALACE, "No rain, and almost no change."),
    Scene("bricks", "Failures", lambda: crop(data.brick()), None,
          CC0, "No rain, but vertical joints look like streaks and are removed."),
    Scene("long", "Failures", grace_hopper, LONG,
          HOPPER, "Wide, long streaks disappear from the face, and stay over flag and collar."),
    Scene("drops", "Failures", lambda: crop(data.coffee()), BLURRED_DROPS,
          f"Rachel Michetti, {CC0}", "Drops out of focus, close to the lens: half of them stay."),
    Scene("specks", "Failures", palace_detail, SPECKS,
          PALACE, "Dense specks, as from a short exposure, are treated as texture."),
    Scene("mist", "Failures", palace_detail, DRIZZLE_IN_MIST,
          PALACE, "Streaks are removed, mist is not."),
]  # fmt: skip
"""The order of the page."""


def main(folder: Path) -> None:
    """Write the gallery to `folder`; existing pictures are made again."""
    rainy_folder, restored_folder = folder / "rainy", folder / "restored"
    rainy_folder.mkdir(parents=True, exist_ok=True)
    for seed, scene in enumerate(SCENES):
        clean = scene.load()
        rainy = clean if scene.rain is None else render(clean, rain=scene.rain, seed=seed)
        Image.fromarray(rainy).save(rainy_folder / f"{scene.name}.png")
    subprocess.run(
        [sys.executable, "-m", "derain", rainy_folder, "-o", restored_folder, "--overwrite", "-q"],
        check=True,
    )
    entries = []
    for scene in SCENES:
        clean = scene.load()
        sides = {}
        for side, source in (("rainy", rainy_folder), ("restored", restored_folder)):
            image = np.asarray(Image.open(source / f"{scene.name}.png"))
            name = f"{scene.name}-{side}.jpg"
            Image.fromarray(image).save(folder / name, **JPEG)
            sides[side] = {"file": name, "psnr": round(min(psnr(image, clean, peak=255), 99.0), 1)}
        entries.append(
            {key: getattr(scene, key) for key in ("name", "category", "credit", "caption")}
            | sides
            | {"width": clean.shape[1], "height": clean.shape[0], "has_rain": bool(scene.rain)}
        )
    (folder / CAPTIONS).write_text(json.dumps(entries, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
